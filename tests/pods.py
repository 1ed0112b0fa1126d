"""Manifests of small pods whose process is this Python, and a patient look at a cluster."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from localcluster.cluster import Cluster
from localcluster.spec import Image

PYTHON_IMAGE = Image("python", path=(str(Path(sys.executable).parent),), keep=(sys.base_prefix,))
Seen = TypeVar("Seen")
POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
WEB_SERVER = ["python", "-m", "http.server", "8080", "--bind", "$(POD_IP)"]


def container(command: Sequence[str], **overrides: Any) -> dict[str, Any]:
    """A container of the Python image."""
    return {"name": "main", "image": "python", "command": list(command), **overrides}


def shell(script: str, **overrides: Any) -> dict[str, Any]:
    """A container that runs a shell script."""
    return container(["sh", "-c", script], **overrides)


def pod(
    name: str, main: Mapping[str, Any], *, metadata: Mapping[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A pod of one container; ``spec`` adds to its spec."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **(metadata or {})},
        "spec": {"terminationGracePeriodSeconds": 1, **spec, "containers": [main]},
    }


def deployment(name: str, main: Mapping[str, Any], replicas: int, **spec: Any) -> dict[str, Any]:
    """A Deployment of one-container pods."""
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, **spec, "containers": [main]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


class Namespace:
    """One test's corner of a shared cluster."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl here."""
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin, check=check)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects."""
        for one in objects:
            self.kubectl("apply", "-f", "-", stdin=json.dumps(one))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def items(self, kind: str, *selection: str) -> list[dict[str, Any]]:
        """Return objects of a kind."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, *selection, "-o", "json"))["items"]
        return items

    def status_of(self, name: str) -> dict[str, Any]:
        """Return the status of a one-container pod's container, empty before there is one."""
        found = self.get("pod", name).get("status", {}).get("containerStatuses", [])
        return dict(found[0]) if found else {}

    def events(self, name: str, reason: str) -> list[dict[str, Any]]:
        """Return the events of one reason about one object."""
        return self.items("events", "--field-selector", f"involvedObject.name={name},reason={reason}")


def eventually(look: Callable[[], Seen], within_seconds: float = 20.0) -> Seen:
    """Look until what is seen is true; fail with the last look."""
    deadline = time.monotonic() + within_seconds
    seen = look()
    while not seen:
        assert time.monotonic() < deadline, f"not within {within_seconds} s; last seen: {seen!r}"
        time.sleep(0.1)
        seen = look()
    return seen


def processes_mentioning(text: str) -> list[str]:
    """Return the command lines of living processes with ``text`` in them, this one aside."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline", "pid"])
        if process.info["pid"] != os.getpid() and any(text in word for word in process.info["cmdline"] or ())
    ]
