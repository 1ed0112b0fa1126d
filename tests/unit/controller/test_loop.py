"""The loop on a fake cluster: first steps, steady state, early passes, and what happens when things go wrong."""

import json
from datetime import timedelta
from typing import Any

import pytest

from loop_rig import (
    START,
    Harness,
    InstantTuner,
    run_all_pods,
    running,
)
from modelscaler.cluster.calls import Listing
from modelscaler.cluster.errors import ApiCallError
from modelscaler.controller import drift
from modelscaler.controller.telemetry import OWNER
from modelscaler.domain import (
    SourceError,
    Value,
    WorkloadKey,
)


async def test_pool_and_service_are_created_and_scaled_when_a_modeldeployment_appears() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 2, "maxReplicas": 5}})
        await harness.tick()
        kinds = sorted(kind for kind, _ in harness.cluster.objects)
        assert kinds == ["ConfigMap", "Deployment", "ModelDeployment", "Service"]
        deployment = next(b for (kind, _), b in harness.cluster.objects.items() if kind == "Deployment")
        assert deployment["spec"]["replicas"] == 2
        assert [event["reason"] for event in harness.cluster.events] == ["FirstPlan"]


async def test_nothing_is_written_when_nothing_changes() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        for _ in range(3):
            await harness.tick()
        before = len(harness.cluster.writes)
        for _ in range(10):
            await harness.tick()
        assert harness.cluster.writes[before:] == []


async def test_load_that_rises_is_planned_for_ahead_of_itself_until_it_is_unknown() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling.maxReplicas": 100})
        loads: list[float | None] = [*[200.0] * 20, 300.0, 500.0, 800.0, None, 1600.0]
        decisions, rises = [], []
        for rps in loads:
            harness.source.offered = SourceError("timeout") if rps is None else Value(rps, harness.now)
            await harness.tick(60.0)
            decisions.append(harness.status["lastDecision"])
            rises.append(shown(harness, "rising_rps"))
        assert "measured 800 rps and rising to 1" in decisions[-3]["message"]
        assert float(decisions[-3]["risingRps"]) == pytest.approx(rises[-3], rel=0.01)
        assert "measured 1600 rps;" in decisions[-1]["message"], "nobody knows what was in between"
        assert (decisions[-1].get("risingRps"), rises[-1], rises[0]) == (None, None, None)


async def test_nothing_rises_when_a_modeldeployment_comes_back_after_it_was_not_accepted() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling.maxReplicas": 100})
        for rps in [*[200.0] * 20, 300.0, 500.0, 800.0]:
            harness.source.offered = Value(rps, harness.now)
            await harness.tick(60.0)
        assert shown(harness, "rising_rps") is not None
        harness.deploy(**{"metadata.generation": 2, "spec.slo.minMeanAccuracy": "0.99"})
        await harness.tick(60.0)
        harness.deploy(**{"metadata.generation": 3, "spec.scaling.maxReplicas": 100})
        await harness.settled()
        assert shown(harness, "planned_rps") is not None, "an early pass has planned"
        assert shown(harness, "rising_rps") is None


async def test_gauges_move_with_every_tick_also_when_nothing_is_written() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        for rps in (20.0, 20.0, 20.0, 20.2):
            harness.source.offered = Value(rps, harness.now)
            before = len(harness.cluster.writes)
            await harness.tick()
        shown = harness.telemetry.registry.get_sample_value(
            "modelscaler_offered_rps", dict(zip(OWNER, ("shop", "ranker"), strict=True))
        )
        assert harness.cluster.writes[before:] == []
        assert shown == 20.2


def shown(harness: Harness, name: str, **labels: str) -> float | None:
    owner = dict(zip(OWNER, ("shop", "ranker"), strict=True))
    return harness.telemetry.registry.get_sample_value(f"modelscaler_{name}", owner | labels)


