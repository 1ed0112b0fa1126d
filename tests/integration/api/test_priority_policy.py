"""The policy that makes spec.priority a right of the namespace, on the real API server."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from kubectl import kubectl_for
from manifests import model_deployment

pytestmark = pytest.mark.integration

POLICY = Path(__file__).parents[3] / "examples" / "06-shared-accelerators" / "policy" / "priority-ceiling.yaml"
NAMESPACES: dict[str, dict[str, str]] = {"priced": {"modelscaler.dev/max-priority": "10"}, "plain": {}}
IN_FORCE_WITHIN_SECONDS = 30.0


@pytest.fixture(scope="module")
def policy(api_server: Path, crd_installed: None) -> Iterator[None]:
    kubectl = kubectl_for(api_server)
    for name, labels in NAMESPACES.items():
        meta = {"name": name, "labels": labels}
        kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}))
    kubectl("apply", "-f", str(POLICY))
    yield
    kubectl("delete", "-f", str(POLICY))
    kubectl("delete", "namespace", *NAMESPACES, "--wait=false")


def answer(api: Any, namespace: str, priority: int) -> str:
    """Return why a ModelDeployment of that priority is refused; "" when it is not."""
    manifest = model_deployment({"spec.priority": priority, "metadata.namespace": namespace})
    try:
        api.create_namespaced_custom_object(
            "modelscaler.dev", "v1alpha1", namespace, "modeldeployments", manifest, dry_run="All"
        )
    except ApiException as error:
        return str(error.body)
    return ""


@pytest.mark.parametrize(("namespace", "ceiling"), [("priced", 10), ("plain", 0)])
def test_priority_is_refused_above_what_the_namespace_allows(
    policy: None, model_deployments: Any, namespace: str, ceiling: int
) -> None:
    deadline = time.monotonic() + IN_FORCE_WITHIN_SECONDS
    while not (why := answer(model_deployments, namespace, ceiling + 1)):
        assert time.monotonic() < deadline, "the policy is not in force"
        time.sleep(0.2)
    assert f"spec.priority {ceiling + 1}: expected at most {ceiling}" in why
    assert answer(model_deployments, namespace, ceiling) == ""
