from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import builders
from modelscaler.api.v1alpha1 import Condition, ModelDeploymentStatus
from modelscaler.api.words import Binding, ConditionReason, ConditionType, DecisionReason
from modelscaler.domain import (
    Absent,
    AtLeast,
    Observation,
    Plan,
    PolicyState,
    PoolObservation,
    Reading,
    Rollout,
    RouteObservation,
    SourceError,
    Stale,
    Step,
    Value,
    Zero,
)
from modelscaler.status import ForecastHealth, StatusInputs, next_status
from status_scenes import plan, rejected, scene

LATER = builders.NOW + timedelta(minutes=5)


def condition(inputs: StatusInputs, kind: ConditionType) -> Condition:
    return next(c for c in next_status(inputs).conditions if c.type == kind)


def told(inputs: StatusInputs, kind: ConditionType) -> tuple[str, str]:
    found = condition(inputs, kind)
    return found.status, found.reason


def seeing(*pools: PoolObservation, offered: Reading | float | None = 100.0, **overrides: Any) -> StatusInputs:
    return scene(observation=builders.observation(offered, *pools, **({"selected": builders.CPU_INT8} | overrides)))


def test_every_condition_is_judged_when_all_is_well() -> None:
    judged = {c.type: (c.status, c.reason) for c in next_status(scene()).conditions}
    assert judged == {
        "Accepted": ("True", "Valid"),
        "Applied": ("True", "AsDecided"),
        "Ready": ("True", "EnoughReplicasReady"),
        "Updated": ("True", "UpToDate"),
        "MetricsAvailable": ("True", "SeriesPresent"),
        "ForecastHealthy": ("True", "LearnedModelServes"),
        "SLOMet": ("True", "WithinObjective"),
        "ScalingLimited": ("False", "WithinLimits"),
        "AcceleratorAvailable": ("Unknown", "NotRequested"),
        "Fallback": ("False", "MetricsPresent"),
        "Paused": ("False", "NotPaused"),
    }


def test_transition_time_stays_when_only_the_reason_changes() -> None:
    first = next_status(scene(observation=builders.observation(Stale(99.0), builders.pool())))
    second = scene(first, LATER, observation=builders.observation(SourceError("down"), builders.pool(), now=LATER))
    found = condition(second, ConditionType.METRICS_AVAILABLE)
    assert (found.status, found.reason) == ("False", "SourceError")
    assert found.last_transition_time == "2026-03-02T09:00:00Z"


def test_transition_time_moves_when_the_status_changes() -> None:
    first = next_status(scene(observation=builders.observation(Stale(99.0), builders.pool())))
    assert (
        condition(scene(first, LATER), ConditionType.METRICS_AVAILABLE).last_transition_time == "2026-03-02T09:05:00Z"
    )


def test_conditions_say_nothing_yet_when_the_first_spec_is_rejected() -> None:
    judged = {c.type: c.status for c in next_status(rejected(observation=None)).conditions}
    assert (judged.pop("Accepted"), judged.pop("Applied")) == ("False", "True")
    assert judged.pop("Paused") == "False"
    assert judged.pop("ForecastHealthy") == "True"
    assert set(judged.values()) == {"Unknown"}


def test_rejection_names_field_value_and_expectation_when_the_spec_is_invalid() -> None:
    found = condition(rejected(), ConditionType.ACCEPTED)
    assert found.reason == "InvalidSpec"
    assert "spec.scaling.minReplicas: got 5, expected at most spec.scaling.maxReplicas (3)" in found.message
    assert found.observed_generation == 8


def test_ready_is_still_judged_when_an_edit_is_rejected() -> None:
    before = next_status(scene())
    assert told(rejected(before), ConditionType.READY) == ("True", "EnoughReplicasReady")
    dead = builders.observation(9.0, builders.pool(replicas=2, ready=0))
    assert told(rejected(before, observation=dead), ConditionType.READY)[0] == "False"


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (builders.pool(replicas=5, ready=1), ("True", "EnoughReplicasReady")),
        (builders.pool(replicas=2, ready=0), ("False", "ReplicasStarting")),
        (builders.pool(replicas=2, ready=0, failing=2, failure="CrashLoopBackOff"), ("False", "ModelFailedToStart")),
        (builders.pool(replicas=0, ready=0), ("False", "NoReplicaReady")),
    ],
)
def test_ready_follows_the_serving_pool_when_it_changes(pool: PoolObservation, expected: tuple[str, str]) -> None:
    assert told(seeing(pool), ConditionType.READY) == expected


