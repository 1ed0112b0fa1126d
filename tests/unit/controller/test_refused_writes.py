"""What the API server refuses, or what is not ours: told, tried again, and never in the way of another choice."""

from typing import Any

import pytest

from loop_rig import (
    START,
    Harness,
    run_all_pods,
    running,
)
from modelscaler.cluster import writes
from modelscaler.cluster.errors import ApiCallError, NotOursError
from modelscaler.domain import (
    Value,
)

TWO_PLACEMENTS: dict[str, Any] = {
    "spec.placements": [{"name": "cpu", "hourlyCost": "0.25"}, {"name": "gpu", "hourlyCost": "1"}],
    "spec.capacity": [
        {"placement": place, "variant": "full", "perRequestMilliseconds": "5"} for place in ("cpu", "gpu")
    ],
}


async def test_runner_up_serves_when_the_deployment_of_the_better_pool_is_refused_and_the_status_says_why() -> None:
    async with running(Harness()) as harness:
        harness.cluster.refused["ranker-cpu-full"] = ApiCallError("403 denied by policy: no cpu", status=403)
        harness.deploy(**TWO_PLACEMENTS)
        await harness.tick()
        (warning,) = [event for event in harness.cluster.events if event["type"] == "Warning"]
        assert (warning["reason"], warning["note"]) == ("WriteRefused", "403 denied by policy: no cpu")
        run_all_pods(harness)
        await harness.settled()
        assert harness.status["active"]["placement"] == "gpu"
        assert harness.status["unavailable"][0]["reason"] == "WriteRefused"
        assert harness.condition("Applied")["status"] == "True", "nothing that is wanted now is refused"
        harness.cluster.refused.clear()
        harness.source.offered = Value(5.0, START)
        for _ in range(20):
            await harness.tick()
        assert ("Deployment", "ranker-cpu-full") in harness.cluster.objects, "it is tried again, being cheaper"


async def test_refused_write_is_tried_with_every_tick_and_not_in_between() -> None:
    async with running(Harness()) as harness:
        harness.cluster.refused["ranker"] = NotOursError("Service", {"namespace": "shop", "name": "ranker"}, "a: b")
        harness.deploy()
        harness.source.offered = Value(5.0, START)
        await harness.tick()
        assert harness.condition("Applied")["reason"] == "WorkloadConflict"
        tries = len(harness.failed)
        for _ in range(3):
            await harness.tick()
        assert len(harness.failed) == tries + 3
        assert [event["reason"] for event in harness.cluster.events if event["type"] == "Warning"] == [
            "WorkloadConflict"
        ]
        harness.cluster.refused.clear()
        for _ in range(2):
            await harness.tick()
        assert harness.condition("Applied")["status"] == "True"


async def test_pool_is_not_given_up_when_the_server_only_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "MAX_ATTEMPTS", 1)
    async with running(Harness()) as harness:
        harness.cluster.refused["ranker-cpu-full"] = ApiCallError("500 webhook timed out", status=500)
        harness.deploy(**TWO_PLACEMENTS)
        for _ in range(3):
            await harness.tick()
        assert harness.condition("Applied")["reason"] == "WriteRefused"
        assert harness.status["desired"]["placement"] == "cpu"


async def test_one_refusal_is_told_once_though_the_server_words_it_anew_each_time() -> None:
    async with running(Harness()) as harness:
        harness.cluster.says_more = True
        harness.cluster.refused["ranker"] = ApiCallError("403 denied, request {number}", status=403)
        harness.deploy()
        for _ in range(3):
            await harness.tick()
        assert harness.cluster.tried <= 2 + 2 * 3 + 1
        assert [event["reason"] for event in harness.cluster.events if event["type"] == "Warning"] == ["WriteRefused"]


async def test_nothing_is_called_refused_when_nothing_is_written() -> None:
    async with running(Harness()) as harness:
        harness.cluster.refused["ranker"] = ApiCallError("403 denied", status=403)
        harness.deploy()
        await harness.tick()
        assert harness.condition("Applied")["status"] == "False"
        paused = {"metadata.annotations": {"modelscaler.dev/paused": "true"}, "metadata.generation": 1}
        harness.deploy(**paused)
        for _ in range(2):
            await harness.tick()
        assert harness.condition("Applied")["status"] == "True"


async def test_pool_is_tried_again_however_often_it_failed() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**TWO_PLACEMENTS)
        outage = {"placement": "cpu", "variant": "full", "reason": "WriteRefused", "failures": 5000}
        body = harness.cluster.objects["ModelDeployment", "ranker"]
        outage |= {"retryTime": START.isoformat().replace("+00:00", "Z")}
        harness.mirror.absorb("ModelDeployment", harness.cluster.put(body | {"status": {"unavailable": [outage]}}))
        harness.cluster.refused["ranker-cpu-full"] = ApiCallError("403 denied", status=403)
        for _ in range(2):
            await harness.tick()
        assert harness.status["desired"]["placement"] == "gpu"
