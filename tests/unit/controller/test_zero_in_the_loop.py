"""To zero replicas and back on a fake cluster: what is written, in which order, and what people are told."""

from datetime import timedelta
from typing import Any

from loop_rig import Harness, run_all_pods, running
from modelscaler.cluster.errors import ApiCallError
from modelscaler.controller.decide import bidder
from modelscaler.domain import Absent, SourceError, Value, WorkloadKey, Zero, known
from modelscaler.planner.claims import Bidder

KEY = WorkloadKey("shop", "ranker")
POOL, ACTIVATOR = "ranker-cpu-full", "ranker-activator"
ZERO: dict[str, Any] = {"spec.scaling": {"minReplicas": 0, "scaleToZero": {"afterSeconds": 60}}}


def selected(harness: Harness) -> str:
    selector = harness.cluster.objects["Service", "ranker"]["spec"]["selector"]
    return str(selector["modelscaler.dev/pool"])


def replicas(harness: Harness, name: str = POOL) -> int:
    return int(harness.cluster.objects["Deployment", name]["spec"]["replicas"])


async def tick(harness: Harness, rps: float = 0.0, waiting: float = 0.0, ticks: int = 1) -> None:
    """Let time pass under a load, all pods that are asked for running."""
    for _ in range(ticks):
        harness.source.offered = Value(rps, harness.now) if rps else Zero(harness.now)
        harness.source.queued = Value(waiting, harness.now) if waiting else Zero(harness.now)
        await harness.tick()
        run_all_pods(harness)
        await harness.settled()


async def asleep(harness: Harness, **changes: Any) -> None:
    """Let nobody ask until no replica is left."""
    harness.deploy(**{**ZERO, **changes})
    await tick(harness, ticks=8)
    assert (selected(harness), replicas(harness)) == ("activator", 0)


async def test_activator_is_made_once_and_not_written_again_when_nothing_changes() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**ZERO)
        await tick(harness, 5.0, ticks=12)
        written = [name for manager, name in harness.cluster.writes if manager == "modelscaler"]
        assert written.count(ACTIVATOR) == 1
        assert selected(harness) == "cpu-full"


async def test_there_is_no_activator_when_zero_is_not_asked_for() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await tick(harness, ticks=12)
        assert ("Deployment", ACTIVATOR) not in harness.cluster.objects
        assert replicas(harness) == 1


async def test_service_goes_to_the_activator_before_the_replicas_go_when_nobody_asks() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        last = [
            (manager, name)
            for manager, name in harness.cluster.writes
            if name in ("ranker", POOL) and manager != "modelscaler-status"
        ]
        assert last[-2:] == [("modelscaler", "ranker"), ("modelscaler-scale", POOL)]
        assert ("Deployment", POOL) in harness.cluster.objects, "its template stays"


async def test_nothing_is_written_when_all_sleep() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        await tick(harness, ticks=3)
        before = len(harness.cluster.writes)
        await tick(harness, ticks=20)
        assert harness.cluster.writes[before:] == []


async def test_people_are_told_why_there_is_no_replica_and_since_when_it_is_quiet() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        status = harness.status
        assert (harness.condition("Ready")["status"], harness.condition("Ready")["reason"]) == ("True", "Idle")
        assert (status["active"]["replicas"], status["active"]["readyReplicas"]) == (0, 0)
        assert (status["desired"]["replicas"], status["desired"]["hourlyCost"]) == (0, "0")
        assert status["lastDecision"]["reason"] == "Idle"
        assert "nobody has asked for 60 s" in status["lastDecision"]["message"]
        assert status["policy"]["quietSince"] < harness.now.isoformat()
        assert [event["reason"] for event in harness.cluster.events].count("Idle") == 1


