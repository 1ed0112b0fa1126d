"""A real API server that knows ModelDeployments."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes import config as untyped_config

from localcluster.binaries.provide import provide

ROOT = Path(__file__).parents[3]

config: Any = untyped_config  # its functions carry no annotations
Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def kubectl(api_server: Path) -> Kubectl:
    """Run kubectl as a user would; it fails the test when kubectl fails."""
    program = provide(["kubectl"])["kubectl"]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(program), "--kubeconfig", str(api_server), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    return run


@pytest.fixture(scope="session")
def crd_installed(kubectl: Kubectl) -> None:
    """The CustomResourceDefinition as it is committed, established."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/modeldeployments.modelscaler.dev")


@pytest.fixture(scope="session")
def model_deployments(api_server: Path, crd_installed: None) -> Any:
    """The API of custom objects. Any: the client's calls carry no annotations."""
    return client.CustomObjectsApi(config.new_client_from_config(str(api_server)))
