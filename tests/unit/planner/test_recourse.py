from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    CPU_FULL,
    CPU_INT8,
    GPU_FULL,
    NOW,
    capacity,
    forecast,
    objective,
    observation,
    placement,
    pool,
    rules,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Plan, PolicySettings, PolicyState, PoolObservation, QuantileForecast, Value, Workload
from modelscaler.planner.candidates import candidates
from modelscaler.planner.demand import load_from
from modelscaler.planner.plan import plan, sized_options
from modelscaler.planner.recourse import (
    BUDGET_SECONDS,
    REFILL_SECONDS,
    Rung,
    allowed_share,
    bearable_multiple,
    expected_share,
    replicas_within,
)
from modelscaler.planner.savings import MOST_OVERDRAFT
from modelscaler.planner.transition import next_step

BURSTS = replace(capacity(CPU_INT8, 10.0), reflex_only=True)
INT8_RPS = 90.9
"""What a replica carries of int8 within 400 ms at the 99th percentile; of full it is 40.8."""


def floored(min_mean_accuracy: float | None) -> Any:
    return replace(objective(), min_mean_accuracy=min_mean_accuracy)


def laddered(**overrides: Any) -> Workload:
    """Return a workload whose replicas run full on CPUs, with int8, which carries 2.2 times as much, for bursts."""
    fields: dict[str, Any] = {
        "placements": (placement("cpu"),),
        "capacities": (capacity(CPU_FULL, 20.0), BURSTS),
        "reflex": True,
    }
    return workload(**(fields | overrides))


def planned(
    spec: Workload, rps: float | None, ahead: QuantileForecast | None = None, *pools: PoolObservation, **seen: Any
) -> Plan:
    state = PolicyState(active=pools[0].pool if pools else None)
    return plan(spec, observation(rps, *pools, **seen), ahead, state, 15.0)[0]


def sized(spec: Workload, rps: float | None, ahead: QuantileForecast | None = None) -> int:
    return planned(spec, rps, ahead).target.replicas


# --- how much cheaper answers there are --------------------------------------------------------------------------------


def test_share_is_what_the_formula_says_when_the_load_is_between_own_and_full_capacity() -> None:
    """At 1.5 times its capacity a replica whose cheap variant is 2.5 times as fast spends a third of its time on it."""
    assert expected_share([150.0], 100.0, 2.5) == pytest.approx(2.5 * (1 / 3) / 1.5)
    assert expected_share([100.0], 100.0, 2.5) == 0.0
    assert expected_share([250.0, 900.0], 100.0, 2.5) == pytest.approx(1.0), "no more than all"
    assert expected_share([50.0, 250.0], 100.0, 2.5) == pytest.approx(0.5)
    assert expected_share([], 100.0, 2.5) == 0.0, "nothing is expected without a forecast"


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=20), st.floats(0.1, 1e4), st.floats(1.05, 10.0))
def test_share_is_the_mean_of_the_formula_over_all_loads(loads: list[float], own: float, speedup: float) -> None:
    loads.sort()
    shares = [min(max(1.0 - own / load, 0.0) * speedup / (speedup - 1.0), 1.0) if load else 0.0 for load in loads]

    assert expected_share(loads, own, speedup) == pytest.approx(np.mean(shares), abs=1e-6)


def test_share_allowed_leaves_the_mean_at_the_floor() -> None:
    share = allowed_share(0.92, 0.88, 0.91)

    assert share * 0.88 + (1.0 - share) * 0.92 == pytest.approx(0.91)
    assert allowed_share(0.92, 0.88, None) == allowed_share(0.92, 0.88, 0.5) == 1.0
    assert allowed_share(0.92, 0.88, 0.95) == 0.0


@settings(deadline=None)
@given(
    st.lists(st.floats(0.0, 1e4), min_size=1, max_size=20),
    st.floats(1.05, 10.0),
    st.floats(0.0, 1.0),
    st.integers(1, 30),
    st.integers(0, 60),
)
def test_fewest_replicas_within_the_share_are_found(
    loads: list[float], speedup: float, share: float, fewest: int, more: int
) -> None:
    loads.sort()
    found = replicas_within(Rung("int8", speedup, share), loads, 40.0, fewest, fewest + more)

    def is_within(replicas: int) -> bool:
        return expected_share(loads, replicas * 40.0, speedup) <= share

    assert fewest <= found <= fewest + more
    assert found == fewest + more or is_within(found)
    assert found == fewest or not is_within(found - 1)


