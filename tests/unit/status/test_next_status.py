from dataclasses import replace

import pytest

import builders
from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Absent, Demand, Plan, PolicyState, PoolKey, PoolTarget, RouteTarget, Side, Step
from modelscaler.explain import explain
from modelscaler.status import next_status, status_body
from modelscaler.status.wording import decimal
from status_scenes import plan, rejected, scene, step


def test_status_tells_what_serves_what_is_wanted_and_why_when_a_decision_was_made() -> None:
    body = status_body(next_status(scene()))
    assert body["observedGeneration"] == 7
    assert body["active"] == {"placement": "cpu", "variant": "int8", "replicas": 2, "readyReplicas": 2}
    assert body["desired"] == {"placement": "cpu", "variant": "int8", "replicas": 2, "hourlyCost": "0.2"}
    assert body["load"] == {
        "time": "2026-03-02T09:00:00Z",
        "offeredRps": "100",
        "queued": 1,
        "latencyMilliseconds": 120,
    }
    assert body["forecast"] == {
        "method": "test",
        "weights": [],
        "horizonSeconds": 75,
        "lowerRps": "90",
        "medianRps": "120",
        "plannedRps": "150",
    }
    assert body["capacity"] == [{"placement": "cpu", "variant": "int8", "sustainableRps": "81.2", "source": "Spec"}]
    assert body["lastDecision"] == {
        "time": "2026-03-02T09:00:00Z",
        "reason": "ForecastDemand",
        "message": "120 requests/s are forecast",
        "bindingConstraint": "Demand",
        "measuredRps": "100",
        "forecastRps": "120",
        "plannedRps": "120",
        "runnerUp": {
            "placement": "gpu",
            "variant": "int8",
            "replicas": 1,
            "hourlyCost": "0.1",
            "whyNot": "costs 2.5 times as much",
        },
        "horizonSeconds": 75,
        "candidates": [],
    }


def served_by(*served: tuple[str, float], pool: PoolKey = builders.GPU_FULL) -> ModelDeploymentStatus:
    """Return the status of a ModelDeployment whose full variant is 0.92 accurate and whose int8 variant 0.91."""
    seen = scene().observation
    assert seen is not None
    return next_status(scene(observation=replace(seen, served=served), step=step(PolicyState(active=pool), pool=pool)))


def test_status_tells_how_accurate_answers_are_when_a_burst_is_answered_by_a_cheaper_variant() -> None:
    status = served_by(("full", 75.0), ("int8", 25.0))
    assert (status.served_accuracy, status.degraded_share) == ("0.9175", "0.25")
    told = explain("ranker", status)
    assert "0.9175 accurate on average, 25 % of them by a cheaper variant than planned" in told


def test_no_answer_is_degraded_when_it_is_more_accurate_than_planned() -> None:
    status = served_by(("full", 75.0), ("int8", 25.0), pool=builders.GPU_INT8)
    assert (status.served_accuracy, status.degraded_share) == ("0.9175", "0")
    assert "all by the planned variant or better" in explain("ranker", status)


def test_accuracy_of_answers_is_absent_when_nobody_knows_who_answers() -> None:
    body = status_body(served_by())
    assert {"servedAccuracy", "degradedShare"}.isdisjoint(body)
    assert "accurate on average" not in explain("ranker", served_by())


def test_answers_of_a_variant_that_left_the_spec_are_passed_over() -> None:
    status = served_by(("full", 50.0), ("gone", 50.0))
    assert (status.served_accuracy, status.degraded_share) == ("0.92", "0")


def test_status_tells_who_has_which_share_in_the_forecast_and_why() -> None:
    shares = (("tuned", 0.7), ("anchor", 0.3))
    mixed = builders.forecast(120.0, method="mix: tuned 0.7, anchor 0.3", shares=shares, note="the network serves")

    body = status_body(next_status(scene(forecast=mixed)))

    assert body["forecast"]["weights"] == [
        {"forecaster": "tuned", "share": "0.7"},
        {"forecaster": "anchor", "share": "0.3"},
    ]
    assert body["forecast"]["reason"] == "the network serves"


def test_unknown_figures_are_absent_when_nothing_is_known() -> None:
    blind = scene(
        observation=builders.observation(None, builders.pool(replicas=2), queued=Absent()),
        forecast=None,
        plan=plan(demand=Demand(None, None, 160.0, 75.0), runner_up=None),
    )
    body = status_body(next_status(blind))
    assert body["load"] == {"time": "2026-03-02T09:00:00Z"}
    assert "forecast" not in body
    known = {"time", "reason", "message", "bindingConstraint", "plannedRps", "horizonSeconds", "candidates"}
    assert body["lastDecision"].keys() == known


