from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders import (
    CPU_FULL,
    CPU_INT8,
    GPU_FULL,
    GPU_INT8,
    NOW,
    capacity,
    forecast,
    objective,
    observation,
    outage,
    placement,
    pool,
    rules,
    single_pool,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Plan, PolicyState, Switch, Workload
from modelscaler.planner.candidates import NoCandidateError
from modelscaler.planner.plan import plan


def first(spec: Workload, rps: float, state: PolicyState | None = None) -> Plan:
    made, _ = plan(spec, observation(rps), None, state or PolicyState(), 15.0)
    return made


def test_cheapest_is_taken_when_costs_differ() -> None:
    made = first(workload(), 300.0)

    assert (made.target.pool, made.target.replicas) == (CPU_INT8, 4)
    assert made.target.hourly_cost == pytest.approx(0.4)
    assert made.runner_up is not None
    assert made.runner_up.pool == GPU_INT8
    assert made.why_not_runner_up == "it would cost 0.5 per hour instead of 0.4"


def test_more_accurate_is_taken_when_costs_are_nearly_equal() -> None:
    made = first(workload(), 30.0)

    assert made.target.pool == CPU_FULL
    assert made.runner_up is not None
    assert made.runner_up.pool == CPU_INT8
    assert "accuracy 0.91 instead of 0.92" in made.why_not_runner_up


def test_fewer_replicas_are_taken_when_cost_and_accuracy_are_equal() -> None:
    spec = workload(
        placements=(placement("cpu", 0.1), placement("gpu", 0.5)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
    )

    assert first(spec, 450.0).target.pool == GPU_INT8


def test_nothing_below_the_accuracy_floor_is_taken_when_nothing_else_carries_the_demand() -> None:
    made = first(workload(objective=objective(min_accuracy=0.92)), 9000.0)

    assert made.target.pool == GPU_FULL
    assert (made.reason, made.binding) == (DecisionReason.INFEASIBLE, Binding.MAX_REPLICAS)
    assert made.target.shortfall_rps > 0.0


def test_spec_is_refused_when_no_capacity_entry_reaches_the_floor() -> None:
    with pytest.raises(NoCandidateError, match=r"slo\.minAccuracy"):
        first(workload(objective=objective(min_accuracy=0.95)), 1.0)


def test_as_much_as_possible_is_carried_when_the_budget_does_not_suffice() -> None:
    made = first(workload(max_hourly_cost=0.3), 900.0)

    assert (made.target.pool, made.target.replicas) == (CPU_INT8, 3)
    assert (made.reason, made.binding) == (DecisionReason.INFEASIBLE, Binding.MAX_HOURLY_COST)
    assert "maxHourlyCost is reached" in made.message


def test_minimum_is_kept_when_it_costs_more_than_the_budget() -> None:
    made = first(single_pool(min_replicas=3, max_hourly_cost=0.2), 10.0)

    assert made.target.replicas == 3


def test_placement_that_allows_the_minimum_is_taken_when_another_does_not() -> None:
    spec = workload(placements=(placement("cpu", 0.1, max_replicas=1), placement("gpu", 0.5)), min_replicas=2)

    assert first(spec, 10.0).target.pool.placement == "gpu"


def test_pool_that_meets_the_objective_is_taken_when_a_cheaper_one_cannot() -> None:
    spec = workload(objective=objective(latency_seconds=0.01))

    assert first(spec, 50.0).target.pool.placement == "gpu"


def test_load_is_still_carried_when_no_replica_meets_the_objective() -> None:
    made = first(single_pool(objective=objective(latency_seconds=0.005)), 150.0)

    assert made.target.replicas == 2, "busy, but stable"
    assert (made.reason, made.binding) == (DecisionReason.INFEASIBLE, Binding.OBJECTIVE)


def test_next_best_is_taken_and_the_outage_explained_when_the_best_is_out() -> None:
    state = PolicyState(outages=(outage(CPU_INT8, NOW + timedelta(seconds=20)),))
    made = first(workload(), 300.0, state)

    assert made.target.pool == GPU_INT8
    assert made.runner_up is not None
    assert made.runner_up.pool == CPU_INT8
    assert made.why_not_runner_up == "left alone for 20 s more: Unschedulable"


def test_message_names_the_figures_it_was_made_on() -> None:
    made, _ = plan(single_pool(), observation(20.0), forecast(200.0), PolicyState(), 15.0)

    assert made.message == (
        "forecast 200 rps at 0.95 within 35 s, measured 20 rps; "
        "cpu-int8 carries 90.9 rps per replica within 400 ms p99: 3 replicas, the first plan"
    )


# --- leaving the pool in use -----------------------------------------------------------------------------------------

TWO = workload(
    placements=(placement("cpu", 0.1, 20.0), placement("gpu", 0.5, 60.0)),
    capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
    scale_down=rules(120.0),
)
ON_GPU = PolicyState(active=GPU_INT8)


def on_gpu(rps: float, state: PolicyState = ON_GPU, after_seconds: float = 0.0) -> tuple[Plan, PolicyState]:
    now = NOW + timedelta(seconds=after_seconds)
    return plan(TWO, observation(rps, pool(GPU_INT8, 1), now=now), None, state, 15.0)


def test_serving_pool_stays_when_another_has_only_just_become_cheaper() -> None:
    made, state = on_gpu(250.0)

    assert (made.target.pool, made.binding) == (GPU_INT8, Binding.SWITCH_COST)
    assert state.cheaper_since == NOW
    assert made.runner_up is not None
    assert made.runner_up.pool == CPU_INT8
    assert "30 s" in made.why_not_runner_up, "20 s at 0.3 is saved after 30 s at 0.2"


def test_cheaper_pool_is_taken_when_it_has_been_cheaper_for_long_enough() -> None:
    _, state = on_gpu(250.0)
    early, state = on_gpu(250.0, state, 29.0)
    made, _ = on_gpu(250.0, state, 31.0)

    assert early.target.pool == GPU_INT8
    assert (made.target.pool, made.target.replicas, made.reason) == (CPU_INT8, 3, DecisionReason.CHEAPER_CHOICE)


def test_double_running_must_pay_when_the_start_is_long_and_the_saving_small() -> None:
    spec = workload(
        placements=(placement("cpu", 0.2, 300.0), placement("gpu", 0.5, 60.0)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
        scale_down=rules(0.0),
    )
    state = PolicyState(active=GPU_INT8, cheaper_since=NOW)
    pools = [
        plan(spec, observation(150.0, pool(GPU_INT8, 1), now=NOW + timedelta(seconds=s)), None, state, 15.0)[
            0
        ].target.pool
        for s in (1190.0, 1210.0)
    ]

    assert pools == [GPU_INT8, CPU_INT8], "300 s at 0.4 is saved after 1,200 s at 0.1"


def test_smaller_pool_is_sized_for_the_window_when_the_load_has_only_just_fallen() -> None:
    recent = PolicyState(active=CPU_INT8, recommendations=((NOW - timedelta(seconds=60), 9),))
    full = pool(CPU_INT8, 9)
    fallen = observation(150.0, full, pool(GPU_INT8, 0), now=NOW)
    spec = workload(
        placements=(placement("cpu", 0.3, 20.0), placement("gpu", 0.5, 60.0)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
    )
    held, _ = plan(spec, fallen, None, recent, 15.0)
    free, _ = plan(spec, fallen, None, PolicyState(active=CPU_INT8), 15.0)

    assert held.runner_up is not None
    assert held.runner_up.replicas == 2, "eight replicas would not have been enough: more than one GPU carries"
    assert free.runner_up is not None
    assert free.runner_up.replicas == 1


def test_more_accurate_pool_is_awaited_for_a_window_when_it_saves_nothing() -> None:
    spec, state = workload(), PolicyState(active=CPU_INT8)
    pools = []
    for seconds in (0.0, 299.0, 300.0):
        seen = observation(30.0, pool(CPU_INT8, 1), now=NOW + timedelta(seconds=seconds))
        made, state = plan(spec, seen, None, state, 15.0)
        pools.append(made.target.pool)

    assert pools == [CPU_INT8, CPU_INT8, CPU_FULL]


def test_clock_starts_again_when_the_saving_goes_away() -> None:
    _, state = on_gpu(250.0)
    _, state = on_gpu(450.0, state, 15.0)

    assert state.cheaper_since is None


def test_nothing_is_left_for_a_saving_when_the_load_is_unknown() -> None:
    made, _ = plan(
        TWO, observation(None, pool(GPU_INT8, 1)), None, PolicyState(active=GPU_INT8, cheaper_since=NOW), 15.0
    )

    assert made.target.pool == GPU_INT8


def test_larger_pool_is_taken_at_once_when_the_serving_one_cannot_carry_the_demand() -> None:
    made, _ = plan(TWO, observation(1200.0, pool(CPU_INT8, 8)), None, PolicyState(active=CPU_INT8), 15.0)

    assert (made.target.pool, made.reason) == (GPU_INT8, DecisionReason.MEASURED_DEMAND)


@pytest.mark.parametrize(
    "trouble",
    [
        {"ready": 0, "unschedulable": 2, "unready_seconds": 15.0, "failure": "Unschedulable"},
        {"ready": 1, "unschedulable": 1, "unready_seconds": 15.0, "failure": "Unschedulable"},
        {"ready": 1, "refused": 1, "refused_seconds": 15.0, "failure": "FailedCreate"},
        {"ready": 0, "failing": 2, "unready_seconds": 40.0, "failure": "CrashLoopBackOff"},
        {"ready": 0, "start_seconds": 20.0, "unready_seconds": 60.0},
        {"ready": 0, "unready_seconds": 600.0},
    ],
    ids=["not placed", "half of it not placed", "half of it not made", "crashing", "silent", "never ready"],
)
def test_runner_up_is_taken_when_the_serving_pool_cannot_run(trouble: dict[str, Any]) -> None:
    seen = observation(150.0, pool(CPU_INT8, 2, **trouble))
    made, _ = plan(TWO, seen, None, PolicyState(active=CPU_INT8), 15.0)

    assert (made.target.pool, made.reason) == (GPU_INT8, DecisionReason.CANDIDATE_UNAVAILABLE)


@pytest.mark.parametrize(
    "trouble",
    [
        {"ready": 1, "unschedulable": 1, "unready_seconds": 5.0},
        {"ready": 1, "failing": 1, "unready_seconds": 3600.0},
        {"ready": 2, "unschedulable": 1, "unready_seconds": 60.0},
    ],
    ids=["not placed for a moment", "one of two fails", "a rollout's extra pod is not placed"],
)
def test_serving_pool_stays_when_the_trouble_is_small(trouble: dict[str, Any]) -> None:
    seen = observation(150.0, pool(CPU_INT8, 2, **trouble))
    made, _ = plan(TWO, seen, None, PolicyState(active=CPU_INT8), 15.0)

    assert made.target.pool == CPU_INT8


def test_what_runs_is_kept_when_more_does_not_fit_and_there_is_no_other_pool() -> None:
    seen = observation(300.0, pool(CPU_INT8, 4, ready=2, unschedulable=2, unready_seconds=60.0))
    made, _ = plan(single_pool(), seen, None, PolicyState(active=CPU_INT8), 15.0)

    assert (made.target.replicas, made.reason, made.binding) == (4, DecisionReason.INFEASIBLE, Binding.AVAILABILITY)


@pytest.mark.parametrize(
    ("seen_to_take", "waited", "is_waited_for"),
    [(None, 15.0, False), (90.0, 60.0, True), (90.0, 95.0, False), (2000.0, 310.0, False)],
)
def test_replica_that_no_node_has_room_for_is_waited_for_as_long_as_replicas_were_seen_to_take(
    seen_to_take: float | None, waited: float, is_waited_for: bool
) -> None:
    wanting = pool(CPU_INT8, 4, ready=2, unschedulable=2, unready_seconds=waited, start_seconds=seen_to_take)
    made, _ = plan(TWO, observation(300.0, wanting), None, PolicyState(active=CPU_INT8), 15.0)

    assert (made.target.pool == CPU_INT8) == is_waited_for


def test_serving_pool_stays_when_everything_else_is_out() -> None:
    state = PolicyState(active=CPU_INT8, outages=(outage(GPU_INT8, NOW + timedelta(seconds=20)),))
    dead = pool(CPU_INT8, 2, ready=0, unschedulable=2, unready_seconds=60.0)
    made, _ = plan(TWO, observation(150.0, dead), None, state, 15.0)

    assert (made.target.pool, made.binding) == (CPU_INT8, Binding.AVAILABILITY)


def test_best_is_taken_at_once_when_the_serving_pool_has_left_the_spec() -> None:
    made, _ = plan(TWO, observation(150.0, pool(CPU_FULL, 4)), None, PolicyState(active=CPU_FULL), 15.0)

    assert (made.target.pool, made.reason) == (CPU_INT8, DecisionReason.SPEC_CHANGED)


def test_as_many_replicas_run_when_the_serving_pool_has_left_the_spec_and_the_load_is_unknown() -> None:
    made, _ = plan(TWO, observation(None, pool(CPU_FULL, 4)), None, PolicyState(active=CPU_FULL), 15.0)

    assert made.target.replicas == 4


def test_equal_capacity_is_planned_when_the_pool_is_lost_while_the_load_is_unknown() -> None:
    dead = pool(CPU_INT8, 8, ready=0, unschedulable=8, unready_seconds=60.0)
    made, _ = plan(TWO, observation(None, dead), None, PolicyState(active=CPU_INT8), 15.0)

    assert (made.target.pool, made.target.replicas) == (GPU_INT8, 2), "8 x 90.9 rps are 2 x 464"


def test_change_of_the_spec_is_named_when_it_changes_the_size() -> None:
    state = PolicyState(active=CPU_INT8, planned_generation=1)
    made, _ = plan(single_pool(generation=2, min_replicas=3), observation(50.0, pool(CPU_INT8, 2)), None, state, 15.0)

    assert (made.target.replicas, made.reason) == (3, DecisionReason.SPEC_CHANGED)


def test_failback_is_named_when_a_pool_can_be_had_again() -> None:
    state = PolicyState(
        active=GPU_INT8,
        cheaper_since=NOW - timedelta(seconds=200),
        outages=(outage(CPU_INT8, NOW - timedelta(seconds=200)),),
    )
    made, _ = on_gpu(250.0, state)

    assert (made.target.pool, made.reason) == (CPU_INT8, DecisionReason.FAILBACK)


def test_switch_goes_on_when_its_reason_weakens_while_it_is_under_way() -> None:
    state = PolicyState(active=CPU_INT8, switch=Switch(GPU_INT8, NOW))
    made, _ = plan(TWO, observation(880.0, pool(CPU_INT8, 10)), None, state, 15.0)

    assert made.target.pool == GPU_INT8


def test_switch_is_called_off_when_the_silent_pool_answers_again() -> None:
    state = PolicyState(active=CPU_INT8, switch=Switch(GPU_INT8, NOW))
    made, _ = plan(TWO, observation(150.0, pool(CPU_INT8, 2)), None, state, 15.0)

    assert made.target.pool == CPU_INT8


@pytest.mark.parametrize("reason", [DecisionReason.FORECAST_DEMAND, DecisionReason.MEASURED_DEMAND])
def test_switch_for_the_load_goes_on_for_a_start_when_a_smaller_load_is_expected_again(reason: DecisionReason) -> None:
    state = PolicyState(active=CPU_INT8, switch=Switch(GPU_INT8, NOW, reason))
    seen = observation(150.0, pool(CPU_INT8, 2))
    start_seconds = TWO.placement("gpu").start_seconds
    taken = []
    for seconds in (0.0, start_seconds - 1.0, start_seconds):
        made, state = plan(TWO, replace(seen, now=NOW + timedelta(seconds=seconds)), None, state, 15.0)
        taken.append(made.target.pool)
    assert taken == [GPU_INT8, GPU_INT8, CPU_INT8]


def test_switch_for_the_load_waits_anew_when_a_larger_load_is_expected_in_between() -> None:
    waited = NOW - timedelta(seconds=600)
    switch = Switch(GPU_INT8, waited, DecisionReason.FORECAST_DEMAND)
    state = PolicyState(active=CPU_INT8, switch=switch, cheaper_since=waited)
    taken = []
    for rps, seconds in ((5_000.0, 0.0), (150.0, 15.0), (150.0, 30.0)):
        seen = replace(observation(rps, pool(CPU_INT8, 10)), now=NOW + timedelta(seconds=seconds))
        made, state = plan(TWO, seen, None, state, 15.0)
        taken.append(made.target.pool)
    assert taken == [GPU_INT8] * 3


def test_pool_that_answers_is_taken_for_the_serving_one_when_the_memory_is_lost() -> None:
    seen = observation(800.0, pool(GPU_INT8, 2), pool(CPU_INT8, 3, ready=1))
    made, state = plan(TWO, seen, None, PolicyState(), 15.0)

    assert state.active == GPU_INT8
    assert (made.target.pool, made.reason) == (GPU_INT8, DecisionReason.STEADY)


def test_the_service_is_believed_when_it_selects_another_pool_than_remembered() -> None:
    seen = observation(150.0, pool(GPU_INT8, 1), pool(CPU_INT8, 2), selected=GPU_INT8)
    _, state = plan(TWO, seen, None, PolicyState(active=CPU_INT8), 15.0)

    assert state.active == GPU_INT8
    assert state.switch == Switch(CPU_INT8, NOW), "the flip that was missed is still to come"


def test_maximum_is_what_bound_when_more_replicas_run_than_it_allows_and_another_waits_for_a_node() -> None:
    seen = pool(CPU_INT8, 5, 3, unschedulable=2, unready_seconds=60.0)
    made, _ = plan(single_pool(max_replicas=2), observation(500.0, seen), None, PolicyState(active=CPU_INT8), 15.0)

    assert (made.target.replicas, made.binding) == (2, Binding.MAX_REPLICAS)


@pytest.mark.parametrize(
    ("limits", "binding"),
    [
        ({"placements": (placement("cpu", max_replicas=2),), "min_replicas": 5}, Binding.MAX_REPLICAS),
        ({"max_hourly_cost": 0.1, "min_replicas": 5}, Binding.MAX_HOURLY_COST),
    ],
)
def test_limit_that_a_minimum_is_above_is_what_binds(limits: dict[str, Any], binding: Binding) -> None:
    made, _ = plan(single_pool(**limits), observation(1.0, pool(CPU_INT8, 5)), None, PolicyState(active=CPU_INT8), 15.0)
    assert made.binding is binding
