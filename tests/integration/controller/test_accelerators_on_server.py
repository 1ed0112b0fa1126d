"""Nodes, pods and quotas as the real API server has them, counted with the chart's permissions and shared out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import CPU_INT8, GPU_INT8, capacity, observation, placement, pool, workload
from helmchart import NAMESPACE as OPERATOR
from helmchart import render
from kubectl import Kubectl, kubectl_for
from manifests import model_deployment
from modelscaler.api import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, POOL_LABEL
from modelscaler.api.words import GrantReason
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.connection import connect
from modelscaler.controller.accelerators import Accelerators
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.telemetry import Telemetry
from modelscaler.domain import PolicyState, WorkloadKey
from modelscaler.planner.claims import Bidder
from modelscaler.planner.plan import sized_options

pytestmark = pytest.mark.integration

GPU = "example.com/gpu"  # no other test of this server has nodes with it
SHARED = "sharing"


@pytest.fixture(scope="module")
def kubectl(api_server: Path) -> Kubectl:
    return kubectl_for(api_server)


@pytest.fixture(scope="module")
def cluster(kubectl: Kubectl) -> Iterator[None]:
    """Three nodes, one of them cordoned, with five units in all; pods of ours and of others on them; the operator's roles."""
    for namespace in (OPERATOR, SHARED):
        kubectl("apply", "-f", "-", stdin=json.dumps(named("Namespace", namespace)))
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(roles()))
    for name, units, cordoned in (("sharing-a", "2", False), ("sharing-b", "2", False), ("sharing-c", "1", True)):
        kubectl("create", "-f", "-", stdin=json.dumps(named("Node", name) | {"spec": {"unschedulable": cordoned}}))
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]
        amounts = {GPU: units, "pods": "10"}
        status = {"status": {"capacity": amounts, "allocatable": amounts, "conditions": conditions}}
        kubectl("patch", "node", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    kubectl(
        "create",
        "-f",
        "-",
        stdin=yaml.safe_dump_all([pod("ours", "sharing-a", "low"), pod("theirs", "sharing-b", None)]),
    )
    yield
    kubectl("delete", "--wait=false", "node", "sharing-a", "sharing-b", "sharing-c")
    kubectl("-n", SHARED, "delete", "pods", "--all", "--force", "--grace-period=0")
    kubectl("delete", "--wait=false", "-f", "-", stdin=yaml.safe_dump_all(roles()))


def named(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def roles() -> list[dict[str, Any]]:
    kinds = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    return [document for document in render() if document["kind"] in kinds]


def pod(name: str, node: str, owner: str | None) -> dict[str, Any]:
    labels = {MANAGED_BY_LABEL: MANAGED_BY, DEPLOYMENT_LABEL: owner, POOL_LABEL: "gpu-int8"} if owner else {}
    container = {"name": "c", "image": "i", "resources": {"limits": {GPU: "1"}}}
    spec = {"nodeName": node, "containers": [container], "automountServiceAccountToken": False}
    return named("Pod", name) | {"metadata": {"name": name, "namespace": SHARED, "labels": labels}, "spec": spec}


def calls(api_server: Path, as_operator: bool = True, namespace: str | None = None) -> ClusterCalls:
    """Return the calls, made as the chart's service account or as one without permissions."""
    api: Any = connect(str(api_server))
    account = "release-modelscaler" if as_operator else "default"
    api.set_default_header("Impersonate-User", f"system:serviceaccount:{OPERATOR}:{account}")
    return ClusterCalls(api, namespace)


def bidder(name: str, priority: int = 0, held: int = 0) -> Bidder:
    made = workload(
        key=WorkloadKey(SHARED, name),
        placements=(placement("cpu"), placement("gpu", accelerator=GPU)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
        priority=priority,
    )
    active = GPU_INT8 if held else CPU_INT8
    seen, state = observation(700.0, pool(active, held or 9), selected=active), PolicyState(active=active)
    return Bidder(made, seen, state, sized_options(made, seen, None, state, 15.0))


async def shared(
    api_server: Path, made: ClusterCalls, *bidders: Bidder, counts_nodes: bool = True
) -> dict[str, tuple[int, GrantReason]]:
    """Count by these calls, share out, and return what each may have, and why."""
    mirror = Mirror(lambda _: None)
    accelerators = Accelerators(made, mirror, Telemetry(), counts_nodes)
    for each in bidders:
        gpu = {"name": "gpu", "hourlyCost": "1", "accelerator": {"resourceName": GPU}}
        changes = {"metadata.name": each.key.name, "metadata.namespace": SHARED, "metadata.uid": "u"}
        mirror.absorb("ModelDeployment", model_deployment(changes | {"spec.placements.1": gpu}))
    for body in ClusterCalls(connect(str(api_server))).list("Pod", f"{MANAGED_BY_LABEL}={MANAGED_BY}").items:
        mirror.absorb("Pod", body)
    await accelerators.count([entry for each in bidders if (entry := mirror.entry(each.key))])
    await accelerators.share(bidders)
    found = {each.key.name: accelerators.allowances(each.key)[0] for each in bidders}
    return {name: (allowance.replicas, allowance.reason) for name, allowance in found.items()}


async def test_units_of_ready_nodes_go_by_priority_less_what_others_have(api_server: Path, cluster: None) -> None:
    """Four units on nodes that take pods, one of them another's: three, of which `high` wants two, and `low` has one."""
    found = await shared(
        api_server, calls(api_server), bidder("low", held=1), bidder("high", priority=1), bidder("none")
    )

    assert found == {
        "low": (1, GrantReason.OUTRANKED),
        "high": (2, GrantReason.AS_WANTED),
        "none": (0, GrantReason.OUTRANKED),
    }


async def test_quota_limits_its_namespace(api_server: Path, cluster: None, kubectl: Kubectl) -> None:
    quota = named("ResourceQuota", "gpus") | {"spec": {"hard": {f"requests.{GPU}": "3"}}}
    kubectl("-n", SHARED, "create", "-f", "-", stdin=json.dumps(quota))
    status = {"status": {"hard": quota["spec"]["hard"], "used": {f"requests.{GPU}": "2"}}}
    kubectl("-n", SHARED, "patch", "quota", "gpus", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    try:
        both = bidder("low", held=1), bidder("high", priority=1)
        counted = await shared(api_server, calls(api_server), *both)
        by_quota = await shared(api_server, calls(api_server, namespace=SHARED), *both, counts_nodes=False)
    finally:
        kubectl("-n", SHARED, "delete", "quota", "gpus")

    expected = {"low": (0, GrantReason.OUTRANKED), "high": (1, GrantReason.HANDOVER)}
    assert counted == by_quota == expected, "two of three are left: high is to have both, and one is not free yet"


async def test_nobody_gets_more_when_the_operator_may_not_list_nodes(api_server: Path, cluster: None) -> None:
    powerless = calls(api_server, as_operator=False)

    found = await shared(api_server, powerless, bidder("low", held=1), bidder("high", priority=1))

    assert found == {"low": (1, GrantReason.UNKNOWN), "high": (0, GrantReason.UNKNOWN)}