async def test_gauges_show_what_is_known_and_nothing_where_nothing_is() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        harness.source.offered = Value(5.0, START)
        for _ in range(3):
            await harness.tick()
            run_all_pods(harness)
        await harness.settled()
        assert (shown(harness, "ready_replicas"), shown(harness, "desired_replicas")) == (1.0, 1.0)
        assert (shown(harness, "condition", type="Ready"), shown(harness, "condition", type="Fallback")) == (1.0, 0.0)
        assert shown(harness, "condition", type="SLOMet") is None, "no latency is known"
        assert (shown(harness, "offered_rps"), shown(harness, "hourly_cost")) == (5.0, 0.2)
        harness.source.offered = SourceError("connection refused")
        await harness.tick()
        assert shown(harness, "offered_rps") is None
        assert shown(harness, "condition", type="MetricsAvailable") == 0.0
        gone = harness.cluster.objects.pop(("ModelDeployment", "ranker"))
        harness.mirror.drop("ModelDeployment", gone)
        await harness.tick()
        assert shown(harness, "condition", type="Ready") is None


async def test_ladder_is_there_before_the_pods_that_read_it_when_a_pool_is_created() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        applied = [name for manager, name in harness.cluster.writes if manager == "modelscaler"]
        assert applied.index("ranker-cpu-full-ladder") < applied.index("ranker-cpu-full")


async def test_ladder_is_written_again_when_the_objective_changes() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        harness.deploy(**{"metadata.generation": 2, "spec.slo.latency.targetMilliseconds": 300})
        await harness.settled()
        ladder = harness.cluster.objects["ConfigMap", "ranker-cpu-full-ladder"]["data"]["ladder.json"]
        assert '"latencyMilliseconds": 300' in ladder


async def test_servers_are_told_how_far_to_overdraw_as_answers_save_and_spend(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANEW_SECONDS", "FIRST_ANEW_SECONDS"):
        monkeypatch.setattr(drift, name, 1e9)

    def overdraft(harness: Harness) -> str:
        ladder = harness.cluster.objects["ConfigMap", "ranker-cpu-full-ladder"]["data"]["ladder.json"]
        return str(json.loads(ladder)["overdraft"])

    both = [{"placement": "cpu", "variant": v, "perRequestMilliseconds": m} for v, m in (("full", "8"), ("int8", "4"))]
    async with running(Harness()) as harness:
        harness.deploy(
            **{
                "spec.capacity": both,
                "spec.slo.minMeanAccuracy": "0.909",
                "spec.scaling": {"minReplicas": 1, "maxReplicas": 9},
            }
        )
        await harness.tick()
        assert overdraft(harness) == "0"
        harness.source.offered = Value(60.0, START)
        harness.source.served = {("cpu-full", "full"): 240.0}
        harness.source.budgets = {("cpu-full",): 1.0}
        for _ in range(200):
            await harness.tick(seconds=60.0)
        assert overdraft(harness) == "8"
        applied = [name for manager, name in harness.cluster.writes if manager == "modelscaler"]
        assert applied.count("ranker-cpu-full-ladder") <= 42, "it rises by steps"
        for _ in range(200):
            await harness.tick(seconds=60.0)
        later = [name for manager, name in harness.cluster.writes if manager == "modelscaler"]
        assert later == applied, "a calm pool is left alone"
        harness.source.offered = Value(600.0, harness.now)
        await harness.tick()
        assert harness.cluster.objects["Deployment", "ranker-cpu-full"]["spec"]["replicas"] > 1
        assert float(overdraft(harness)) > 0.0
        restarted = harness.status["policy"]["savings"]
        assert float(restarted["answers"]) > 0.0
        harness.source.served = {("cpu-full", "int8"): 600.0}
        for _ in range(40):
            await harness.tick(seconds=60.0)
        assert overdraft(harness) == "0", "what was spent is lent to nobody"


async def test_early_pass_asks_no_metrics_when_something_changes() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        reads = harness.source.reads
        harness.deploy(**{"metadata.generation": 2, "spec.scaling": {"minReplicas": 3, "maxReplicas": 5}})
        await harness.settled()
        assert harness.source.reads == reads
        assert harness.status["desired"]["replicas"] == 3


async def test_profile_is_read_before_the_first_decision_when_a_modeldeployment_comes_while_a_tick_reads() -> None:
    async with running(Harness()) as harness:
        profiled = {"spec.capacity": [], "spec.capacityProfile": {"configMapName": "profile"}}
        harness.source.on_read = lambda: harness.deploy(**profiled)
        await harness.tick()
        assert "profile.json" in harness.condition("Accepted")["message"]
        assert "not been read yet" not in str(harness.cluster.events)


async def test_status_tells_who_answers_by_the_spec_s_names_when_servers_know_artefacts() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.variants.1.artifact": "ranker-int8"})
        await harness.tick()
        harness.source.offered = Value(40.0, START)
        rates: dict[tuple[str, ...], float] = {
            ("cpu-full", "full"): 30.0,
            ("cpu-full", "ranker-int8"): 10.0,
            ("cpu-full", "gone"): 5.0,
        }
        harness.source.served = {**rates, ("cpu-int8", "ranker-int8"): 90.0}
        await harness.tick(seconds=60.0)
        assert (harness.status["servedAccuracy"], harness.status["degradedShare"]) == ("0.9075", "0.25")


async def test_recommendation_reaches_status_and_the_next_plan() -> None:
    async with running(Harness(InstantTuner())) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 50}})
        harness.source.offered = Value(300.0, START)
        await harness.tick()
        assert "tuning" not in harness.status
        before = harness.status["desired"]["replicas"]
        for _ in range(3):
            await harness.tick()
        assert harness.status["desired"]["replicas"] > before
        assert (harness.status["tuning"]["reason"], harness.status["tuning"]["headroom"]) == ("ObjectiveMended", "1")
        assert [event["note"] for event in harness.cluster.events if event["reason"] == "ObjectiveMended"] == ["mended"]
        harness.deploy(**{"spec.scaling": {"maxReplicas": 50, "selfTuning": "Off"}})
        for _ in range(2):
            await harness.tick()
        assert harness.status["tuning"]["reason"] == "TuningOff"


