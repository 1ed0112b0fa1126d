"""Accelerators are counted now and then, never on the loop's time, and a count that fails takes nothing away."""

import threading
from collections import Counter
from typing import Any

import pytest

from builders import CPU_INT8, GPU_INT8, capacity, observation, placement, pool, workload
from manifests import model_deployment
from modelscaler.api import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, POOL_LABEL
from modelscaler.api.words import GrantReason
from modelscaler.cluster.calls import Listing
from modelscaler.cluster.errors import ApiCallError
from modelscaler.controller import accelerators as module
from modelscaler.controller.accelerators import COUNT_SECONDS, TRUSTED_SECONDS, Accelerators
from modelscaler.controller.counting import node_units, pod_units, quota_units, requested
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.summaries import Entry
from modelscaler.controller.telemetry import Telemetry
from modelscaler.domain import PolicyState, PoolKey, WorkloadKey
from modelscaler.planner.claims import Bidder
from modelscaler.planner.plan import sized_options
from modelscaler.planner.supply import NodeUnits, QuotaUnits

GPU = "nvidia.com/gpu"
KEY = WorkloadKey("default", "ranker")


def node(name: str = "n1", units: str = "4", ready: str = "True", **spec: Any) -> dict[str, Any]:
    status = {"allocatable": {GPU: units}, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


def pod(name: str = "p", owner: str | None = None, **spec: Any) -> dict[str, Any]:
    labels = {MANAGED_BY_LABEL: MANAGED_BY, DEPLOYMENT_LABEL: owner, POOL_LABEL: "gpu-int8"} if owner else {}
    meta = {"name": name, "namespace": "default", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": meta, "spec": spec or {"containers": [container("1")]}, "status": {}}


def container(units: str, **fields: Any) -> dict[str, Any]:
    return {"resources": {"limits": {GPU: units}}, **fields}


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "default"}, "spec": spec, "status": {"hard": hard, "used": used or {}}}


class FakeCalls:
    """Answers lists; raises while `broken`, and waits while `held`."""

    def __init__(self) -> None:
        self.found: dict[str, list[dict[str, Any]]] = {"Node": [node()], "Pod": [], "ResourceQuota": []}
        self.asked: Counter[str] = Counter()
        self.selectors: list[str] = []
        self.broken = False
        self.released = threading.Event()
        self.released.set()

    def list(self, kind: str, label_selector: str = "", field_selector: str = "") -> Listing:
        assert self.released.wait(10.0)
        self.asked[kind] += 1
        if self.broken:
            raise ApiCallError("list Nodes: 403 forbidden", status=403)
        if field_selector:
            self.selectors.append(field_selector)
        return Listing(tuple(self.found[kind]), 1)


class Rig:
    def __init__(self, counts_nodes: bool = True) -> None:
        self.calls = FakeCalls()
        self.seconds = 1000.0
        self.telemetry = Telemetry()
        self.mirror = Mirror(lambda _: None)
        calls: Any = self.calls
        self.accelerators = Accelerators(
            calls, self.mirror, self.telemetry, counts_nodes, monotonic=lambda: self.seconds
        )

    def entry(self, **changes: Any) -> Entry:
        gpu = {"name": "gpu", "hourlyCost": "0.1", "accelerator": {"resourceName": GPU}}
        body = model_deployment({"metadata.uid": "u", "spec.placements.1": gpu, **changes})
        self.mirror.absorb("ModelDeployment", body)
        entry = self.mirror.entry(WorkloadKey("default", body["metadata"]["name"]))
        assert entry is not None
        return entry

    async def replicas(self, bidder: Bidder, after_seconds: float = COUNT_SECONDS) -> tuple[int, GrantReason]:
        """Count if due, share out, and return what the bidder may have."""
        self.seconds += after_seconds
        await self.accelerators.count([self.entry()])
        await self.accelerators.share([bidder])
        allowance = self.accelerators.allowances(KEY)[0]
        return allowance.replicas, allowance.reason