# --- what it means for the size ----------------------------------------------------------------------------------------


def test_tail_of_the_forecast_is_left_to_the_cheaper_variant_when_there_is_one() -> None:
    ahead = forecast(200.0, spread=1.0)

    assert sized(laddered(reflex=False), 100.0, ahead) == 10, "400 / 40.8"
    assert sized(laddered(), 100.0, ahead) == 5, "200 / 40.8, and 400 / 90.9"


def test_tail_decides_when_it_is_beyond_what_the_ladder_of_the_base_carries() -> None:
    assert sized(laddered(), 10.0, forecast(50.0, spread=5.0)) == 4, "300 / 90.8; the median needs 2"


def test_measured_load_is_carried_by_the_planned_variant_itself() -> None:
    assert sized(laddered(), 200.0, forecast(50.0)) == sized(laddered(reflex=False), 200.0, forecast(50.0)) == 5


def test_backlog_is_left_to_the_cheaper_variant() -> None:
    backlog = {"queued": Value(3500.0, NOW)}

    assert planned(laddered(), 80.0, None, **backlog).target.replicas == 2, "180 / 90.9"
    assert planned(laddered(reflex=False), 80.0, None, **backlog).target.replicas == 5, "180 / 40.8"


def test_message_says_what_the_planned_variant_carries_and_what_the_other_does() -> None:
    spec = laddered(policy=PolicySettings(headroom=0.1))

    assert planned(spec, 100.0, forecast(200.0, spread=1.0)).message == (
        "forecast 400 rps at 0.95 within 35 s, measured 100 rps, 10 % headroom; "
        "cpu-full carries 40.8 rps per replica within 400 ms p99, for 220 rps, and 90.9 as int8 beyond: "
        "6 replicas, the first plan"
    )


def test_quantiles_of_the_policy_count_when_they_are_set() -> None:
    ahead = forecast(200.0, spread=1.0)
    policy = PolicySettings(quantile=0.5)

    assert sized(laddered(policy=policy, reflex=False), 0.0, ahead) == 5
    assert sized(laddered(policy=PolicySettings(recourse_quantile=0.95)), 0.0, ahead) == 10, "no recourse wanted"
    assert sized(laddered(policy=PolicySettings(quantile=0.1, recourse_quantile=0.9)), 0.0, ahead) == 1
    assert "at 0.5 within" in planned(laddered(policy=policy), 0.0, ahead).message


def test_headroom_is_added_to_what_is_measured_and_to_what_is_forecast() -> None:
    generous = PolicySettings(headroom=0.5)

    assert sized(laddered(policy=generous, reflex=False), 100.0) == 4, "150 / 40.8"
    assert planned(laddered(policy=generous), 10.0, forecast(100.0)).demand.planned_rps == pytest.approx(150.0)


@pytest.mark.parametrize(
    ("budgets", "overdraft", "planned_rps"),
    [(2.0, 1.0, 90.0), (2.0, 0.5, 95.0), (1.0, 1.0, 95.0), (2.0, 0.0, 100.0), (-0.5, 1.0, 100.0), (None, 1.0, 100.0)],
)
def test_less_is_left_to_cheaper_variants_the_less_is_saved_beyond_what_is_for_bursts(
    budgets: float | None, overdraft: float | None, planned_rps: float
) -> None:
    lends = PolicySettings(headroom=-0.1, forecaster="Reactive")
    running = replace(pool(CPU_FULL, 2), budgets=budgets, overdraft=overdraft)
    kept = replace(objective(), min_mean_accuracy=0.918)

    assert planned(laddered(policy=lends, objective=kept), 100.0, None, running).demand.planned_rps == pytest.approx(
        planned_rps
    )
    for unbounded in (laddered(policy=lends), laddered(policy=lends, objective=kept, reflex=False)):
        assert planned(unbounded, 100.0, None, running).demand.planned_rps == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("budgets", "overdraft", "own_rps"),
    [
        (2.0, 2.0, 100.0),
        (2.0, 8.0, 100.0),
        (2.0, 0.5, 125.0),
        (0.0, 0.0, 150.0),
        (-8.0, 2.0, 150.0),
        (None, 8.0, 150.0),
    ],
)
def test_more_is_carried_by_the_planned_variant_the_sooner_savings_end(
    budgets: float | None, overdraft: float, own_rps: float
) -> None:
    """Two replicas with three budgets each have enough for three starts of a minute."""
    spec = laddered(policy=PolicySettings(quantile=0.95, recourse_quantile=0.5), objective=floored(0.918))
    seen = observation(10.0, replace(pool(CPU_FULL, 2), budgets=budgets, overdraft=overdraft))
    ahead = forecast(100.0, spread=0.5)
    assert load_from(spec, seen, ahead, 0.0).within(60.0).own_rps == pytest.approx(own_rps, abs=1.0)


