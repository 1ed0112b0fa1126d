"""Gateway API's own CustomResourceDefinitions, from its Go module."""

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from localcluster.binaries.gotool import go_command, go_environment

MODULE = "sigs.k8s.io/gateway-api"
STANDARD = "config/crd/standard"


def routes_crd() -> str:
    """Return the CustomResourceDefinition of HTTPRoutes as YAML; the test is skipped where the module cannot be had."""
    return (_standard("v1.3.0") / "gateway.networking.k8s.io_httproutes.yaml").read_text()


def all_crds(version: str) -> str:
    """Return the CustomResourceDefinitions of the standard channel as YAML; skips as `routes_crd` does.

    Args:
        version: Of Gateway API, such as `v1.6.1`.
    """
    documents = [path.read_text() for path in sorted(_standard(version).glob("gateway.networking.k8s.io_*.yaml"))]
    return "\n---\n".join(text for text in documents if "kind: CustomResourceDefinition" in text)


def _standard(version: str) -> Path:
    go, module = go_command(), f"{MODULE}@{version}"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [go, "mod", "download", "-json", module],
            cwd=folder,
            env=go_environment(go) | {"GOFLAGS": "-mod=mod"},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    if done.returncode != 0:
        pytest.skip(f"{module} cannot be had: {done.stdout.strip()[-200:]} {done.stderr.strip()[-200:]}")
    return Path(json.loads(done.stdout)["Dir"]) / STANDARD
