"""A real API server that knows ModelDeployments."""

from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes import config as untyped_config

from kubectl import Kubectl, kubectl_for, until_established

ROOT = Path(__file__).parents[3]

config: Any = untyped_config  # its functions carry no annotations


@pytest.fixture(scope="session")
def kubectl(api_server: Path) -> Kubectl:
    """The kubectl of the API server."""
    return kubectl_for(api_server)


@pytest.fixture(scope="session")
def crd_installed(kubectl: Kubectl) -> None:
    """The CustomResourceDefinition as it is committed, established."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    until_established(kubectl)


@pytest.fixture(scope="session")
def model_deployments(api_server: Path, crd_installed: None) -> Any:
    """The API of custom objects. Any: the client's calls carry no annotations."""
    return client.CustomObjectsApi(config.new_client_from_config(str(api_server)))
