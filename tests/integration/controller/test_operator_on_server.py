"""The operator as a process against the real API server: it ends as it should when it is told to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from kubectl import Kubectl, kubectl_for
from modelscaler.cluster.connection import connect

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
ADDRESS = "127.81.8.2"
START_SECONDS, STOP_SECONDS = 60.0, 30.0


@pytest.fixture
def kubectl(api_server: Path) -> Kubectl:
    """With our CustomResourceDefinition in place."""
    found = kubectl_for(api_server)
    found("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    found("wait", "--for=condition=Established", "--timeout=30s", "crd/modeldeployments.modelscaler.dev")
    return found


def test_leader_ends_without_complaint_and_gives_the_lease_up_when_it_is_told_to(
    api_server: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as output:
        operator = subprocess.Popen(
            [
                *(sys.executable, "-c", "from modelscaler.cli import main; raise SystemExit(main())"),
                *("run", "--prometheus-url", "http://127.0.0.1:9"),
                *("--bind", ADDRESS, "--kubeconfig", str(api_server), "--lease-name", "ends", "--tuning-seconds", "0"),
            ],
            stdout=output,
            stderr=output,
            env=dict(os.environ),
        )
    try:
        wait_until_it_watches(operator, log)
        operator.send_signal(signal.SIGTERM)
        assert operator.wait(STOP_SECONDS) == 0, log.read_text()
    finally:
        operator.kill()
    lease: Any = client.CoordinationV1Api(connect(str(api_server))).read_namespaced_lease("ends", "default")
    assert not lease.spec.holder_identity
    assert "Traceback" not in log.read_text()


def wait_until_it_watches(operator: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the first tick asked Prometheus, by when Kopf has long begun."""
    until = time.monotonic() + START_SECONDS
    while "query for" not in log.read_text():
        assert operator.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)