def test_replicas_asked_for_are_the_step_s_and_ready_ones_the_pool_s_when_scaling_up() -> None:
    active = next_status(scene(step=step(replicas=5))).active
    assert active is not None
    assert (active.replicas, active.ready_replicas) == (5, 2)


def test_nothing_is_active_when_no_pool_has_served_yet() -> None:
    first = Step((PoolTarget(builders.CPU_INT8, 2),), None, PolicyState())
    assert next_status(scene(step=first)).active is None


def test_everything_remembered_is_kept_when_the_spec_is_rejected() -> None:
    before = next_status(scene())
    after = next_status(rejected(before, observation=builders.observation(9.0, builders.pool(replicas=2, ready=1))))
    assert after.observed_generation == 8
    assert after.policy == before.policy
    assert (after.desired, after.last_decision) == (before.desired, before.last_decision)
    assert after.active is not None
    assert after.active.ready_replicas == 1


def test_decision_stands_with_its_time_and_reason_when_later_ticks_are_uneventful() -> None:
    before = next_status(scene())
    later = builders.NOW.replace(minute=5)
    for reason in (DecisionReason.STEADY, DecisionReason.MEASURED_DEMAND, DecisionReason.FORECAST_DEMAND):
        again = plan(reason=reason, message="something like it", demand=Demand(99.0, 118.0, 118.0, 75.0))
        assert next_status(scene(before, later, plan=again)).last_decision == before.last_decision


@pytest.mark.parametrize(
    "again",
    [
        plan(builders.choice(replicas=3), reason=DecisionReason.STEADY),
        plan(reason=DecisionReason.METRICS_MISSING),
        plan(reason=DecisionReason.DEMAND_FELL, binding=Binding.STABILIZATION),
        plan(reason=DecisionReason.CANDIDATE_UNAVAILABLE),
    ],
)
def test_decision_is_told_anew_when_something_else_was_decided(again: Plan) -> None:
    before = next_status(scene())
    decision = next_status(scene(before, builders.NOW.replace(minute=5), plan=again)).last_decision
    assert decision is not None
    assert (decision.reason, decision.time) == (again.reason, "2026-03-02T09:05:00Z")


@pytest.mark.parametrize("gone", [DecisionReason.METRICS_MISSING, DecisionReason.FALLBACK, DecisionReason.INFEASIBLE])
def test_decision_is_told_anew_when_an_exception_is_over(gone: DecisionReason) -> None:
    before = next_status(scene(plan=plan(reason=gone)))
    decision = next_status(scene(before, plan=plan(reason=DecisionReason.STEADY))).last_decision
    assert decision is not None
    assert decision.reason == DecisionReason.STEADY


def test_texts_are_cut_to_what_the_schema_takes_when_they_are_long() -> None:
    decision = next_status(scene(plan=plan(message="x" * 5000, why_not_runner_up="y" * 5000))).last_decision
    assert decision is not None
    assert len(decision.message) == 1024


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (0.001234, "0.00123"),
        (12.345, "12.3"),
        (99.96, "100"),
        (1234.5, "1230"),
        (0.1, "0.1"),
        (1e7, "10000000"),
    ],
)
def test_figures_have_three_digits_and_no_exponent_when_written(value: float, written: str) -> None:
    assert decimal(value) == written


def test_status_tells_what_runs_beside_and_what_both_cost_when_two_pools_serve() -> None:
    side = Side(builders.GPU_INT8, builders.NOW)
    taken = Step(
        (PoolTarget(builders.CPU_INT8, 2), PoolTarget(builders.GPU_INT8, 3)),
        builders.CPU_INT8,
        PolicyState(active=builders.CPU_INT8, side=side),
        route=RouteTarget(600, builders.GPU_INT8, 400),
    )
    seen = builders.observation(
        100.0,
        builders.pool(builders.CPU_INT8, 2),
        builders.pool(builders.GPU_INT8, 3, ready=1),
        served=(("int8", 30.0),),
        served_beside=(("full", 10.0),),
    )
    beside = builders.choice(builders.GPU_INT8, 3, hourly_cost=1.5)
    status = next_status(scene(step=taken, observation=seen, plan=plan(side=beside)))

    assert status.side is not None
    assert status.side.model_dump() == {
        "placement": "gpu",
        "variant": "int8",
        "replicas": 3,
        "ready_replicas": 1,
        "share": "0.4",
        "start_time": "2026-03-02T09:00:00Z",
    }
    assert status.desired is not None
    assert (status.desired.replicas, status.desired.hourly_cost) == (2, "1.7")
    assert status.desired.side is not None
    assert (status.desired.side.placement, status.desired.side.replicas) == ("gpu", 3)
    assert status.served_accuracy == "0.9125"
    told = explain("ranker", status)
    assert "gpu-int8, 1 of 3 ready, 40 % of requests" in told
    assert "cpu-int8 x 2 with gpu-int8 x 3 beside at 1.7 per hour" in told