async def test_pool_starts_and_the_service_returns_to_it_when_somebody_waits() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        harness.source.queued = Value(2.0, harness.now)
        await harness.tick()
        assert (selected(harness), replicas(harness)) == ("activator", 1), "nothing is ready yet"
        assert (harness.condition("Ready")["status"], harness.condition("Ready")["reason"]) == ("True", "Waking")
        assert "the activator holds 2 until one is ready" in harness.status["lastDecision"]["message"]
        events = len(harness.cluster.events)
        run_all_pods(harness)
        await harness.settled()
        assert selected(harness) == "cpu-full"
        assert (harness.condition("Ready")["status"], harness.condition("Ready")["reason"]) == (
            "True",
            "EnoughReplicasReady",
        )
        assert harness.cluster.events[events:] == [], "it was True all the while"
        assert "quietSince" not in harness.status["policy"]


async def test_pool_starts_when_metrics_are_missing() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        harness.source.offered = SourceError("timeout")
        for expected in (0, 0, 0, 1):
            await harness.tick()
            assert replicas(harness) == expected


async def test_pool_starts_at_once_when_the_activator_is_lost_between_two_ticks() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        harness.mirror.drop("Pod", harness.cluster.objects["Pod", f"{ACTIVATOR}-0"])
        await harness.settled()
        assert replicas(harness) == 1
        assert harness.condition("Ready")["reason"] == "NoReplicaReady"
        assert "neither the activator" in harness.condition("Ready")["message"]


async def test_activator_goes_when_zero_is_not_asked_for_any_more_and_a_replica_serves() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        edit(harness, **{"metadata.generation": 2})
        await harness.settled()
        assert (selected(harness), replicas(harness)) == ("activator", 1)
        assert ("Deployment", ACTIVATOR) in harness.cluster.objects
        run_all_pods(harness)
        await harness.settled()
        assert selected(harness) == "cpu-full"
        assert ("Deployment", ACTIVATOR) not in harness.cluster.objects
        last = [(m, n) for m, n in harness.cluster.writes if n in ("ranker", ACTIVATOR) and m != "modelscaler-status"]
        assert last[-2:] == [("modelscaler", "ranker"), ("delete", ACTIVATOR)]


async def test_replicas_stay_when_the_activator_cannot_be_made() -> None:
    async with running(Harness()) as harness:
        harness.cluster.refused[ACTIVATOR] = ApiCallError("exceeded quota", status=403)
        harness.deploy(**ZERO)
        await tick(harness, ticks=12)
        assert (selected(harness), replicas(harness)) == ("cpu-full", 1)
        assert harness.condition("Applied")["status"] == "False"
        assert harness.condition("Ready")["status"] == "True"


async def test_sleepers_are_left_as_they_are_when_the_operator_begins_anew() -> None:
    async with running(Harness()) as first:
        await asleep(first)
        async with running(Harness()) as second:
            second.cluster, second.now = first.cluster, first.now
            second.loop._calls = second.loop._applier._calls = first.cluster  # type: ignore[assignment]
            before = len(second.cluster.writes)
            await tick(second, ticks=2)
            assert (selected(second), replicas(second)) == ("activator", 0)
            assert second.cluster.writes[before:] == []


def edit(harness: Harness, **changes: Any) -> None:
    """Let the user change the spec, or an annotation; the status stays."""
    harness.deploy(**{**changes, "status": harness.status})


async def test_nobody_is_put_to_sleep_nor_woken_when_paused() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**ZERO)
        await tick(harness, ticks=2)
        paused = {**ZERO, "metadata.annotations": {"modelscaler.dev/paused": "true"}}
        edit(harness, **paused)
        await tick(harness, ticks=8)
        assert (selected(harness), replicas(harness)) == ("cpu-full", 1)
        assert harness.status["lastDecision"]["message"].startswith("paused; would have: nobody has asked")
        edit(harness, **ZERO)
        await tick(harness)
        assert (selected(harness), replicas(harness)) == ("activator", 0)
        edit(harness, **paused)
        await tick(harness, waiting=3.0, ticks=3)
        assert (selected(harness), replicas(harness)) == ("activator", 0)
        assert harness.condition("Ready")["status"] == "False", "nobody would be answered"
        edit(harness, **ZERO)
        await tick(harness, waiting=3.0, ticks=2)
        assert (selected(harness), replicas(harness)) == ("cpu-full", 1)


