"""The operator as the chart runs it, as a process against a real API server.

Its arguments, account and permissions are the chart's. As in its pod, it may write into one folder and nowhere else.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from kubernetes import client
from kubernetes import config as untyped_config
from kubernetes import watch as untyped_watch

from helmchart import NAMESPACE as OPERATOR
from helmchart import render
from kubectl import Kubectl, until_established
from localcluster.node.sandbox import AS_ROOT_OF_OWN, Isolation, detect

config: Any = untyped_config  # their functions carry no annotations
watch: Any = untyped_watch

SHOP = "shop"
GPU = "example.com/gpu"
PLURAL = "modeldeployments"
WRITABLE = "=/tmp/"  # in the chart's arguments: the one folder that the pod may write to
STOP_SECONDS = 20.0
TOLD_CHARACTERS = 6000
READ_ONLY_BUT_ONE = """
mount --bind "$1" "$1"
awk '{print $5}' /proc/self/mountinfo | while read -r point; do
  case "$point" in "$1"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$point" || true ;; esac
done
test ! -w /
shift
exec "$@"
"""

Body = dict[str, Any]


def install(kubectl: Kubectl) -> None:
    """Install all that the chart makes but the operator's own Deployment."""
    documents = [document for document in render() if document["kind"] != "Deployment"]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR}}
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all([namespace, *documents]))
    until_established(kubectl)


@dataclass(frozen=True)
class Machine:
    """Where operators run.

    Attributes:
        kubeconfig: The administrator's.
        kubectl: The administrator's.
        address: A loopback address whose ports for health and metrics are free.
        folder: For what operators write.
    """

    kubeconfig: Path
    kubectl: Kubectl
    address: str
    folder: Path

    @contextlib.contextmanager
    def operator(self, prometheus_url: str, **settings: float) -> Iterator[psutil.Process]:
        """Run an operator with these settings of the chart while the block runs; it is stopped as a pod is."""
        chosen = {"prometheus": {"url": prometheus_url}, "operator": settings}
        deployment = next(document for document in render(**chosen) if document["kind"] == "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        self.folder.mkdir(exist_ok=True)
        known = {"$(POD_IP)": self.address, "$(POD_NAMESPACE)": OPERATOR, WRITABLE: f"={self.folder}/"}
        arguments = [_replaced(word, known) for word in container["command"][1:]]
        program = Path(sys.executable).parent / "modelscaler"
        command = [str(program), *arguments, f"--kubeconfig={self._own_kubeconfig()}"]
        log = self.folder / "operator.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*_confining(self.folder), *command],
                env=_environment(self.folder),
                cwd="/",
                stdout=output,
                stderr=output,
            )
        try:
            yield psutil.Process(process.pid)
            assert not self.failures(), "nothing it wrote was refused, and nothing it did raised an error"
            process.terminate()
            assert process.wait(STOP_SECONDS) == 0, "it ends well when it is told to stop"
        finally:
            process.kill()
            process.wait()
            print(log.read_text()[-TOLD_CHARACTERS:])

    def failures(self) -> dict[str, float]:
        """Return the operator's counters of refused writes and of errors that are not zero."""
        return {
            name: value
            for name, value in self.metrics().items()
            if value
            and (
                name.startswith("modelscaler_errors_total")
                or (name.startswith("modelscaler_api_writes_total") and 'result="ok"' not in name)
            )
        }

    def status_writes(self) -> float:
        """Return how many statuses the operator has written."""
        return self.metrics().get('modelscaler_api_writes_total{kind="ModelDeployment",result="ok"}', 0.0)

    def ticks(self) -> float:
        """Return how many full passes the operator has made."""
        return self.metrics().get('modelscaler_tick_seconds_count{kind="full"}', 0.0)

    def metrics(self) -> dict[str, float]:
        """Return the operator's own metrics, name with labels to value."""
        with urllib.request.urlopen(f"http://{self.address}:8080/metrics", timeout=5) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def _own_kubeconfig(self) -> Path:
        """Write a kubeconfig of the operator's service account."""
        found = yaml.safe_load(self.kubeconfig.read_text())
        (user,) = found["users"]
        user["user"] = {"token": self.kubectl("-n", OPERATOR, "create", "token", "release-modelscaler").strip()}
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(found))
        return path

    def until(self, name: str, holds: Callable[[Body], object], seconds: float) -> Body:
        """Watch a ModelDeployment until its status is as wanted, and return the status."""
        *_, last = self.statuses(name, holds, seconds)
        return last

    def statuses(self, name: str, holds: Callable[[Body], object], seconds: float) -> list[Body]:
        """Watch a ModelDeployment until its status is as wanted, and return all that it was until then."""
        api = client.CustomObjectsApi(config.new_client_from_config(str(self.kubeconfig)))
        listed = (api.list_namespaced_custom_object, "modelscaler.dev", "v1alpha1", SHOP, PLURAL)
        seen: list[Body] = []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            only = {"field_selector": f"metadata.name={name}", "timeout_seconds": max(int(left), 1)}
            for event in watch.Watch().stream(*listed, **only):
                seen.append(event["object"].get("status", {}))
                if holds(seen[-1]):
                    return seen
        raise AssertionError(f"{name}: not within {seconds:g} s; last seen: {seen[-1:]}")


def condition(status: Body, kind: str) -> tuple[str, str]:
    """Return whether a condition holds, and why; empty words when there is none."""
    found = next((c for c in status.get("conditions", ()) if c["type"] == kind), {"status": "", "reason": ""})
    return found["status"], found["reason"]


def event_types(kubectl: Kubectl, name: str, reason: str) -> list[str]:
    """Return the types of the events of a reason about a ModelDeployment."""
    of_both = f"involvedObject.name={name},reason={reason}"
    found = json.loads(kubectl("-n", SHOP, "get", "events", "--field-selector", of_both, "-o", "json"))
    return [item["type"] for item in found["items"]]


def _replaced(word: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        word = word.replace(name, value)
    return word


def _environment(folder: Path) -> dict[str, str]:
    """Return a pod's environment, which has no home, and the way to our programs."""
    ours = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**ours, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


def _confining(folder: Path) -> list[str]:
    """Return what lets a command write into one folder only, where this machine lets us."""
    isolation = detect()
    if isolation is Isolation.NONE:
        return []
    root = () if isolation is Isolation.NAMESPACES else AS_ROOT_OF_OWN
    return ["unshare", *root, "--mount", "--propagation", "private", "sh", "-ec", READ_ONLY_BUT_ONE, "sh", str(folder)]