async def test_what_the_spec_states_is_not_tuned() -> None:
    async with running(Harness(InstantTuner())) as harness:
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 1800}}
        harness.deploy(**{"spec.scaling": {"maxReplicas": 50, "behavior": behavior}})
        harness.source.offered = Value(300.0, START)
        for _ in range(4):
            await harness.tick()
        assert harness.status["tuning"]["scaleDownSeconds"] == 60
        tall = harness.status["desired"]["replicas"]
        harness.source.offered = Value(10.0, START)
        for _ in range(20):
            await harness.tick()
        assert harness.status["desired"]["replicas"] == tall, "five minutes are no half hour"


async def test_replicas_stay_when_the_source_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 5}})
        await harness.tick()
        harness.source.offered = Value(500.0, START)
        await harness.tick()
        risen = harness.status["desired"]["replicas"]
        assert risen > 1
        harness.source.offered = SourceError("connection refused")
        for _ in range(40):
            await harness.tick()
        assert harness.status["desired"]["replicas"] == risen
        assert harness.condition("MetricsAvailable")["status"] == "False"


async def test_replicas_that_are_not_scraped_count_as_loaded_and_teach_the_forecast_nothing() -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 9, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": scaling})
        harness.source.offered = Value(500.0, START)
        for _ in range(2):
            await harness.tick()
            run_all_pods(harness)
        risen = harness.status["desired"]["replicas"]
        assert risen > 2
        harness.source.offered, harness.source.reporting = Value(5.0, START), Value(1.0, START)
        for _ in range(6):
            await harness.tick()
        learned = harness.forecasting.observed[-1]
        assert (harness.status["desired"]["replicas"], learned) == (risen, None)
        assert harness.condition("MetricsAvailable")["reason"] == "SeriesIncomplete"
        harness.source.reporting = Value(float(risen), START)
        await harness.tick()
        assert (harness.status["desired"]["replicas"], harness.forecasting.observed[-1]) == (1, 5.0)


async def test_replicas_stay_when_nobody_knows_how_many_report() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 50}})
        harness.source.offered = Value(500.0, START)
        for _ in range(2):
            await harness.tick()
            run_all_pods(harness)
        risen = harness.status["desired"]["replicas"]
        harness.source.reporting = SourceError("query timed out")
        for _ in range(40):
            await harness.tick()
            run_all_pods(harness, since=START)
        assert harness.status["desired"]["replicas"] == risen
        assert harness.condition("MetricsAvailable")["message"] == "query timed out"


async def test_new_replicas_may_take_a_rate_window_to_report() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 3, "maxReplicas": 9}})
        harness.source.offered, harness.source.reporting = Value(5.0, START), Value(1.0, START)
        await harness.tick()
        run_all_pods(harness)
        reasons = []
        for _ in range(6):
            await harness.tick()
            reasons.append(harness.condition("MetricsAvailable")["reason"])
        assert reasons == ["SeriesPresent"] * 3 + ["SeriesIncomplete"] * 3