async def test_activator_does_not_count_among_those_that_report() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**ZERO)
        await tick(harness, 5.0, ticks=3)
        run_all_pods(harness, since=harness.now - timedelta(seconds=600))
        harness.source.reporting = Value(1.0, harness.now)
        await harness.tick()
        entry = harness.mirror.entry(KEY)
        assert entry is not None
        seen = harness.loop._fleet.observation(entry, harness.now, new_readings=True)
        assert known(seen.offered) == 5.0, "two pods are ready, of which one is a replica, and heard of"
        assert (seen.activator_ready, seen.held) == (True, False)


async def test_nobody_asks_is_not_known_when_the_activator_alone_reports() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{**ZERO, "spec.scaling": {"minReplicas": 0, "maxReplicas": 9}})
        await tick(harness, 200.0, ticks=8)
        before = replicas(harness)
        assert before > 1
        for name in [name for kind, name in harness.cluster.objects if kind == "Pod" and name.startswith(POOL)]:
            harness.mirror.drop("Pod", harness.cluster.objects["Pod", name])
        harness.source.offered, harness.source.reporting = Zero(harness.now), Absent()
        for _ in range(40):
            await harness.tick()
        assert replicas(harness) == before, "all that is known is that the activator got nothing"
        assert harness.condition("MetricsAvailable")["status"] != "True"


async def test_activator_that_is_not_heard_of_does_not_count_as_ready() -> None:
    async with running(Harness()) as harness:
        harness.source.activators = Absent()
        harness.deploy(**ZERO)
        await tick(harness, ticks=12)
        assert (selected(harness), replicas(harness)) == ("cpu-full", 1)
        assert "Prometheus does not scrape it" in harness.status["lastDecision"]["message"]


async def test_observation_says_whether_the_activator_is_ready_and_selected() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        entry = harness.mirror.entry(KEY)
        assert entry is not None
        seen = harness.loop._fleet.observation(entry, harness.now, new_readings=True)
        assert (seen.activator_ready, seen.held, seen.selected) == (True, True, None)
        assert [found.pool.placement for found in seen.pools] == ["cpu"], "it is no pool"
        harness.mirror.drop("Pod", harness.cluster.objects["Pod", f"{ACTIVATOR}-0"])
        assert not harness.loop._fleet.observation(entry, harness.now, new_readings=False).activator_ready


GPU = "nvidia.com/gpu"
ON_GPU = {**ZERO, "spec.placements.0.accelerator": {"resourceName": GPU}}


NODE: dict[str, Any] = {
    "kind": "Node",
    "metadata": {"name": "n1"},
    "status": {"allocatable": {GPU: "1"}, "conditions": [{"type": "Ready", "status": "True"}]},
}


def claim(harness: Harness) -> Bidder | None:
    """Return what is bid for accelerators now."""
    entry = harness.loop._entry(KEY)
    assert entry is not None
    return bidder(harness.loop._inputs(entry, True), harness.loop._settings)


async def test_nothing_is_bid_for_accelerators_while_nobody_asks_and_nothing_is_remembered_as_held() -> None:
    async with running(Harness()) as harness:
        harness.cluster.put(NODE)
        harness.deploy(**ON_GPU)
        await tick(harness, ticks=2)
        assert claim(harness) is not None
        assert "acceleratorHeldSince" in harness.status["policy"]
        await tick(harness, ticks=8)
        assert (selected(harness), replicas(harness)) == ("activator", 0)
        assert claim(harness) is None
        assert not {"acceleratorHeldSince", "acceleratorWantedSince"} & set(harness.status["policy"])

        harness.source.queued = Value(2.0, harness.now)
        await harness.tick()
        assert claim(harness) is not None
        assert replicas(harness) == 1


async def test_accelerators_are_bid_for_again_when_the_pool_that_sleeps_has_left_the_spec() -> None:
    async with running(Harness()) as harness:
        harness.cluster.put(NODE)
        await asleep(harness, **ON_GPU)
        assert claim(harness) is None
        other = {"spec.capacity.0.variant": "int8", "metadata.generation": 2}
        edit(harness, **{**ON_GPU, **other})
        assert claim(harness) is not None


