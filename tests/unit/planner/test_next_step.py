from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders import (
    CPU_FULL,
    CPU_INT8,
    GPU_INT8,
    NOW,
    capacity,
    choice,
    observation,
    outage,
    placement,
    pool,
    rules,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Demand, Observation, Plan, PolicyState, PoolKey, PoolObservation, Step, Switch
from modelscaler.planner.memory import recalled
from modelscaler.planner.transition import next_step

SPEC = workload(
    placements=(placement("cpu", 0.1, 20.0), placement("gpu", 0.5, 60.0)),
    capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
    scale_down=rules(0.0),
)
ON_CPU = PolicyState(active=CPU_INT8)
UNKNOWN = Demand(None, None, 1500.0, 35.0)
TO_GPU = PolicyState(active=CPU_INT8, switch=Switch(GPU_INT8, NOW - timedelta(seconds=30)))


def wanted(key: PoolKey, replicas: int, measured: float | None = 150.0, **overrides: Any) -> Plan:
    fields: dict[str, Any] = {
        "target": choice(key, replicas),
        "reason": DecisionReason.CHEAPER_CHOICE,
        "message": "because",
        "binding": Binding.DEMAND,
        "demand": Demand(measured, None, measured or 150.0, 35.0),
    }
    return Plan(**(fields | overrides))


def step_of(state: PolicyState, made: Plan, *pools: PoolObservation, **overrides: Any) -> Step:
    return next_step(SPEC, seen(*pools, selected=overrides.pop("selected", state.active), **overrides), made, state)


def seen(*pools: PoolObservation, **overrides: Any) -> Observation:
    return observation(150.0, *pools, **overrides)


def sizes(step: Step) -> dict[PoolKey, int]:
    return {target.pool: target.replicas for target in step.pools}


def test_target_serves_from_the_start_when_nothing_serves() -> None:
    step = step_of(PolicyState(), wanted(CPU_INT8, 2))

    assert (sizes(step), step.serving, step.state.active) == ({CPU_INT8: 2}, CPU_INT8, CPU_INT8)


def test_only_the_size_changes_when_the_pool_is_right() -> None:
    step = step_of(ON_CPU, wanted(CPU_INT8, 3), pool(CPU_INT8, 2))

    assert (sizes(step), step.serving) == ({CPU_INT8: 3}, CPU_INT8)
    assert step.state.changes == ((NOW, 1),)


def test_new_pool_starts_beside_the_serving_one_when_a_switch_begins() -> None:
    step = step_of(ON_CPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 2))

    assert (sizes(step), step.serving) == ({CPU_INT8: 2, GPU_INT8: 1}, CPU_INT8)
    assert step.state.switch == Switch(GPU_INT8, NOW, DecisionReason.CHEAPER_CHOICE)
    assert step.notes == (
        (DecisionReason.CHEAPER_CHOICE, "starting 1 x gpu-int8; cpu-int8 serves until they are ready"),
    )


def test_serving_pool_grows_when_the_demand_asks_for_it_during_a_switch() -> None:
    made = wanted(GPU_INT8, 1, measured=320.0)

    assert sizes(step_of(TO_GPU, made, pool(CPU_INT8, 2), pool(GPU_INT8, 1, ready=0)))[CPU_INT8] == 4


def test_serving_pool_never_shrinks_when_a_switch_is_under_way() -> None:
    made = wanted(GPU_INT8, 1, measured=10.0)

    assert sizes(step_of(TO_GPU, made, pool(CPU_INT8, 5), pool(GPU_INT8, 1, ready=0)))[CPU_INT8] == 5


def test_service_waits_when_the_new_pool_does_not_carry_the_load_of_now() -> None:
    made = wanted(GPU_INT8, 3, measured=900.0)
    step = step_of(TO_GPU, made, pool(CPU_INT8, 10), pool(GPU_INT8, 3, ready=1))

    assert (step.serving, step.state.switch) == (CPU_INT8, TO_GPU.switch)


