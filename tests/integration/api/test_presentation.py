"""What people see of a ModelDeployment through kubectl: explain, get, and the status the operator writes."""

from collections.abc import Iterator
from typing import Any

import pytest

from kubectl import Kubectl
from manifests import model_deployment
from modelscaler.api.v1alpha1 import ActivePool, Condition, DesiredPool, LoadStatus, ModelDeploymentStatus

pytestmark = pytest.mark.integration

NAME = "shown"
OBJECT = ("modelscaler.dev", "v1alpha1", "default", "modeldeployments")
STATUS = ModelDeploymentStatus(
    observed_generation=1,
    conditions=[
        Condition(type="Paused", status="False", reason="NotPaused", last_transition_time="2026-01-01T00:00:00Z")
    ],
    active=ActivePool(placement="cpu", variant="full", replicas=3, ready_replicas=2),
    desired=DesiredPool(placement="cpu", variant="full", replicas=4, hourly_cost="0.8"),
    load=LoadStatus(offered_rps="41.5"),
)


@pytest.fixture
def shown(model_deployments: Any) -> Iterator[Any]:
    """A stored ModelDeployment, deleted afterwards."""
    model_deployments.create_namespaced_custom_object(*OBJECT, model_deployment({"metadata.name": NAME}))
    yield model_deployments
    model_deployments.delete_namespaced_custom_object(*OBJECT, NAME)


def write_status(api: Any, status: dict[str, Any]) -> dict[str, Any]:
    """Apply a status as the operator does."""
    manifest = {"apiVersion": "modelscaler.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": NAME}}
    written: dict[str, Any] = api.patch_namespaced_custom_object_status(
        *OBJECT, NAME, {**manifest, "status": status},
        field_manager="modelscaler-status", force=True, _content_type="application/apply-patch+yaml",
    )  # fmt: skip
    return written


def test_columns_show_what_serves_and_what_is_wanted(shown: Any, kubectl: Kubectl) -> None:
    write_status(shown, STATUS.model_dump(by_alias=True, exclude_none=True))

    header, row = kubectl("get", "mdep", NAME).splitlines()

    assert header.split() == ["NAME", "PLACEMENT", "VARIANT", "DESIRED", "READY", "LOAD", "PAUSED", "AGE"]
    assert row.split()[:7] == [NAME, "cpu", "full", "4", "2", "41.5", "False"]


def test_status_is_stored_whole_and_leaves_the_spec_alone(shown: Any) -> None:
    status = STATUS.model_dump(by_alias=True, exclude_none=True)

    written = write_status(shown, status)

    assert {name: written["status"][name] for name in status} == status
    assert written["metadata"]["generation"] == 1


def test_model_deployments_are_found_by_category(shown: Any, kubectl: Kubectl) -> None:
    assert kubectl("get", "modelscaler", "--output", "name").strip() == f"modeldeployment.modelscaler.dev/{NAME}"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("mdep", "A torch model served on the cheapest mix"),
        ("mdep.spec.slo.latency", "Share of requests, in percent, that must meet the target."),
        ("mdep.spec.placements.hourlyCost", "Price of one replica for an hour"),
        ("mdep.status.lastDecision", "The last decision, with what it was made on."),
    ],
)
def test_explain_describes_the_field(crd_installed: None, kubectl: Kubectl, path: str, sentence: str) -> None:
    assert sentence in " ".join(kubectl("explain", path).split())
