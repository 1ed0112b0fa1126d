"""Run kubectl as a user would."""

import json
import subprocess
import time
from pathlib import Path
from typing import Protocol

from localcluster.binaries.provide import provide


class Kubectl(Protocol):
    """Runs kubectl against one API server and returns what it prints; the test fails when kubectl does."""

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl with these arguments."""
        ...


def kubectl_for(kubeconfig: Path) -> Kubectl:
    """Return a kubectl for the API server of a kubeconfig."""
    program = provide(["kubectl"])["kubectl"]

    def run(*arguments: str, stdin: str = "") -> str:
        command = [str(program), "--kubeconfig", str(kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return str(done.stdout)

    return run


def until_established(kubectl: Kubectl, crd: str = "modeldeployments.modelscaler.dev", seconds: float = 30.0) -> None:
    """Wait until a CustomResourceDefinition is served.

    At first it has no conditions at all, or null for them: `kubectl wait` fails there, and so does a JSONPath that filters.
    """
    deadline = time.monotonic() + seconds
    while "Established" not in (found := _true_conditions(kubectl("get", "crd", crd, "-o=json"))):
        assert time.monotonic() < deadline, f"{crd} is not established after {seconds:g} s: {found}"
        time.sleep(0.1)


def _true_conditions(answer: str) -> list[str]:
    conditions = json.loads(answer).get("status", {}).get("conditions") or ()
    return [condition["type"] for condition in conditions if condition["status"] == "True"]