@pytest.mark.parametrize(
    ("rollout", "wanted", "expected"),
    [
        (Rollout.DONE, "new", ("True", "UpToDate")),
        (Rollout.DONE, "newer", ("Unknown", "RollingOut")),
        (Rollout.UNDER_WAY, "new", ("Unknown", "RollingOut")),
        (Rollout.FAILED, "new", ("False", "RolloutFailed")),
    ],
)
def test_pods_are_up_to_date_when_all_are_made_from_the_newest_template(
    rollout: Rollout, wanted: str, expected: tuple[str, str]
) -> None:
    seen = seeing(builders.pool(builders.CPU_INT8, rollout=rollout, template_digest="new"))
    assert told(replace(seen, template_digest=wanted), ConditionType.UPDATED) == expected


IDLE = plan(builders.choice(replicas=0), reason=DecisionReason.IDLE)
HELD = Step((), builders.CPU_INT8, PolicyState(active=builders.CPU_INT8), held=True, activator=True)
NONE, STARTS, RUNS = builders.pool(replicas=0), builders.pool(replicas=1, ready=0), builders.pool(replicas=1)
FAILS = builders.pool(replicas=1, ready=0, failing=1, failure="CrashLoopBackOff")


@pytest.mark.parametrize(
    ("pool", "held", "activator_ready", "made", "expected"),
    [
        (RUNS, False, True, IDLE, ("True", "Idle")),
        (NONE, True, True, IDLE, ("True", "Idle")),
        (NONE, True, True, plan(), ("True", "Waking")),
        (STARTS, True, True, plan(), ("True", "Waking")),
        (FAILS, True, True, plan(), ("False", "ModelFailedToStart")),
        (STARTS, True, False, plan(), ("False", "NoReplicaReady")),
        (NONE, True, False, plan(), ("False", "NoReplicaReady")),
    ],
    ids=[
        "about to rest",
        "rests",
        "somebody waits",
        "it starts",
        "it does not start",
        "the activator is lost, it starts",
        "nobody is there",
    ],
)
def test_ready_is_true_at_zero_exactly_while_who_asks_is_held_and_will_be_answered(
    pool: PoolObservation, held: bool, activator_ready: bool, made: Plan, expected: tuple[str, str]
) -> None:
    selected = None if held else builders.CPU_INT8
    seen = builders.observation(0.0, pool, selected=selected, held=held, activator_ready=activator_ready)
    found = condition(scene(observation=seen, plan=made, step=HELD), ConditionType.READY)
    assert (found.status, found.reason) == expected
    assert "cpu-int8" in found.message


def test_ready_is_the_pool_s_again_when_requests_are_not_held_any_more() -> None:
    seen = builders.observation(0.0, RUNS, selected=builders.CPU_INT8, activator_ready=False)
    assert told(scene(observation=seen), ConditionType.READY) == ("True", "EnoughReplicasReady")


def test_ready_stays_true_when_what_wakes_is_ready_and_the_service_is_about_to_select_it() -> None:
    flipping = replace(HELD, serving=builders.CPU_INT8, held=False)
    seen = builders.observation(0.0, RUNS, selected=None, held=True, activator_ready=True)
    assert told(scene(observation=seen, plan=plan(), step=flipping), ConditionType.READY) == ("True", "Waking")
    refused = (ConditionReason.REPLICAS_REFUSED, "a webhook says no")
    assert told(scene(observation=seen, plan=plan(), step=flipping, refused=refused), ConditionType.READY)[0] == "False"
    lost = replace(seen, activator_ready=False)
    assert told(scene(observation=lost, plan=plan(), step=flipping), ConditionType.READY)[0] == "False"


def test_ready_is_false_when_nobody_may_wake_what_sleeps() -> None:
    hands_off = Step((), None, PolicyState(active=builders.CPU_INT8))
    seen = builders.observation(0.0, NONE, held=True, activator_ready=True)
    found = scene(observation=seen, plan=replace(IDLE, reason=DecisionReason.PAUSED), step=hands_off, paused=True)
    assert told(found, ConditionType.READY) == ("False", "NoReplicaReady")


