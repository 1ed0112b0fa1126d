"""One whole cluster for all tests of the local cluster, and a namespace for each."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.binaries.provide import provide_prometheus
from localcluster.cluster import Cluster
from localcluster.spec import ClusterSpec, NodeSpec, PrometheusSpec, Timing
from pods import PYTHON_IMAGE, Namespace, eventually

QUICK = Timing(
    node_monitor_grace_seconds=4,
    unreachable_toleration_seconds=1,
    crash_backoff_seconds=1,
    volume_refresh_seconds=1,
)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The whole control plane, Prometheus, and one node that has two accelerators."""
    directory = tmp_path_factory.mktemp("cluster")
    spec = ClusterSpec(
        "tests",
        directory / "state",
        nodes=(NodeSpec("node-1", accelerators={"example.com/chip": 2}),),
        images=(PYTHON_IMAGE,),
        prometheus=PrometheusSpec(scrape_interval_seconds=1, data_dir=str(_history(directory))),
        timing=QUICK,
    )
    with Cluster.start(spec) as running:
        yield running


def _history(directory: Path) -> Path:
    """Write one sample of an hour ago as Prometheus blocks."""
    moment = int(time.time()) - 3600
    samples = directory / "samples"
    samples.write_text(f"# TYPE remembered gauge\nremembered 7 {moment}\n# EOF\n")
    promtool = str(provide_prometheus()["promtool"])
    blocks = directory / "blocks"
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(samples), str(blocks)]
    subprocess.run(command, check=True, capture_output=True)
    return blocks


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace of the test's own, with its default service account there."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")
    cluster.kubectl("create", "namespace", name)
    mine = Namespace(cluster, name)
    eventually(lambda: json.loads(mine.kubectl("get", "serviceaccounts", "-o", "json"))["items"])
    eventually(lambda: mine.kubectl("get", "configmap", "kube-root-ca.crt", "--ignore-not-found", "-o", "name"))
    yield mine
    cluster.kubectl("delete", "namespace", name, "--wait=false")