def test_savings_that_last_for_a_short_start_do_not_last_for_a_long_one() -> None:
    spec = laddered(policy=PolicySettings(quantile=0.95, recourse_quantile=0.5), objective=floored(0.918))
    seen = observation(10.0, replace(pool(CPU_FULL, 2), budgets=2.0, overdraft=2.0))
    load = load_from(spec, seen, forecast(100.0, spread=0.5), 0.0)
    assert [round(load.within(seconds).own_rps) for seconds in (30.0, 60.0, 120.0, 600.0)] == [100, 100, 125, 145]


def test_losing_all_replicas_asks_for_no_fewer() -> None:
    spec, ahead = laddered(objective=floored(0.918)), forecast(200.0, spread=1.0)
    sizes = [
        planned(spec, 100.0, ahead, pool(CPU_FULL, 4, ready=ready, budgets=0.0)).target.replicas for ready in (4, 1, 0)
    ]
    assert sizes == [10, 10, 10]
    assert sized(spec, 100.0, ahead) == 10, "the first have saved nothing either"


def test_spent_savings_are_no_reason_to_leave_for_a_dearer_pool() -> None:
    """Seven replicas on CPUs are all there may be, and do with savings; without, some answers are late until they are back."""
    spec = laddered(
        objective=floored(0.918),
        placements=(placement("cpu", 0.1, max_replicas=7), placement("gpu", 2.0, start_seconds=600.0)),
        capacities=(capacity(CPU_FULL, 20.0), BURSTS, capacity(GPU_FULL, 2.0)),
    )
    for budgets, overdraft in ((7.0, MOST_OVERDRAFT), (7.0, 0.0), (0.0, 0.0), (None, 0.0)):
        seen = observation(150.0, replace(pool(CPU_FULL, 7), budgets=budgets, overdraft=overdraft))
        state = PolicyState(active=CPU_FULL, cheaper_since=NOW - timedelta(hours=9))
        made, _ = plan(spec, seen, forecast(200.0, spread=1.0), state, 15.0)
        assert made.target.pool == CPU_FULL, made.message


def test_replicas_for_want_of_savings_are_for_the_mean_accuracy() -> None:
    spec, ahead = laddered(objective=floored(0.918)), forecast(200.0, spread=1.0)
    made = planned(spec, 100.0, ahead, pool(CPU_FULL, 4, budgets=0.0))
    assert made.binding == Binding.MEAN_ACCURACY
    assert "for minMeanAccuracy" in made.message


def test_planned_variant_carries_no_more_than_is_planned_for() -> None:
    spec = laddered(policy=PolicySettings(quantile=0.5, recourse_quantile=0.95), objective=floored(0.918))
    for budgets in (0.0, 1.0, 9.0):
        seen = observation(10.0, pool(CPU_FULL, 1, budgets=budgets))
        assert load_from(spec, seen, forecast(100.0, spread=0.5), 0.0).within(60.0).own_rps == pytest.approx(100.0)