def test_no_limit_is_said_to_hold_back_what_rests() -> None:
    seen = builders.observation(0.0, NONE, held=True, activator_ready=True)
    found = scene(observation=seen, plan=IDLE, step=HELD)
    assert told(found, ConditionType.SCALING_LIMITED) == ("False", "WithinLimits")
    assert told(found, ConditionType.SLO_MET) == ("Unknown", "NoTraffic")
    assert told(found, ConditionType.UPDATED) == ("True", "UpToDate")


def test_ready_is_false_when_no_service_selects_what_runs() -> None:
    assert told(seeing(builders.pool(), selected=None), ConditionType.READY) == ("False", "ReplicasStarting")


def test_ready_says_that_replicas_cannot_be_made_when_a_quota_refuses_them() -> None:
    refused = builders.pool(replicas=1, ready=0, refused=1, failure="FailedCreate")
    assert told(seeing(refused), ConditionType.READY) == ("False", "ReplicasRefused")


def test_ready_is_false_with_the_trouble_when_the_first_pool_cannot_start() -> None:
    stuck = builders.pool(builders.GPU_INT8, replicas=1, ready=0, unschedulable=1, failure="Unschedulable")
    first = Step((), None, PolicyState())
    found = condition(scene(observation=builders.observation(None, stuck), step=first), ConditionType.READY)
    assert found.status == "False"
    assert "gpu-int8: Unschedulable" in found.message


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (Value(5.0, builders.NOW), ("True", "SeriesPresent")),
        (Zero(builders.NOW), ("True", "SeriesPresent")),
        (Absent(), ("False", "SeriesAbsent")),
        (Stale(99.0), ("False", "SeriesStale")),
        (AtLeast(5.0, missing=1), ("False", "SeriesIncomplete")),
        (SourceError("Prometheus at http://p:9090: connection refused"), ("False", "SourceError")),
    ],
)
def test_metrics_are_available_exactly_when_the_load_is_known(offered: Reading, expected: tuple[str, str]) -> None:
    assert told(seeing(builders.pool(), offered=offered), ConditionType.METRICS_AVAILABLE) == expected


def test_refused_write_is_told_with_what_the_server_says() -> None:
    refused = replace(scene(), refused=(ConditionReason.WRITE_REFUSED, "apply Deployment shop/a: 403 by policy"))
    found = condition(refused, ConditionType.APPLIED)
    assert (found.status, found.reason) == ("False", "WriteRefused")
    assert "403 by policy; it is tried again" in found.message


def test_metrics_are_not_available_when_nobody_knows_how_many_requests_wait() -> None:
    seen = seeing(builders.pool(), queued=SourceError("NaN"))
    assert told(seen, ConditionType.METRICS_AVAILABLE) == ("False", "QueueUnknown")


def test_absent_metrics_are_no_fault_when_no_replica_is_ready_yet() -> None:
    found = told(seeing(builders.pool(replicas=1, ready=0), offered=None), ConditionType.METRICS_AVAILABLE)
    assert found == ("Unknown", "SeriesAbsent")


@pytest.mark.parametrize(
    ("latency", "offered", "expected"),
    [
        (Value(0.4, builders.NOW), 100.0, ("True", "WithinObjective")),
        (Value(0.401, builders.NOW), 100.0, ("False", "OverObjective")),
        (Absent(), 0.0, ("Unknown", "NoTraffic")),
        (Absent(), 100.0, ("Unknown", "Unknown")),
        (Stale(99.0), None, ("Unknown", "Unknown")),
    ],
)
def test_objective_is_judged_by_the_measured_latency_when_there_is_one(
    latency: Reading, offered: float | None, expected: tuple[str, str]
) -> None:
    assert told(seeing(builders.pool(), offered=offered, latency=latency), ConditionType.SLO_MET) == expected


@pytest.mark.parametrize("binding", [Binding.MAX_REPLICAS, Binding.MAX_HOURLY_COST, Binding.SCALE_UP_RATE])
def test_scaling_is_limited_when_a_limit_holds_capacity_back(binding: Binding) -> None:
    assert told(scene(plan=plan(binding=binding)), ConditionType.SCALING_LIMITED) == ("True", binding)


@pytest.mark.parametrize(
    "binding", [Binding.MIN_REPLICAS, Binding.STABILIZATION, Binding.SCALE_DOWN_RATE, Binding.SWITCH_COST]
)
def test_scaling_is_not_limited_when_a_limit_only_holds_capacity_up(binding: Binding) -> None:
    assert told(scene(plan=plan(binding=binding)), ConditionType.SCALING_LIMITED) == ("False", "WithinLimits")


