"""A real control plane with one node and one accelerator, a real Prometheus, and the operator as the chart runs it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl import Kubectl, kubectl_for
from localcluster.addresses import AddressRange, lock_directory
from localcluster.binaries.provide import provide_prometheus
from localcluster.cluster import Cluster
from localcluster.spec import ClusterSpec, Image, NodeSpec, Timing
from modelserver_metrics import Fleet
from operator_process import GPU, SHOP, Machine, install
from prometheus_fakes import exporter, prometheus

QUICK = Timing(
    node_monitor_grace_seconds=20,
    unreachable_toleration_seconds=2,
    crash_backoff_seconds=1,
    volume_refresh_seconds=2,
)

SERVER = f"""#!{sys.executable} -S
import http.server, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((sys.argv[sys.argv.index("--host") + 1], 8080), Ready).serve_forever()
"""
"""In the place of the inference server: ready at once, and no more. What its metrics say is each test's to tell."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The whole control plane and a node with one accelerator."""
    directory = tmp_path_factory.mktemp("operator")
    program = directory / "server" / "bin" / "modelserver"
    program.parent.mkdir(parents=True)
    program.write_text(SERVER)
    program.chmod(0o755)
    image = Image("modelscaler/modelserver:0.1.0", path=(str(program.parent),), keep=(sys.prefix, sys.base_prefix))
    node = NodeSpec("node-1", accelerators={GPU: 1})
    spec = ClusterSpec("operator", directory / "state", nodes=(node,), images=(image,), timing=QUICK)
    with Cluster.start(spec) as running:
        yield running


@pytest.fixture(scope="session")
def kubectl(cluster: Cluster) -> Kubectl:
    """The administrator's kubectl."""
    return kubectl_for(cluster.kubeconfig)


@pytest.fixture(scope="session")
def _installed(kubectl: Kubectl) -> None:
    """The chart, but for the operator itself, and a namespace for ModelDeployments."""
    install(kubectl)
    kubectl("create", "namespace", SHOP)


@pytest.fixture
def machine(cluster: Cluster, kubectl: Kubectl, _installed: None, tmp_path: Path) -> Iterator[Machine]:
    """Where the operator runs; nothing is left of the ModelDeployments afterwards."""
    addresses = AddressRange.claim(lock_directory())
    yield Machine(cluster.kubeconfig, kubectl, addresses.take(), tmp_path / "writable")
    addresses.release()
    kubectl("-n", SHOP, "delete", "modeldeployments", "--all", "--cascade=foreground", "--timeout=40s")


@pytest.fixture
def fleet() -> Fleet:
    """What replicas say of themselves."""
    return Fleet()


@pytest.fixture
def past(tmp_path: Path) -> None:
    """What Prometheus remembers from before: nothing, unless a test file writes blocks to `tmp_path / "data"`."""


@pytest.fixture
def prometheus_url(fleet: Fleet, past: None, tmp_path: Path) -> Iterator[str]:
    """A real Prometheus that scrapes the fleet."""
    program = provide_prometheus()["prometheus"]
    with exporter(fleet.expose) as port, prometheus(program, tmp_path, [port]) as url:
        yield url
