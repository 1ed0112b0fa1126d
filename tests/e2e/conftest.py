"""One local cluster for all scenarios: the whole control plane, Prometheus, and the operator installed from its chart."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forwarder import Forwarder
from localcluster.binaries.search import find
from localcluster.cluster import Cluster
from localcluster.spec import ClusterSpec, Image, NodeSpec, PrometheusSpec, Timing
from modelscaler_demo.day import Day, DayShape
from modelscaler_demo.history import cumulative, labels_of, openmetrics, write_blocks
from stage import BIN, MODELS, NAMESPACE, RAMP, REPOSITORY, Stage

GPU = "nvidia.com/gpu"
KEPT = (str(REPOSITORY), sys.base_prefix, str(MODELS))  # stay visible when a volume covers a parent, such as /tmp


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Past seasons of the ramp scenario, as Prometheus blocks."""
    directory = tmp_path_factory.mktemp("history")
    shape = DayShape(RAMP.peak_rps, RAMP.season_seconds, RAMP.step_seconds)
    days = [Day(shape, RAMP.rates_rps(), None) for _ in range(RAMP.seasons)]
    now = datetime.now(UTC)
    end = RAMP.season_start(now) + timedelta(seconds=RAMP.season_seconds - RAMP.step_seconds)
    counter = cumulative(days, np.random.default_rng(0))
    lines = openmetrics(counter, RAMP.step_seconds, end, now - timedelta(seconds=2), labels_of(NAMESPACE, RAMP.name))
    write_blocks(_program("promtool"), lines, directory)
    return directory


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, history: Path) -> Iterator[Cluster]:
    """Run the local cluster: one node with two accelerators, one without."""
    spec = ClusterSpec(
        name=f"e2e-{os.getpid()}",
        state_dir=tmp_path_factory.mktemp("cluster") / "state",
        nodes=(
            NodeSpec("cpu-node", labels={"example.com/kind": "cpu"}),
            NodeSpec("gpu-node", accelerators={GPU: 2}, labels={"example.com/kind": "gpu"}),
        ),
        prometheus=PrometheusSpec(scrape_interval_seconds=1.0, data_dir=str(history)),
        images=(
            Image("modelscaler/operator:0.1.0", path=(str(BIN),), keep=KEPT),
            Image(
                "modelscaler/modelserver:0.1.0", path=(str(BIN),), keep=KEPT, env={"MODELSERVER_MODELS": str(MODELS)}
            ),
        ),
        timing=Timing(
            node_monitor_grace_seconds=8.0,
            unreachable_toleration_seconds=2,
            crash_backoff_seconds=1.0,
            volume_refresh_seconds=2.0,
        ),
    )
    with Cluster.start(spec) as running:
        yield running


@pytest.fixture(scope="session")
def forwarder(cluster: Cluster) -> Iterator[Forwarder]:
    """Forward connections to one Service's pods, as kube-proxy does."""
    with (made := Forwarder(cluster, NAMESPACE)).listening():
        yield made


@pytest.fixture(scope="session")
def stage(cluster: Cluster, forwarder: Forwarder) -> Iterator[Stage]:
    """Install the operator from its chart, and wait until it leads and serves."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    settings = {
        "prometheus.url": cluster.prometheus_url,
        "operator.serviceUrl": forwarder.url,
        "operator.intervalSeconds": "2",
        "operator.rateWindowSeconds": "8",
        "operator.historyStepSeconds": "2",
        "operator.staleAfterSeconds": "8",
        "operator.statusRefreshSeconds": "30",
        "replicas": "2",
    }
    values = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    helm = [str(BIN / "helm"), "install", "modelscaler", str(REPOSITORY / "charts" / "modelscaler")]
    where = ["--kubeconfig", str(cluster.kubeconfig), "--namespace", "modelscaler-system", "--create-namespace"]
    command = [*helm, *where, *values, "--wait", "--timeout", "120s"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    made = Stage(cluster)
    if done.returncode:
        pytest.fail(f"helm install failed: {done.stderr}\n{made.operator_logs()}")
    yield made
    made.delete_all()


@pytest.fixture(autouse=True)
def _tell_on_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print what the operator said when a scenario fails, and leave nothing of it to the next ones."""
    yield
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed and "stage" in request.fixturenames:
        stage: Stage = request.getfixturevalue("stage")
        print(stage.post_mortem())
        stage.delete_all()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Leave the report where the fixture above finds it."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy hands in its result here
    if report.when == "call":
        item.report_call = report  # type: ignore[attr-defined]


def _program(name: str) -> Path:
    path = find(name)
    assert path is not None, f"{name} is missing; run `make programs`"
    return Path(path)