def test_scaling_is_limited_when_the_target_cannot_carry_the_demand() -> None:
    short = plan(builders.choice(replicas=2, shortfall_rps=30.0), binding=Binding.AVAILABILITY)
    assert told(scene(plan=short), ConditionType.SCALING_LIMITED) == ("True", "Availability")


def accelerators(observation: Observation, state: PolicyState | None = None) -> tuple[str, str]:
    settled = Step((), None, state or PolicyState())
    return told(scene(observation=observation, step=settled), ConditionType.ACCELERATOR_AVAILABLE)


def test_accelerator_is_unavailable_when_its_pods_find_no_node() -> None:
    stuck = builders.pool(builders.GPU_INT8, replicas=1, ready=0, unschedulable=1)
    assert accelerators(builders.observation(1.0, stuck)) == ("False", "Unschedulable")


def test_accelerator_stays_unavailable_when_its_pool_is_left_alone() -> None:
    out = PolicyState(outages=(builders.outage(builders.GPU_INT8, builders.NOW + timedelta(seconds=30)),))
    assert accelerators(builders.observation(1.0, builders.pool()), out) == ("False", "Unschedulable")


def test_accelerator_is_not_blamed_when_its_pool_failed_for_another_reason_or_long_ago() -> None:
    crash = builders.outage(builders.GPU_INT8, builders.NOW + timedelta(seconds=30), reason="CrashLoopBackOff")
    past = builders.outage(builders.GPU_FULL, builders.NOW - timedelta(seconds=1))
    out = PolicyState(outages=(crash, past))
    assert accelerators(builders.observation(1.0, builders.pool()), out) == ("Unknown", "NotRequested")


def test_accelerator_is_available_when_a_replica_runs_on_it() -> None:
    assert accelerators(builders.observation(1.0, builders.pool(builders.GPU_INT8))) == ("True", "Schedulable")


def test_accelerators_are_not_judged_when_no_placement_needs_one() -> None:
    plain = scene(workload=builders.single_pool())
    assert ConditionType.ACCELERATOR_AVAILABLE not in {c.type for c in next_status(plain).conditions}


def test_fallback_holds_exactly_when_the_plan_says_so() -> None:
    blind = builders.observation(None, builders.pool())
    held = scene(plan=plan(reason=DecisionReason.FALLBACK), observation=blind)
    waiting = scene(plan=plan(reason=DecisionReason.METRICS_MISSING), observation=blind)
    assert told(held, ConditionType.FALLBACK) == ("True", "MetricsMissing")
    assert told(waiting, ConditionType.FALLBACK) == ("False", "MetricsMissing")


def test_pause_is_told_when_annotated() -> None:
    assert told(scene(paused=True), ConditionType.PAUSED) == ("True", "Annotated")


@pytest.mark.parametrize(("healthy", "status"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_forecast_health_is_the_forecaster_s_own_word_when_judged(healthy: bool | None, status: str) -> None:
    health = ForecastHealth(healthy, ConditionReason.BASELINE, "a baseline serves")
    assert told(scene(forecast_health=health), ConditionType.FORECAST_HEALTHY) == (status, "BaselineServes")


def test_conditions_come_back_unchanged_when_read_from_the_api() -> None:
    status = next_status(scene())
    assert ModelDeploymentStatus.model_validate(status.model_dump(by_alias=True, exclude_none=True)) == status


ROUTE = RouteObservation(accepted=True)


@pytest.mark.parametrize(
    ("route", "unroutable", "expected"),
    [
        (ROUTE, None, ("True", "RouteAccepted")),
        (RouteObservation(accepted=False), None, ("False", "RouteNotAccepted")),
        (None, None, ("False", "RouteNotAccepted")),
        (ROUTE, (ConditionReason.ROUTES_FORBIDDEN, "the operator may not"), ("False", "HTTPRoutesForbidden")),
    ],
)
def test_route_is_judged_when_a_gateway_is_asked_for(
    route: RouteObservation | None, unroutable: Any, expected: tuple[str, str]
) -> None:
    inputs = replace(seeing(builders.pool(replicas=2), route=route), routed=True, unroutable=unroutable)

    assert told(inputs, ConditionType.ROUTED) == expected


def test_nothing_is_said_of_routes_when_no_gateway_is_asked_for() -> None:
    assert ConditionType.ROUTED not in {c.type for c in next_status(seeing(builders.pool(replicas=2))).conditions}