async def test_children_are_left_alone_when_an_autoscaler_scales_one_of_them() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        deployment = next(name for kind, name in harness.cluster.objects if kind == "Deployment")
        harness.cluster.autoscalers = [
            {
                "metadata": {"name": "rival", "namespace": "shop"},
                "spec": {"scaleTargetRef": {"kind": "Deployment", "name": deployment}},
            }
        ]
        before = [w for w in harness.cluster.writes if w[0] != "modelscaler-status"]
        harness.deploy(**{"metadata.generation": 2, "spec.scaling": {"minReplicas": 4, "maxReplicas": 5}})
        await harness.tick(seconds=61.0)
        assert [w for w in harness.cluster.writes if w[0] != "modelscaler-status"] == before
        assert harness.condition("Accepted")["reason"] == "WorkloadConflict"
        assert "rival" in harness.condition("Accepted")["message"]


async def test_condition_names_the_field_when_an_old_crd_let_a_bad_spec_through() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 9, "maxReplicas": 5}})
        await harness.tick()
        accepted = harness.condition("Accepted")
        assert (accepted["status"], accepted["reason"]) == ("False", "InvalidSpec")
        assert "minReplicas" in accepted["message"]
        assert [kind for kind, _ in harness.cluster.objects] == ["ModelDeployment"]
        assert [event["type"] for event in harness.cluster.events] == ["Warning"]


async def test_pause_leaves_children_and_says_what_would_be_done_when_annotated() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        before = [w for w in harness.cluster.writes if w[0] != "modelscaler-status"]
        paused = {"metadata.annotations": {"modelscaler.dev/paused": "true"}}
        harness.deploy(**paused, **{"spec.scaling": {"minReplicas": 4, "maxReplicas": 5}})
        await harness.tick()
        assert [w for w in harness.cluster.writes if w[0] != "modelscaler-status"] == before
        assert harness.status["desired"]["replicas"] == 4
        assert harness.condition("Paused")["status"] == "True"


async def test_same_decision_is_announced_once_when_its_write_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.deploy()
    harness.now += timedelta(seconds=15)
    await harness.loop.tick()
    harness.loop.touch(WorkloadKey("shop", "ranker"))
    await harness.loop._early_pass()  # nothing has been written yet: no worker runs
    async with running(harness):
        await harness.settled()
    assert [event["reason"] for event in harness.cluster.events] == ["FirstPlan"]


def shared(name: str, priority: int = 0) -> dict[str, Any]:
    """Return what a ModelDeployment that prefers a GPU has besides the smallest."""
    gpu = {"name": "gpu", "hourlyCost": "0.05", "accelerator": {"resourceName": "nvidia.com/gpu"}}
    speeds = [{"placement": p, "variant": "full", "perRequestMilliseconds": "8"} for p in ("cpu", "gpu")]
    return {"name": name, "spec.placements.1": gpu, "spec.capacity": speeds, "spec.priority": priority}


async def test_only_the_more_important_gets_the_accelerator_when_two_appear_between_ticks() -> None:
    async with running(Harness()) as harness:
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"allocatable": {"nvidia.com/gpu": "1"}, "conditions": conditions}
        harness.cluster.put({"kind": "Node", "metadata": {"name": "n", "namespace": ""}, "spec": {}, "status": status})
        await harness.tick()  # metrics were read once
        harness.deploy(**shared("low"))
        harness.deploy(**shared("high", priority=1))
        await harness.settled()
        pools = {name for kind, name in harness.cluster.objects if kind == "Deployment"}
        assert pools == {"low-cpu-full", "high-gpu-full"}


async def test_no_accelerator_is_asked_for_when_nodes_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Harness()) as harness:
        listed = harness.cluster.list

        def forbidden(kind: str, selector: str = "", field_selector: str = "") -> Listing:
            if kind == "Node":
                raise ApiCallError("list Nodes: 403 forbidden", status=403)
            return listed(kind, selector, field_selector)

        monkeypatch.setattr(harness.cluster, "list", forbidden)
        harness.deploy(**shared("ranker"))
        await harness.tick()
        assert [name for kind, name in harness.cluster.objects if kind == "Deployment"] == ["ranker-cpu-full"]
        assert harness.condition("AcceleratorAvailable")["reason"] == "SupplyUnknown"
        assert "0 of 1 nvidia.com/gpu: nobody could count them" in harness.status["lastDecision"]["message"]


