"""Measured starts outlive the process that measured them: the next one plans as far ahead."""

from datetime import timedelta
from typing import Any

import pytest

from loop_rig import START, Harness, running
from modelscaler.domain import PoolKey, Value, WorkloadKey

RANKER = WorkloadKey("shop", "ranker")
START_SECONDS = 180
HORIZON_SECONDS = START_SECONDS + 15
SCALING = {"minReplicas": 1, "maxReplicas": 50}


def let_start(harness: Harness, seconds: float) -> None:
    """Let a pod of every Deployment get ready now, created so many seconds ago."""
    for (kind, name), body in list(harness.cluster.objects.items()):
        if kind == "Deployment":
            meta = {
                "name": f"{name}-0",
                "namespace": "shop",
                "labels": body["spec"]["template"]["metadata"]["labels"],
                "creationTimestamp": (harness.now - timedelta(seconds=seconds)).isoformat(),
            }
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": harness.now.isoformat()}
            pod = {"kind": "Pod", "metadata": meta, "status": {"conditions": [ready]}}
            harness.mirror.absorb("Pod", harness.cluster.put(pod))


def restarted(before: Harness, *left: str) -> Harness:
    """Return another operator that finds objects of some kinds as the last one left them."""
    after = Harness()
    after.now = before.now
    for (kind, _), body in before.cluster.objects.items():
        if kind in left:
            after.mirror.absorb(kind, after.cluster.put(body))  # type: ignore[arg-type]
    return after


def capacity_of(harness: Harness) -> dict[str, Any]:
    entries: list[dict[str, Any]] = harness.status["capacity"]
    return entries[0]


def horizon_of_forecasts(harness: Harness) -> float:
    entry = harness.mirror.entry(RANKER)
    assert entry is not None
    return harness.loop._fleet.requests([entry])[RANKER].horizon_seconds


async def measured() -> Harness:
    """Return an operator that saw a pod start, and has decided since."""
    harness = Harness()
    async with running(harness):
        harness.deploy(**{"spec.scaling": SCALING})
        harness.source.offered = Value(5.0, START)
        await harness.tick()
        assert harness.status["lastDecision"]["horizonSeconds"] == 75, "as the spec says"
        let_start(harness, START_SECONDS)
        harness.source.offered = Value(300.0, START)
        await harness.tick()
    assert harness.status["lastDecision"]["horizonSeconds"] == HORIZON_SECONDS
    assert capacity_of(harness)["measuredStartSeconds"] == START_SECONDS
    return harness


@pytest.mark.parametrize(
    "left", [("ModelDeployment", "Deployment"), ("ModelDeployment",)], ids=["pool without pods", "no pool at all"]
)
async def test_horizon_is_the_same_after_a_restart_when_no_pod_is_left_to_measure(left: tuple[str, ...]) -> None:
    before = await measured()
    after = restarted(before, *left)
    assert after.mirror.starts_seconds(RANKER, PoolKey("cpu", "full")) == []
    async with running(after):
        after.source.offered = Value(900.0, START)
        await after.tick()
        assert after.status["lastDecision"]["time"] != before.status["lastDecision"]["time"]
        assert after.status["lastDecision"]["horizonSeconds"] == HORIZON_SECONDS
        assert capacity_of(after)["measuredStartSeconds"] == START_SECONDS
        assert horizon_of_forecasts(after) == horizon_of_forecasts(before)


async def test_pool_that_is_known_to_start_is_dark_as_soon_after_a_restart_as_before() -> None:
    after = restarted(await measured(), "ModelDeployment", "Deployment")
    async with running(after):
        await after.tick()
        entry = after.mirror.entry(RANKER)
        assert entry is not None
        seen = after.loop._fleet.observation(entry, after.now, new_readings=True)
    assert [pool.start_seconds for pool in seen.pools] == [START_SECONDS]


async def test_start_counts_as_stated_after_a_restart_when_the_status_was_edited_by_hand() -> None:
    before = await measured()
    capacity_of(before)["measuredStartSeconds"] = 0
    after = restarted(before, "ModelDeployment")
    async with running(after):
        after.source.offered = Value(900.0, START)
        await after.tick()
        assert after.status["lastDecision"]["horizonSeconds"] == 75
        assert "measuredStartSeconds" not in capacity_of(after)
