"""A real API server for every integration test, started once per session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.cluster import Cluster
from localcluster.spec import ClusterSpec


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The administrator's kubeconfig of a fresh etcd and kube-apiserver, without controllers or nodes."""
    spec = ClusterSpec("api", tmp_path_factory.mktemp("api-server") / "state", api_only=True)
    with Cluster.start(spec) as cluster:
        yield cluster.kubeconfig
