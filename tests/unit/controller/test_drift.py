"""Children that others change, or that nobody watches, are mended, and nobody is fought with."""

from copy import deepcopy
from dataclasses import replace

import pytest

from loop_rig import Harness, running
from modelscaler.controller import drift
from modelscaler.domain import WorkloadKey

KEY = WorkloadKey("shop", "ranker")


@pytest.mark.parametrize("kind", ["Deployment", "Service"])
async def test_child_is_mended_when_somebody_changes_a_field_of_ours(kind: str) -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        for _ in range(2):
            await harness.tick()
        name = "ranker-cpu-full" if kind == "Deployment" else "ranker"
        as_applied = harness.cluster.objects[kind, name]
        taken = deepcopy(as_applied) | {"spec": {"replicas": 1, "selector": {}}}
        taken["metadata"]["managedFields"] = [
            {"manager": "modelscaler", "operation": "Apply", "fieldsV1": {}},
            {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {}}},
        ]
        harness.mirror.absorb(kind, harness.cluster.put(taken))  # type: ignore[arg-type]
        await harness.settled()
        assert harness.cluster.objects[kind, name]["spec"] == as_applied["spec"]
        before = list(harness.cluster.writes)
        await harness.tick()
        assert [write for write in harness.cluster.writes[len(before) :] if write[0] == "modelscaler"] == []
        assert [event["reason"] for event in harness.cluster.events].count("ChangedByOthers") == 1


async def test_a_child_that_is_taken_again_and_again_is_mended_less_and_less_often() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        mended = []
        for _ in range(240):
            theirs = deepcopy(harness.cluster.objects["Service", "ranker"])
            theirs["metadata"]["managedFields"] = [{"manager": "modelscaler", "operation": "Apply", "fieldsV1": {}}]
            harness.mirror.absorb("Service", harness.cluster.put(theirs))
            before = len(harness.cluster.writes)
            await harness.tick()
            mended.append(("modelscaler", "ranker") in harness.cluster.writes[before:])
        assert sum(mended[:20]) > sum(mended[100:120])
        assert sum(mended) < 20
        assert [event["reason"] for event in harness.cluster.events].count("ChangedByOthers") == 1


async def test_what_is_not_watched_is_mended_within_the_hour() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        del harness.cluster.objects["ConfigMap", "ranker-cpu-full-ladder"]
        before = len(harness.cluster.writes)
        for _ in range(61):
            await harness.tick(seconds=60.0)
        assert ("ConfigMap", "ranker-cpu-full-ladder") in harness.cluster.objects
        anew = [write for write in harness.cluster.writes[before:] if write[0] == "modelscaler"]
        assert len(anew) == 3, "a ladder, its Deployment and the Service, once"


async def test_what_changed_while_no_operator_ran_is_mended_within_minutes() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        service = harness.mirror.service(KEY)
        assert service is not None
        seconds = 0.0
        started_again = drift.Drift(lambda _: None, lambda: seconds)
        assert not started_again.found(service), "not all children of a fleet at once"
        seconds = drift.FIRST_ANEW_SECONDS
        assert started_again.found(service)
        started_again.applied(service)
        assert not started_again.found(service)
        seconds += drift.ANEW_SECONDS
        assert started_again.found(service)


async def test_all_that_was_seen_first_together_is_not_applied_together_ever_after() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        service = harness.mirror.service(KEY)
        assert service is not None
        fleet, seconds = [replace(service, name=f"m{number}") for number in range(500)], 0.0
        started_again = drift.Drift(lambda _: None, lambda: seconds)
        applied = []
        for _ in range(18):
            seconds += drift.FIRST_ANEW_SECONDS
            due = [child for child in fleet if started_again.found(child)]
            for child in due:
                started_again.applied(child)
            applied.append(len(due))
        assert sum(applied[:2]) >= 500
        assert max(applied[6:]) < 500 // 4
        assert sum(applied[6:12]) == sum(applied[12:]) == 500