def test_service_moves_and_the_old_pool_stays_when_the_new_one_carries_the_load_of_now() -> None:
    made = wanted(GPU_INT8, 3, measured=900.0)
    step = step_of(TO_GPU, made, pool(CPU_INT8, 10), pool(GPU_INT8, 3, ready=2))

    assert (step.serving, step.state.active, step.state.switch) == (GPU_INT8, GPU_INT8, None)
    assert sizes(step) == {CPU_INT8: 10, GPU_INT8: 3}


def test_all_planned_replicas_are_awaited_when_the_load_is_unknown() -> None:
    made = wanted(GPU_INT8, 2, measured=None, demand=Demand(None, None, 900.0, 75.0))

    assert step_of(TO_GPU, made, pool(CPU_INT8, 10), pool(GPU_INT8, 2, ready=1)).serving == CPU_INT8
    assert step_of(TO_GPU, made, pool(CPU_INT8, 10), pool(GPU_INT8, 2)).serving == GPU_INT8


def test_accurate_pool_serves_when_it_cannot_carry_the_load_that_an_inaccurate_one_carries() -> None:
    spec = replace(SPEC, capacities=(capacity(CPU_FULL, 20.0), capacity(CPU_INT8, 10.0)))
    floor = replace(spec, objective=replace(spec.objective, min_mean_accuracy=0.915))
    made = wanted(CPU_FULL, 2, target=choice(CPU_FULL, 2, shortfall_rps=70.0))
    complete = seen(pool(CPU_INT8, 2), pool(CPU_FULL, 2), selected=CPU_INT8)

    assert next_step(floor, complete, made, ON_CPU).serving == CPU_FULL
    assert next_step(floor, complete, replace(made, demand=UNKNOWN), ON_CPU).serving == CPU_INT8, "it may be less"
    assert next_step(spec, complete, made, ON_CPU).serving == CPU_INT8, "nothing counts more than the load"


@pytest.mark.parametrize(("wished", "serves"), [(False, CPU_INT8), (True, CPU_FULL)])
def test_unseen_load_waits_for_a_saving_but_not_for_a_wish(wished: bool, serves: PoolKey) -> None:
    """Eight replicas may carry more than the four that would do for what was planned."""
    spec = replace(SPEC, capacities=(capacity(CPU_INT8, 10.0), capacity(CPU_FULL, 20.0)))
    floor = replace(spec, objective=replace(spec.objective, min_mean_accuracy=0.915 if wished else None))
    made = wanted(CPU_FULL, 4, None, demand=Demand(None, None, 150.0, 35.0))
    state = PolicyState(active=CPU_INT8, switch=Switch(CPU_FULL, NOW))
    step = next_step(floor, seen(pool(CPU_INT8, 8), pool(CPU_FULL, 4), selected=CPU_INT8), made, state)
    assert step.serving == serves


def test_new_pool_is_not_said_to_have_failed_when_all_of_it_is_ready() -> None:
    late = replace(TO_GPU, switch=Switch(GPU_INT8, NOW - timedelta(hours=1)))
    step = step_of(late, wanted(GPU_INT8, 1, demand=UNKNOWN), pool(CPU_INT8, 4), pool(GPU_INT8, 1))

    assert (step.state.outages, sizes(step)[GPU_INT8]) == ((), 1)


def test_service_moves_at_once_when_nothing_answers_behind_it() -> None:
    made = wanted(GPU_INT8, 3, measured=900.0)
    dead = pool(CPU_INT8, 10, ready=0, unschedulable=10, unready_seconds=5.0)

    assert step_of(TO_GPU, made, dead, pool(GPU_INT8, 3, ready=1)).serving == GPU_INT8


def test_windows_start_afresh_when_another_pool_serves() -> None:
    state = replace(TO_GPU, recommendations=((NOW, 5),), changes=((NOW, 2),), cheaper_since=NOW)
    after = step_of(state, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1)).state

    assert (after.recommendations, after.changes, after.cheaper_since) == ((), (), None)


ON_GPU = PolicyState(active=GPU_INT8)