async def test_decisions_go_on_when_a_later_full_list_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 5}})
        await harness.tick()
        harness.cluster.unlisted = {"Pod"}
        harness.source.offered = Value(500.0, START)
        await harness.tick(seconds=400.0)
        assert harness.status["desired"]["replicas"] > 1
        assert harness.loop.ticked_at == harness.seconds


async def test_nothing_is_decided_when_the_first_full_list_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        harness.cluster.unlisted = {"Pod"}
        with pytest.raises(ApiCallError):
            await harness.tick()
        assert harness.cluster.writes == []


async def test_nothing_of_the_old_one_counts_when_a_modeldeployment_is_made_anew_under_its_name() -> None:
    harness = Harness(InstantTuner())
    harness.deploy(**{"metadata.uid": "first"})
    await harness.loop.tick()
    harness.mirror.drop("ModelDeployment", harness.cluster.objects["ModelDeployment", "ranker"])
    harness.deploy(**{"metadata.uid": "second"})
    await harness.loop._early_pass()
    async with running(harness):
        await harness.settled()
        assert [event["reason"] for event in harness.cluster.events] == ["FirstPlan", "FirstPlan"]
        assert harness.cluster.events[-1]["regarding"]["uid"] == "second"
        assert harness.status["desired"]["replicas"] == 1


async def test_history_is_asked_for_once_and_only_of_who_is_new() -> None:
    async with running(Harness()) as harness:
        harness.deploy(name="first")
        await harness.tick()
        harness.deploy(name="second")
        await harness.tick()
        await harness.tick()
        assert harness.source.remembered == [["first"], ["second"]]


async def test_measured_load_is_planned_for_when_forecasting_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 5}})
        harness.source.offered = Value(20.0, START)
        await harness.tick()
        await harness.tick()
        assert harness.status["forecast"]["method"]
        harness.forecasting.broken = True
        harness.source.offered = Value(500.0, START)
        await harness.tick()
        assert harness.status["desired"]["replicas"] > 1
        assert harness.condition("ForecastHealthy")["status"] == "False"
        assert "forecast" not in harness.status


async def test_nothing_is_made_for_a_modeldeployment_that_is_being_deleted() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"metadata.deletionTimestamp": "2026-01-01T00:00:00Z", "metadata.finalizers": ["theirs"]})
        for _ in range(3):
            await harness.tick()
        assert {kind for kind, _ in harness.cluster.objects} == {"ModelDeployment"}
        assert harness.cluster.writes == []


async def test_history_is_read_anew_when_the_clock_was_set_back() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        harness.source.offered = Value(20.0, START)
        await harness.tick()
        harness.now += timedelta(days=20)
        await harness.tick()
        harness.now -= timedelta(days=20)
        for _ in range(30):
            harness.source.offered = Value(60.0, START)
            await harness.tick()
        assert harness.source.remembered == [["ranker"]] * 2
        window = harness.forecasting.window(WorkloadKey("shop", "ranker"))
        assert window is not None
        assert window.rps[-20:].tolist() == [60.0] * 20


async def test_what_waits_to_be_written_is_withdrawn_when_the_modeldeployment_is_deleted() -> None:
    harness = Harness()
    harness.deploy()
    await harness.loop.tick()
    harness.deploy(**{"metadata.deletionTimestamp": "2026-01-01T00:00:00Z", "metadata.finalizers": ["theirs"]})
    await harness.loop._early_pass()
    async with running(harness):
        await harness.settled()
    assert {kind for kind, _ in harness.cluster.objects} == {"ModelDeployment"}


async def test_no_plan_is_shown_when_none_can_be_made() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        harness.source.offered = Value(5.0, START)
        await harness.tick()
        assert shown(harness, "desired_replicas") == 1.0
        harness.deploy(**{"metadata.generation": 2, "spec.slo.minMeanAccuracy": "0.99"})
        await harness.tick()
        assert harness.condition("Accepted")["status"] == "False"
        names = ("desired_replicas", "planned_rps", "offered_rps", "hourly_cost")
        assert [shown(harness, name) for name in names] == [None] * 4
