"""Gateway API's own CustomResourceDefinition of HTTPRoutes, from its Go module."""

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from localcluster.binaries.gotool import go_command, go_environment

MODULE = "sigs.k8s.io/gateway-api@v1.3.0"
ROUTES_FILE = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"


def routes_crd() -> str:
    """Return the CustomResourceDefinition as YAML; the test is skipped where the module cannot be had."""
    go = go_command()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [go, "mod", "download", "-json", MODULE],
            cwd=folder,
            env=go_environment(go) | {"GOFLAGS": "-mod=mod"},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    if done.returncode != 0:
        pytest.skip(f"{MODULE} cannot be had: {done.stdout.strip()[-200:]} {done.stderr.strip()[-200:]}")
    return (Path(json.loads(done.stdout)["Dir"]) / ROUTES_FILE).read_text()