def test_old_pool_is_emptied_when_the_service_is_seen_to_select_the_new_one() -> None:
    step = step_of(ON_GPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1), selected=GPU_INT8)

    assert sizes(step) == {CPU_INT8: 0, GPU_INT8: 1}


def test_old_pool_stays_when_it_is_not_known_what_the_service_selects() -> None:
    step = step_of(ON_GPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1), selected=None)

    assert sizes(step)[CPU_INT8] == 2


def test_old_pool_stays_when_the_new_one_has_lost_its_replicas_again() -> None:
    step = step_of(ON_GPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1, ready=0))

    assert sizes(step)[CPU_INT8] == 2


@pytest.mark.parametrize(("left", "gone"), [({"terminating": 1}, False), ({}, True)])
def test_old_pool_is_deleted_when_its_last_pod_is_gone(left: dict[str, Any], gone: bool) -> None:
    step = step_of(ON_GPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 0, **left), pool(GPU_INT8, 1))

    assert [target.delete for target in step.pools] == [gone, False]


def test_stale_pools_go_when_an_operator_died_and_left_them() -> None:
    step = step_of(TO_GPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(CPU_FULL, 3), pool(GPU_INT8, 1, ready=0))

    assert sizes(step) == {CPU_INT8: 2, CPU_FULL: 0, GPU_INT8: 1}


def test_switch_goes_to_another_pool_when_the_plan_changes_on_the_way() -> None:
    step = step_of(TO_GPU, wanted(CPU_FULL, 4), pool(CPU_INT8, 2), pool(GPU_INT8, 1, ready=0))

    assert sizes(step) == {CPU_INT8: 2, CPU_FULL: 4, GPU_INT8: 0}
    assert step.state.switch == Switch(CPU_FULL, NOW, DecisionReason.CHEAPER_CHOICE)


def test_switch_is_called_off_when_the_plan_returns_to_the_serving_pool() -> None:
    step = step_of(TO_GPU, wanted(CPU_INT8, 2), pool(CPU_INT8, 2), pool(GPU_INT8, 1, ready=0))

    assert (sizes(step), step.state.switch) == ({CPU_INT8: 2, GPU_INT8: 0}, None)
    assert "called off" in step.notes[0][1]


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"unschedulable": 1, "failure": "Unschedulable", "unready_seconds": 12.0}, "Unschedulable"),
        ({"failing": 1, "failure": "CrashLoopBackOff", "unready_seconds": 31.0}, "CrashLoopBackOff"),
        ({"refused": 1, "failure": "FailedCreate", "refused_seconds": 12.0}, "FailedCreate"),
    ],
)
def test_new_pool_is_given_up_when_its_pods_cannot_run(trouble: dict[str, Any], why: str) -> None:
    step = step_of(TO_GPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1, ready=0, **trouble))

    assert (sizes(step), step.serving, step.state.switch) == ({CPU_INT8: 2, GPU_INT8: 0}, CPU_INT8, None)
    assert step.state.outages == (outage(GPU_INT8, NOW + timedelta(seconds=30), 1, why),)
    assert step.notes[0][0] is DecisionReason.CANDIDATE_UNAVAILABLE


def test_new_pool_is_given_up_when_it_is_not_ready_by_the_deadline() -> None:
    state = PolicyState(active=CPU_INT8, switch=Switch(GPU_INT8, NOW - timedelta(seconds=601)))
    step = step_of(state, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1, ready=0, unready_seconds=590.0))

    assert step.state.outages[0].reason == "StartDeadlineExceeded"


@pytest.mark.parametrize(
    "trouble",
    [
        {"unschedulable": 1, "failure": "Unschedulable", "unready_seconds": 8.0},
        {"failing": 1, "failure": "CrashLoopBackOff", "unready_seconds": 20.0},
        {"refused": 1, "failure": "FailedCreate", "refused_seconds": 8.0},
        {"unready_seconds": 300.0},
    ],
)
def test_new_pool_is_waited_for_when_there_is_still_hope(trouble: dict[str, Any]) -> None:
    step = step_of(TO_GPU, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1, ready=0, **trouble))

    assert (step.state.switch, step.state.outages) == (TO_GPU.switch, ())