def wanting(held: int = 0) -> Bidder:
    """Return a bidder that wants a replica on a GPU, and has `held` already."""
    made = workload(
        key=KEY,
        placements=(placement("cpu"), placement("gpu", accelerator=GPU)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
    )
    active: PoolKey = GPU_INT8 if held else CPU_INT8
    seen = observation(300.0, pool(active, held or 4), selected=active)
    state = PolicyState(active=active)
    return Bidder(made, seen, state, sized_options(made, seen, None, state, 15.0))


# --- counting


def test_units_of_our_pods_and_others_are_told_apart_when_they_share_a_node() -> None:
    counted = node_units(node(), [pod("a", "ranker"), pod("b", "ranker"), pod("c")], GPU)

    assert counted == NodeUnits(GPU, 4, {KEY: 2, None: 1})


@pytest.mark.parametrize("away", [node(ready="False"), node(ready="Unknown"), node(unschedulable=True)])
def test_node_has_no_units_for_new_pods_when_it_takes_none(away: dict[str, Any]) -> None:
    assert node_units(away, [pod("a", "ranker")], GPU) == NodeUnits(GPU, 0, {KEY: 1})


def test_pod_takes_the_larger_of_its_containers_together_and_its_largest_init_container() -> None:
    sidecar = container("1", restartPolicy="Always")

    assert pod_units(pod(containers=[container("1"), container("2")]), GPU) == 3
    assert pod_units(pod(containers=[container("1")], initContainers=[container("4")]), GPU) == 4
    assert pod_units(pod(containers=[container("1")], initContainers=[sidecar]), GPU) == 2
    assert pod_units(pod(containers=[{}]), GPU) == 0


def test_quota_is_counted_only_when_it_limits_our_pods() -> None:
    hard, used = {f"requests.{GPU}": "3"}, {f"requests.{GPU}": "2"}

    assert quota_units(quota(hard, used), [GPU]) == [QuotaUnits("default", GPU, 3, 2)]
    assert quota_units(quota(hard, used, scopes=["NotTerminating"]), [GPU]) == [QuotaUnits("default", GPU, 3, 2)]
    assert quota_units(quota(hard, used, scopes=["Terminating"]), [GPU]) == []
    assert quota_units(quota(hard, used, scopeSelector={"matchExpressions": []}), [GPU]) == []
    assert quota_units(quota({"requests.cpu": "3"}), [GPU]) == []


def test_our_requests_are_counted_by_the_specs_of_their_modeldeployments() -> None:
    rig = Rig()
    entry = rig.entry()
    for name in ("a", "b"):
        rig.mirror.absorb("Pod", pod(name, "ranker"))

    assert requested([entry], rig.mirror) == {(KEY, GPU): 2}


# --- when


async def test_nothing_is_read_when_nobody_names_an_accelerator() -> None:
    rig = Rig()

    await rig.accelerators.count([rig.entry(**{"spec.placements": [{"name": "cpu", "hourlyCost": "1"}]})])

    assert rig.calls.asked == {}


async def test_count_is_made_again_only_after_a_while_and_reads_pods_of_accelerator_nodes_alone() -> None:
    rig = Rig()
    rig.calls.found["Node"] = [node("gpu-node"), {"metadata": {"name": "cpu-node"}, "spec": {}, "status": {}}]

    for seconds in (0.0, COUNT_SECONDS - 1.0, 1.0):
        rig.seconds += seconds
        await rig.accelerators.count([rig.entry()])

    assert rig.calls.asked == {"Node": 2, "Pod": 2, "ResourceQuota": 2}
    assert {selector.partition(",")[0] for selector in rig.calls.selectors} == {"spec.nodeName=gpu-node"}


async def test_count_is_made_early_when_a_resource_is_named_that_was_not_looked_for() -> None:
    rig = Rig()
    await rig.accelerators.count([rig.entry()])
    tpu = {"name": "tpu", "hourlyCost": "1", "accelerator": {"resourceName": "google.com/tpu"}}

    rig.seconds += 5.0
    await rig.accelerators.count([rig.entry(**{"spec.placements.2": tpu, "metadata.resourceVersion": "9"})])

    assert rig.calls.asked["Node"] == 2


@pytest.mark.parametrize("counts_nodes", [True, False])
async def test_nodes_are_read_only_when_they_count(counts_nodes: bool) -> None:
    rig = Rig(counts_nodes)
    rig.calls.found["Node"] = []

    assert (await rig.replicas(wanting()))[0] == (0 if counts_nodes else 1)
    assert ("Node" in rig.calls.asked) == counts_nodes


# --- when it fails


async def test_last_count_holds_for_a_while_and_then_everybody_keeps_what_it_has_when_counting_fails() -> None:
    rig = Rig()
    assert await rig.replicas(wanting()) == (1, GrantReason.AS_WANTED)

    rig.calls.broken = True

    assert await rig.replicas(wanting()) == (1, GrantReason.AS_WANTED)
    assert await rig.replicas(wanting(), TRUSTED_SECONDS) == (0, GrantReason.UNKNOWN)
    assert (await rig.replicas(wanting(held=1)))[0] == 1
    errors = rig.telemetry.registry.get_sample_value("modelscaler_errors_total", {"where": "accelerators"})
    assert errors == 3.0


async def test_unit_is_not_free_before_the_pods_of_a_deleted_modeldeployment_are_gone() -> None:
    rig = Rig()
    rig.calls.found["Node"] = [node(units="1")]
    assert await rig.replicas(wanting()) == (1, GrantReason.AS_WANTED)
    entry = rig.entry(**{"metadata.name": "other"})
    body = pod("other-1", "other")
    rig.mirror.absorb("Pod", body)
    await rig.accelerators.count([rig.entry(), entry])

    assert await rig.replicas(wanting(), after_seconds=1.0) == (0, GrantReason.TOO_FEW)
    rig.mirror.drop("Pod", body)
    assert await rig.replicas(wanting(), after_seconds=1.0) == (1, GrantReason.AS_WANTED)


async def test_last_count_holds_when_a_node_says_what_nobody_foresaw() -> None:
    rig = Rig()
    before = await rig.replicas(wanting())
    odd = node()
    odd["status"]["allocatable"] = [GPU]
    rig.calls.found["Node"] = [odd]
    assert await rig.replicas(wanting()) == before
    assert rig.telemetry.registry.get_sample_value("modelscaler_errors_total", {"where": "accelerators"}) == 1.0


async def test_nobody_gets_more_when_nothing_was_counted_yet() -> None:
    rig = Rig()
    rig.calls.broken = True

    assert await rig.replicas(wanting()) == (0, GrantReason.UNKNOWN)
    assert (await rig.replicas(wanting(held=2)))[0] == 2


async def test_tick_goes_on_without_the_count_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.01)
    rig = Rig()
    rig.calls.released.clear()

    assert await rig.replicas(wanting()) == (0, GrantReason.UNKNOWN)

    rig.calls.released.set()
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 10.0)
    assert await rig.replicas(wanting(), 0.0) == (1, GrantReason.AS_WANTED)
    assert rig.calls.asked["Node"] == 1, "the one that was under way"


async def test_everybody_keeps_what_it_has_when_sharing_out_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def fail(*_: Any) -> None:
        raise RuntimeError("solver")

    monkeypatch.setattr(module, "share_out", fail)

    assert await rig.replicas(wanting(held=2)) == (2, GrantReason.UNKNOWN)


def test_sharing_is_asked_for_when_a_placement_is_new() -> None:
    rig = Rig()

    assert rig.accelerators.unshared([rig.entry()])
    assert not rig.accelerators.unshared(
        [rig.entry(**{"spec.scaling": {"mode": "Recommend"}, "metadata.resourceVersion": "7"})]
    )
