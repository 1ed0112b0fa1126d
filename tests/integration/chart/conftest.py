"""A real API server for the chart's objects."""

from pathlib import Path

import pytest

from kubectl import Kubectl, kubectl_for


@pytest.fixture(scope="session")
def kubectl(api_server: Path) -> Kubectl:
    """The kubectl of the API server."""
    return kubectl_for(api_server)