def test_clock_that_was_set_back_holds_nothing_when_the_state_is_recalled() -> None:
    later = NOW + timedelta(hours=1)
    before = PolicyState(
        active=CPU_INT8,
        switch=Switch(GPU_INT8, later),
        outages=(outage(GPU_INT8, later),),
        recommendations=((later, 1),),
        changes=((later, 4),),
        cheaper_since=later,
    )
    state = recalled(seen(pool(CPU_INT8, 2)), before)

    assert state.switch == Switch(GPU_INT8, NOW)
    assert (state.recommendations, state.changes, state.cheaper_since) == (((NOW, 1),), ((NOW, 4),), NOW)
    assert state.outages[0].until == NOW + timedelta(seconds=30), "as long as a first failure counts"


def test_replicas_wait_for_a_node_when_the_spec_allows_no_other_pool_than_the_one_given_up() -> None:
    left = PolicyState(active=CPU_FULL, outages=(outage(GPU_INT8, NOW + timedelta(seconds=20)),))
    waiting = pool(GPU_INT8, 2, 0, unschedulable=2, unready_seconds=40.0)
    step = step_of(left, wanted(GPU_INT8, 2), pool(CPU_FULL, 4), waiting)

    assert (sizes(step), step.serving) == ({CPU_FULL: 4, GPU_INT8: 2}, CPU_FULL)


def test_pool_is_left_alone_for_longer_when_it_fails_again() -> None:
    state = replace(TO_GPU, outages=(outage(GPU_INT8, NOW - timedelta(seconds=1), 3),))
    stuck = pool(GPU_INT8, 1, ready=0, unschedulable=1, unready_seconds=12.0)
    step = step_of(state, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), stuck)

    assert step.state.outages[0].failures == 4
    assert step.state.outages[0].until == NOW + timedelta(seconds=240)


def test_outage_is_over_when_the_pool_serves() -> None:
    state = replace(TO_GPU, outages=(outage(GPU_INT8, NOW - timedelta(seconds=1), 3),))

    assert step_of(state, wanted(GPU_INT8, 1), pool(CPU_INT8, 2), pool(GPU_INT8, 1)).state.outages == ()


def test_serving_pool_is_recorded_as_out_when_it_is_left_because_it_cannot_run() -> None:
    dead = pool(CPU_INT8, 2, ready=0, unschedulable=2, unready_seconds=15.0, failure="Unschedulable")
    made = wanted(GPU_INT8, 1, reason=DecisionReason.CANDIDATE_UNAVAILABLE)
    step = step_of(ON_CPU, made, dead)

    assert step.state.outages == (outage(CPU_INT8, NOW + timedelta(seconds=30)),)
    assert sizes(step) == {CPU_INT8: 2, GPU_INT8: 1}, "the old pool is kept until the new one serves"


def test_pods_that_do_not_fit_are_still_asked_for_when_there_is_no_other_pool() -> None:
    partly = pool(CPU_INT8, 4, ready=2, unschedulable=2, unready_seconds=60.0, failure="Unschedulable")
    step = step_of(ON_CPU, wanted(CPU_INT8, 4, binding=Binding.AVAILABILITY), partly)

    assert (sizes(step), step.serving) == ({CPU_INT8: 4}, CPU_INT8)
    assert step.state.outages[0].pool == CPU_INT8


def test_old_pool_serves_again_when_the_new_one_dies_before_it_was_drained() -> None:
    dead = pool(GPU_INT8, 1, ready=0, unschedulable=1, unready_seconds=20.0, failure="Unschedulable")
    made = wanted(CPU_INT8, 2, reason=DecisionReason.CANDIDATE_UNAVAILABLE)
    step = step_of(ON_GPU, made, pool(CPU_INT8, 2), dead)

    assert (step.serving, step.state.active) == (CPU_INT8, CPU_INT8)