async def test_pool_starts_between_two_ticks_when_an_activator_says_that_somebody_waits() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        reads = harness.source.reads
        harness.doorbells._note((KEY, "10.0.0.7"), 2)
        await harness.settled()
        assert (selected(harness), replicas(harness)) == ("activator", 1)
        assert harness.source.reads == reads, "nobody asked Prometheus"
        assert "the activator holds 2 until one is ready" in harness.status["lastDecision"]["message"]

        await tick(harness)
        await tick(harness)
        assert (selected(harness), replicas(harness)) == ("cpu-full", 1)


async def test_activators_are_listened_to_only_while_they_take_requests() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**ZERO)
        await tick(harness)
        assert harness.doorbells._doors == set()
        await tick(harness, ticks=7)
        assert (selected(harness), harness.doorbells._doors) == ("activator", {(KEY, "10.0.0.7")})
        await tick(harness, 5.0, ticks=2)
        assert (selected(harness), harness.doorbells._doors) == ("cpu-full", set())


async def test_pool_that_one_request_woke_sleeps_again_when_nothing_else_is_worth_a_write() -> None:
    """What was answered before the first scrape is in no rate: the load is zero all the while."""
    async with running(Harness()) as harness:
        await asleep(harness)
        harness.doorbells._note((KEY, "10.0.0.7"), 1)
        await harness.settled()
        run_all_pods(harness)
        await harness.settled()
        assert (selected(harness), replicas(harness)) == ("cpu-full", 1)
        await tick(harness, ticks=8)
        assert (selected(harness), replicas(harness)) == ("activator", 0)


async def test_sleepers_sleep_on_when_they_cannot_be_managed_for_a_while() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        edit(harness, **{"metadata.generation": 2, **ZERO, "spec.variants": []})
        await tick(harness)
        assert harness.condition("Accepted")["status"] == "False"
        edit(harness, **{"metadata.generation": 3, **ZERO})
        await tick(harness, ticks=2)
        assert (selected(harness), replicas(harness)) == ("activator", 0)


async def test_nobody_was_quiet_while_it_could_not_be_managed() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**ZERO)
        await tick(harness, ticks=3)
        edit(harness, **{"metadata.generation": 2, **ZERO, "spec.variants": []})
        await tick(harness, ticks=8)
        edit(harness, **{"metadata.generation": 3, **ZERO})
        await tick(harness, ticks=2)
        assert (selected(harness), replicas(harness)) == ("cpu-full", 1)


async def test_what_wakes_grows_at_once_with_what_is_held_whatever_the_rate_limits() -> None:
    slowly = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    zero = {"spec.scaling": {**ZERO["spec.scaling"], "maxReplicas": 8, "behavior": {"scaleUp": slowly}}}
    async with running(Harness()) as harness:
        await asleep(harness, **zero)
        harness.doorbells._note((KEY, "10.0.0.7"), 1)
        await harness.settled()
        assert replicas(harness) == 1
        harness.doorbells._note((KEY, "10.0.0.7"), 50_000)
        await harness.settled()
        assert replicas(harness) == 8


async def test_activators_are_not_listened_to_without_a_modeldeployment_or_more_than_two_of_them() -> None:
    async with running(Harness()) as harness:
        await asleep(harness)
        pod = harness.cluster.objects["Pod", f"{ACTIVATOR}-0"]
        for number in range(1, 4):
            status = {**pod["status"], "podIP": f"10.0.0.{number}"}
            another = {**pod, "metadata": {**pod["metadata"], "name": f"another-{number}"}, "status": status}
            harness.mirror.absorb("Pod", harness.cluster.put(another))
        assert len(list(harness.mirror.holders())) == 2
        harness.mirror.drop("ModelDeployment", harness.cluster.objects["ModelDeployment", "ranker"])
        assert list(harness.mirror.holders()) == []