def test_nothing_is_left_to_cheaper_variants_by_a_pool_that_holds_none() -> None:
    running = replace(pool(CPU_FULL, 20), budgets=20.0, overdraft=1.0)
    gpu = placement("gpu", 0.1)  # so cheap that it is taken, with the planned variant alone
    sizes = []
    for headroom in (0.0, -0.1):
        spec = laddered(
            policy=PolicySettings(headroom=headroom, forecaster="Reactive"),
            objective=replace(objective(), min_mean_accuracy=0.918),
            placements=(placement("cpu"), gpu),
            capacities=(capacity(CPU_FULL, 20.0), BURSTS, capacity(GPU_FULL, 20.0)),
            max_replicas=40,
        )
        listed = sized_options(spec, observation(800.0, running), None, PolicyState(active=CPU_FULL), 15.0)
        sizes.append({option.candidate.pool: option.needed for option in listed})

    assert sizes[0][GPU_FULL] == sizes[1][GPU_FULL]
    assert sizes[1][CPU_FULL] < sizes[0][CPU_FULL]


def test_message_says_how_much_is_left_to_cheaper_variants_now() -> None:
    lends = PolicySettings(headroom=-0.1, forecaster="Reactive")
    running = replace(pool(CPU_FULL, 2), budgets=2.0, overdraft=0.5)
    spec = laddered(policy=lends, objective=replace(objective(), min_mean_accuracy=0.918))

    assert "measured 100 rps, -5 % headroom; " in planned(spec, 100.0, None, running).message


def test_replicas_do_not_grow_by_headroom_when_the_load_is_unknown() -> None:
    made = planned(laddered(policy=PolicySettings(headroom=0.5)), None, None, pool(CPU_FULL, 4))

    assert made.target.replicas == 4


def test_forecast_is_left_out_of_account_when_the_policy_is_reactive() -> None:
    made = planned(laddered(policy=PolicySettings(forecaster="Reactive")), 100.0, forecast(400.0))

    assert (made.target.replicas, made.demand.forecast_rps) == (3, None)


@pytest.mark.parametrize(("chosen", "replicas"), [(None, 4), (60.0, 2), (900.0, 6)])
def test_window_of_the_policy_holds_instead_of_the_spec_s_when_it_is_set(chosen: float | None, replicas: int) -> None:
    past = tuple((NOW.replace(hour=8, minute=minute), size) for minute, size in ((50, 6), (57, 4)))
    state = PolicyState(active=CPU_FULL, recommendations=past)
    spec = laddered(policy=PolicySettings(scale_down_seconds=chosen), scale_down=rules(300.0))
    made, _ = plan(spec, observation(60.0, pool(CPU_FULL, 6)), None, state, 15.0)

    assert made.target.replicas == replicas


# --- mean accuracy -----------------------------------------------------------------------------------------------------


def test_replicas_are_added_until_the_expected_share_of_cheaper_answers_is_allowed() -> None:
    ahead = forecast(200.0, spread=1.0)
    slow = (placement("cpu", start_seconds=600.0),)
    specs = [laddered(objective=floored(floor), placements=slow) for floor in (None, 0.915, 0.918, 0.919, 0.92)]
    sizes = [sized(spec, 100.0, ahead) for spec in specs]

    assert sizes == sorted(sizes)
    assert sizes[0] == 5
    assert sizes[-1] == 10, "no cheaper answer is allowed at all within the planned quantile"
    made = planned(specs[3], 100.0, ahead)
    assert (made.binding, made.reason) == (Binding.MEAN_ACCURACY, DecisionReason.FIRST_PLAN)
    assert made.message.endswith("for minMeanAccuracy, the first plan")


@settings(deadline=None)
@given(st.floats(1.05, 10.0), st.floats(0.0, 0.5), st.floats(1.0, 3600.0), st.floats(0.0, 1.0))
def test_bearable_load_uses_up_by_the_horizon_what_servers_have_saved(
    speedup: float, share: float, seconds: float, full: float
) -> None:
    """One server that answers a request a second by itself; cheaper answers beyond the share are paid from what is saved."""
    multiple = bearable_multiple(Rung("int8", speedup, share), seconds, full)
    cheaper = expected_share([multiple], 1.0, speedup)
    paid = (cheaper - (1.0 - cheaper) * share / (1.0 - share)) * multiple * seconds
    saved = full * min(BUDGET_SECONDS * speedup, REFILL_SECONDS * share / (1.0 - share))

    assert 1.0 <= multiple <= speedup
    assert paid <= saved + 1e-6 * seconds * speedup
    assert multiple == pytest.approx(speedup) or paid == pytest.approx(saved, abs=1e-6 * seconds * speedup)


