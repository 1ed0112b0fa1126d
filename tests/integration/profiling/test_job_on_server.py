"""What `modelscaler profile --job` prints, judged by the real API server: taken, admitted, and allowed what it needs alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from kubectl import Kubectl, kubectl_for
from modelscaler.cli import main
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.connection import connect
from modelscaler.cluster.errors import ApiCallError
from modelscaler.profiling.job import LARGEST_REQUEST_BYTES
from modelscaler.profiling.report import config_map

pytestmark = pytest.mark.integration

NAMESPACE = "profiled"
PLACE = ["--placement", "cpu", "--variant", "full", "-n", NAMESPACE, "--name", "speeds"]


@pytest.fixture
def kubectl(api_server: Path) -> Kubectl:
    """The kubectl of an API server with a namespace that enforces the restricted standard."""
    made = kubectl_for(api_server)
    made("create", "namespace", NAMESPACE)
    made("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    return made


def printed(capsys: pytest.CaptureFixture[str], request_file: Path) -> str:
    """Return what the command prints with a request file as large as a ConfigMap holds."""
    start, end = '{"inputs": ["', '"]}\n'
    request_file.write_text(start + "x" * (LARGEST_REQUEST_BYTES - len(start) - len(end)) + end)
    more = ["--job", "--apply", "--request", str(request_file)]
    assert main(["profile", "http://one:8080", "--model", "m", *PLACE, *more]) == 0
    return capsys.readouterr().out


def refusal(calls: ClusterCalls, name: str) -> int:
    """Return the status with which a ConfigMap of this name is refused."""
    with pytest.raises(ApiCallError) as refused:
        calls.apply(config_map(name, NAMESPACE, "{}"), "modelscaler-profile")
    return refused.value.status


def test_job_is_admitted_and_writes_one_configmap_alone(
    api_server: Path, kubectl: Kubectl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, tmp_path / "request.json")
    kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=text)
    *_, job = yaml.safe_load_all(text)
    spec = job["spec"]["template"]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": NAMESPACE}, "spec": spec}
    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))

    api: Any = connect(str(api_server))
    api.set_default_header("Impersonate-User", f"system:serviceaccount:{NAMESPACE}:{spec['serviceAccountName']}")
    calls = ClusterCalls(api)
    assert calls.config_map(NAMESPACE, "speeds") is None
    for content in ('{"entries": []}', '{"entries": [ ]}'):  # once it is made, once it is there
        calls.apply(config_map("speeds", NAMESPACE, content), "modelscaler-profile")
        assert calls.config_map(NAMESPACE, "speeds") == {"profile.json": content}
    assert refusal(calls, "others") == 403
    core: Any = client.CoreV1Api(api)
    with pytest.raises(client.ApiException, match="403"):
        core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "speeds"}})