@settings(deadline=None)
@given(st.floats(1.05, 10.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(1.0, 3600.0), st.floats(1.0, 10.0))
def test_bearable_load_is_never_smaller_when_replicas_start_sooner_or_more_is_allowed_or_saved(
    speedup: float, one: float, other: float, seconds: float, slower: float
) -> None:
    low, high = sorted((one, other))
    multiple = bearable_multiple(Rung("int8", speedup, low), seconds, low)

    assert bearable_multiple(Rung("int8", speedup, low), seconds * slower, low) <= multiple + 1e-9
    assert bearable_multiple(Rung("int8", speedup, high), seconds, low) >= multiple - 1e-9
    assert bearable_multiple(Rung("int8", speedup, low), seconds, high) >= multiple - 1e-9


def test_nothing_is_bearable_when_no_cheaper_answer_is_allowed_and_all_is_when_any_are() -> None:
    assert bearable_multiple(Rung("int8", 2.5, 0.0), 60.0, 1.0) == 1.0
    assert bearable_multiple(Rung("int8", 2.5, 1.0), 6000.0, 0.0) == 2.5


@pytest.mark.parametrize(("start_seconds", "replicas"), [(20.0, 5), (100.0, 6), (150.0, 7)])
def test_improbable_burst_is_left_to_what_servers_have_saved_for_as_long_as_that_lasts(
    start_seconds: float, replicas: int
) -> None:
    """A median of 200 requests/s takes 5 replicas; with 8 the cheaper answers to 400 are few enough to be expected for good."""
    spec = laddered(objective=floored(0.9192), placements=(placement("cpu", start_seconds=start_seconds),))

    rich = pool(CPU_FULL, 4, budgets=4.0, overdraft=MOST_OVERDRAFT)
    assert planned(spec, 100.0, forecast(200.0, spread=1.0), rich).target.replicas == replicas


def test_pool_whose_variant_is_below_the_mean_is_not_taken_when_another_reaches_it() -> None:
    spec = workload(objective=floored(0.915))
    made = planned(spec, 300.0)

    assert made.target.pool.variant == "full"
    assert planned(replace(spec, objective=objective()), 300.0).target.pool == CPU_INT8


def test_pool_below_the_mean_is_better_than_none_when_nothing_else_can_be_had() -> None:
    assert planned(workload(objective=floored(0.99)), 300.0).target.feasible


def test_nothing_is_removed_when_more_answers_are_degraded_than_allowed() -> None:
    spec = laddered(objective=floored(0.919), scale_down=rules(0.0))
    many, few = (("full", 50.0), ("int8", 50.0)), (("full", 95.0), ("int8", 5.0))
    held = planned(spec, 100.0, None, pool(CPU_FULL, 6), served=many)

    assert (held.target.replicas, held.binding) == (6, Binding.MEAN_ACCURACY)
    assert planned(spec, 100.0, None, pool(CPU_FULL, 6), served=few).target.replicas == 3


def test_nothing_is_added_when_the_ladder_answers_the_little_that_is_above_what_replicas_carry() -> None:
    spec = laddered(objective=floored(0.918))
    full = pool(CPU_FULL, 3, budgets=3.0)

    assert planned(spec, 3 * 40.8 * 1.09, None, full).target.replicas == 3
    assert planned(spec, 3 * 40.8 * 1.11, None, full).target.replicas == 4
    assert planned(spec, 3 * 40.8 * 1.09, None, pool(CPU_FULL, 1, budgets=1.0)).target.replicas == 4
    assert planned(replace(spec, reflex=False), 3 * 40.8 * 1.01, None, pool(CPU_FULL, 3)).target.replicas == 4


@pytest.mark.parametrize(("budgets", "replicas"), [(3.0, 3), (1.5, 4), (0.0, 4), (-2.0, 4), (None, 4)])
def test_the_little_that_is_above_is_left_to_the_ladder_only_as_far_as_servers_have_saved_for_it(
    budgets: float | None, replicas: int
) -> None:
    spec = laddered(objective=floored(0.918))
    assert planned(spec, 3 * 40.8 * 1.06, None, pool(CPU_FULL, 3, budgets=budgets)).target.replicas == replicas


def test_improbable_burst_is_left_to_what_servers_have_saved_and_not_to_what_they_have_spent() -> None:
    spec = laddered(objective=floored(0.9192), placements=(placement("cpu", start_seconds=20.0),))
    ahead = forecast(200.0, spread=1.0)
    saved = ((1.0, 2.0), (1.0, 0.0), (0.6, 0.0), (0.2, 0.0), (0.0, 0.0), (-0.5, 0.0))
    pools = [pool(CPU_FULL, 4, budgets=4.0 * full, overdraft=overdraft) for full, overdraft in saved]
    replicas = [planned(spec, 100.0, ahead, each).target.replicas for each in pools]

    assert replicas == sorted(replicas)
    assert replicas[0] == 5
    assert replicas[-1] == replicas[-2] == 10, "all of what is planned for"


def test_nothing_is_added_when_the_tail_of_the_forecast_is_little_above_what_the_ladder_carries() -> None:
    tails = [forecast(3 * INT8_RPS * beyond / 6.0, spread=5.0) for beyond in (1.09, 1.11)]

    assert [planned(laddered(), 10.0, tail, pool(CPU_FULL, 3)).target.replicas for tail in tails] == [3, 4]
    assert planned(laddered(), 10.0, tails[0], pool(CPU_FULL, 2)).target.replicas == 4


# --- when the limits are reached ---------------------------------------------------------------------------------------


def test_plan_is_degraded_and_not_infeasible_when_only_the_ladder_carries_the_lasting_load() -> None:
    made = planned(laddered(max_replicas=4), 300.0, None, pool(CPU_FULL, 4))

    assert (made.target.feasible, made.reason, made.binding) == (True, DecisionReason.STEADY, Binding.MAX_REPLICAS)
    assert "rps of it by cheaper answers, maxReplicas is reached" in made.message
    assert made.target.latency_seconds == pytest.approx(0.4)


def test_plan_is_infeasible_when_not_even_the_ladder_carries_the_demand() -> None:
    made = planned(laddered(max_replicas=4), 500.0, None, pool(CPU_FULL, 4))

    assert (made.reason, made.binding) == (DecisionReason.INFEASIBLE, Binding.MAX_REPLICAS)
    assert made.target.shortfall_rps == pytest.approx(500.0 - 4 * INT8_RPS, rel=0.01)


def with_a_dearer_pool(**overrides: Any) -> Workload:
    fields: dict[str, Any] = {
        "max_replicas": 4,
        "placements": (placement("cpu"), placement("gpu", 2.0)),
        "capacities": (capacity(CPU_FULL, 20.0), BURSTS, capacity(GPU_FULL, 4.0)),
    }
    return laddered(**(fields | overrides))


def waited(spec: Workload, seconds: float, *pools: PoolObservation) -> Plan:
    state = PolicyState(active=CPU_FULL, cheaper_since=NOW - timedelta(seconds=seconds))
    return plan(spec, observation(300.0, *pools), None, state, 15.0)[0]


def test_dearer_pool_is_taken_when_the_cheap_one_has_given_cheaper_answers_for_a_whole_window() -> None:
    spec = with_a_dearer_pool()
    first = planned(spec, 300.0, None, pool(CPU_FULL, 4))

    assert (first.target.pool, first.runner_up and first.runner_up.pool) == (CPU_FULL, GPU_FULL)
    assert waited(spec, 299.0, pool(CPU_FULL, 4)).target.pool == CPU_FULL
    late = waited(spec, 301.0, pool(CPU_FULL, 4))
    assert (late.target.pool, late.reason) == (GPU_FULL, DecisionReason.MEASURED_DEMAND)
    assert planned(spec, 150.0, None, pool(CPU_FULL, 4)).target.pool == CPU_FULL


def risen(spec: Workload, rps: float, rise: float, *pools: PoolObservation, **remembered: Any) -> Plan:
    state = PolicyState(active=pools[0].pool, **remembered)
    return plan(spec, observation(rps, *pools, rise_rps_per_second=rise), None, state, 15.0)[0]


def test_planned_variant_carries_what_the_load_rises_to() -> None:
    level, made = (risen(laddered(), 100.0, rise, pool(CPU_FULL, 2)) for rise in (0.0, 3.0))

    assert made.demand.own_rps == made.demand.rising_rps == 205.0
    assert (level.target.replicas, made.target.replicas) == (3, 6)
    assert (made.reason, made.binding) == (DecisionReason.MEASURED_DEMAND, Binding.DEMAND)


@pytest.mark.parametrize("spec", [laddered(max_replicas=4), with_a_dearer_pool()])
@pytest.mark.parametrize("rise", [3.0, 30.0])
def test_rise_is_no_reason_to_leave_a_pool_or_to_call_anything_infeasible(spec: Workload, rise: float) -> None:
    long_ago = NOW - timedelta(hours=1)
    made = risen(spec, 150.0, rise, pool(CPU_FULL, 3), cheaper_since=long_ago)

    assert (made.target.pool, made.target.replicas, made.target.feasible) == (CPU_FULL, 4, True)
    assert (made.reason, made.binding) == (DecisionReason.MEASURED_DEMAND, Binding.MAX_REPLICAS)


def test_window_remembers_the_same_when_the_load_rises() -> None:
    spec = with_a_dearer_pool(max_replicas=30)
    lately = ((NOW - timedelta(seconds=120), 8),)
    sizes = [
        risen(spec, 100.0, rise, pool(CPU_FULL, 8), recommendations=lately).runner_up for rise in (0.0, 1.0, 2.0, 3.0)
    ]

    assert [second.replicas for second in sizes if second] == [sizes[0].replicas if sizes[0] else 0] * 4


def test_pool_that_lost_replicas_is_kept_when_its_ladder_keeps_the_objective() -> None:
    lost = pool(CPU_FULL, 4, ready=3, unschedulable=1, unready_seconds=15.0, failure="Unschedulable")
    spec = with_a_dearer_pool(max_replicas=8)
    made = plan(spec, observation(160.0, lost), None, PolicyState(active=CPU_FULL), 15.0)[0]

    assert (made.target.pool, made.target.feasible, made.binding) == (CPU_FULL, True, Binding.AVAILABILITY)


@pytest.mark.parametrize(("floor", "patience_seconds"), [(0.9, 300.0), (0.9195, 26.0), (0.92, 0.0)])
def test_cheaper_answers_are_borne_no_longer_when_the_mean_accuracy_allows_few(
    floor: float, patience_seconds: float
) -> None:
    """300 requests/s, 163 of them carried by full: 84 % by int8, and 20 s for the other pool to start."""
    spec = with_a_dearer_pool(objective=floored(floor))
    before, after = (max(patience_seconds + seconds, 0.0) for seconds in (-3.0, 3.0))

    assert waited(spec, after, pool(CPU_FULL, 4)).target.pool == GPU_FULL
    assert waited(spec, before, pool(CPU_FULL, 4)).target.pool == (CPU_FULL if patience_seconds else GPU_FULL)


# --- a switch out of overload ------------------------------------------------------------------------------------------


def test_service_moves_at_once_when_the_overloaded_pool_carries_less_than_the_new_one_does_already() -> None:
    """One of two GPU replicas is left and the load looks three times what it is, because requests are sent again."""
    spec = workload(
        placements=(placement("cpu", 0.1), placement("gpu", 0.5)),
        capacities=(capacity(CPU_INT8, 45.0), capacity(GPU_FULL, 25.0)),
    )
    speeds = {c.pool: c.rps_per_replica for c in candidates(spec, observation(95.0), PolicyState())}
    assert 2 * speeds[CPU_INT8] < speeds[GPU_FULL] < 3 * speeds[CPU_INT8]
    dead = {"unschedulable": 1, "unready_seconds": 15.0, "failure": "Unschedulable"}

    def serving_after(ready: int) -> object:
        seen = observation(95.0, pool(GPU_FULL, 2, ready=1, **dead), pool(CPU_INT8, 8, ready=ready), selected=GPU_FULL)
        made, state = plan(spec, seen, None, PolicyState(active=GPU_FULL), 15.0)
        assert made.target.pool == CPU_INT8
        return next_step(spec, seen, made, state).serving

    assert serving_after(2) == GPU_FULL
    assert serving_after(3) == CPU_INT8
