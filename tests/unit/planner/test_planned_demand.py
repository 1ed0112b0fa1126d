from datetime import timedelta
from typing import Any

import pytest

from builders import (
    CPU_FULL,
    CPU_INT8,
    GPU_INT8,
    NOW,
    capacity,
    fallback,
    forecast,
    observation,
    placement,
    pool,
    rules,
    single_pool,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import (
    Absent,
    AtLeast,
    Plan,
    PolicyState,
    QuantileForecast,
    Reading,
    SourceError,
    Stale,
    Value,
    VariantOption,
    Workload,
)
from modelscaler.planner.plan import plan

SERVING = PolicyState(active=CPU_INT8)


def planned(
    offered: Reading | float | None,
    replicas: int = 0,
    ahead: QuantileForecast | None = None,
    spec: Workload | None = None,
    **overrides: Any,
) -> Plan:
    pools = [pool(CPU_INT8, replicas)] if replicas else []
    state = SERVING if replicas else PolicyState()
    made, _ = plan(spec or single_pool(), observation(offered, *pools, **overrides), ahead, state, 15.0)
    return made


def test_forecast_leads_when_it_is_above_what_is_measured() -> None:
    made = planned(50.0, 1, forecast(200.0))

    assert (made.target.replicas, made.reason, made.binding) == (3, DecisionReason.FORECAST_DEMAND, Binding.DEMAND)
    assert made.demand.planned_rps == 200.0
    assert made.demand.measured_rps == 50.0


def test_measured_load_leads_when_the_forecast_is_too_low() -> None:
    made = planned(200.0, 1, forecast(50.0))

    assert (made.target.replicas, made.reason) == (3, DecisionReason.MEASURED_DEMAND)


def test_quantile_of_the_workload_is_planned_for_when_the_forecast_spreads() -> None:
    assert planned(0.0, 0, forecast(100.0, spread=0.3)).demand.forecast_rps == pytest.approx(130.0)


def test_horizon_is_the_measured_start_plus_an_interval_when_one_was_measured() -> None:
    slow = pool(CPU_INT8, 1, start_seconds=85.0)
    made, _ = plan(single_pool(), observation(10.0, slow), None, SERVING, 15.0)

    assert made.demand.horizon_seconds == 100.0
    assert planned(10.0).demand.horizon_seconds == 35.0, "else as the placement says"


def test_horizon_reaches_as_far_as_before_when_only_the_status_remembers_a_start() -> None:
    seen = observation(10.0, pool(CPU_INT8, 0), remembered_starts=((CPU_INT8, 85.0),))
    made, _ = plan(single_pool(), seen, None, SERVING, 15.0)

    assert made.demand.horizon_seconds == 100.0


def test_peak_is_looked_up_from_now_when_the_forecast_is_older() -> None:
    rising = forecast([10.0, 20.0, 30.0, 40.0, 50.0, 60.0], step_seconds=15.0)
    late = NOW.replace(minute=1)

    assert planned(0.0, 0, rising).demand.forecast_rps == 30.0
    assert planned(Value(1.0, late), 0, rising, now=late).demand.forecast_rps == 60.0


def test_backlog_counts_when_a_queue_has_grown() -> None:
    assert planned(70.0, 1, queued=Value(3500.0, NOW)).demand.planned_rps == pytest.approx(70.0 + 3500.0 / 35.0)


@pytest.mark.parametrize(("start_seconds", "followed_seconds"), [(20.0, 35.0), (300.0, 90.0)])
def test_load_is_taken_to_go_on_rising_until_replicas_serve_but_not_for_long(
    start_seconds: float, followed_seconds: float
) -> None:
    spec = single_pool(placements=(placement("cpu", start_seconds=start_seconds),))
    made = planned(100.0, 1, spec=spec, rise_rps_per_second=2.0)

    assert made.demand.planned_rps == made.demand.rising_rps == 100.0 + 2.0 * followed_seconds
    assert (made.reason, made.demand.measured_rps) == (DecisionReason.MEASURED_DEMAND, 100.0)
    assert f"measured 100 rps and rising to {100.0 + 2.0 * followed_seconds:g}" in made.message


def test_forecast_leads_when_the_load_rises_to_less() -> None:
    made = planned(100.0, 1, forecast(400.0), rise_rps_per_second=2.0)

    assert (made.demand.planned_rps, made.reason) == (400.0, DecisionReason.FORECAST_DEMAND)


@pytest.mark.parametrize("unknown", [None, Stale(90.0), SourceError("NaN")])
def test_replicas_are_held_when_the_load_is_unknown(unknown: Reading | None) -> None:
    made = planned(unknown, 4)

    assert (made.target.replicas, made.reason, made.binding) == (4, DecisionReason.METRICS_MISSING, Binding.METRICS)
    assert "load unknown" in made.message
    assert made.demand.measured_rps is None


def test_unseen_replicas_count_as_loaded_when_the_sum_leaves_them_out() -> None:
    lone = planned(1.0, 1).demand.planned_rps
    each_rps = planned(None, 1).demand.planned_rps
    made = planned(AtLeast(60.0, missing=3), 6)

    assert made.demand.planned_rps == pytest.approx(60.0 * lone + 3 * each_rps)
    assert (made.demand.measured_rps, made.binding) == (None, Binding.METRICS)
    assert made.reason is not DecisionReason.METRICS_MISSING, "what is seen counts"
    assert "at least 60 rps, 3 replicas not seen" in made.message


def test_pool_still_grows_when_what_is_seen_is_more_than_the_rest_can_take() -> None:
    assert planned(AtLeast(400.0, missing=1), 3).target.replicas > planned(400.0, 3).target.replicas > 3


def test_fallback_does_not_hold_when_some_replicas_are_seen() -> None:
    _, state = plan(single_pool(), observation(AtLeast(5.0, 1), pool(CPU_INT8, 2)), None, SERVING, 15.0)
    assert state.missing_ticks == 0


@pytest.mark.parametrize("queued", [Absent(), Stale(90.0), SourceError("NaN")])
def test_nothing_is_removed_when_nobody_knows_how_many_requests_wait(queued: Reading) -> None:
    made = planned(1.0, 4, queued=queued)
    assert (made.target.replicas, made.binding) == (4, Binding.METRICS)
    assert planned(300.0, 1, queued=queued).target.replicas > 1


def test_replicas_come_back_when_somebody_deleted_the_deployment_and_the_metrics_went_with_it() -> None:
    held = PolicyState(active=CPU_INT8, recommendations=((NOW - timedelta(seconds=15), 6),))
    made, remembered = plan(single_pool(), observation(None), None, held, 15.0)

    assert made.target.replicas == 6
    assert plan(single_pool(), observation(None), None, remembered, 15.0)[0].target.replicas == 6


def test_replicas_are_held_when_a_cluster_is_restored_without_status_before_pods_and_metrics_are_back() -> None:
    made, _ = plan(single_pool(), observation(None, pool(CPU_INT8, 5, 0)), None, PolicyState(), 15.0)

    assert made.target.replicas == 5


def test_replicas_still_rise_when_the_load_is_unknown_and_the_forecast_is_higher() -> None:
    assert planned(None, 2, forecast(400.0)).target.replicas == 5


def test_fallback_holds_when_metrics_stay_away() -> None:
    spec, seen = single_pool(fallback=fallback(replicas=5, failure_threshold=3)), observation(None, pool(CPU_INT8, 2))
    state, replicas = SERVING, []
    for _ in range(4):
        made, state = plan(spec, seen, None, state, 15.0)
        replicas.append(made.target.replicas)

    assert replicas == [2, 2, 5, 5]
    assert made.reason is DecisionReason.FALLBACK
    back, state = plan(spec, observation(10.0, pool(CPU_INT8, 5)), None, state, 15.0)
    assert (back.reason, state.missing_ticks) == (DecisionReason.STEADY, 0), "held by the window, not by the fallback"


def test_missing_readings_are_counted_once_when_early_passes_see_them_again() -> None:
    _, state = plan(single_pool(), observation(None, pool(CPU_INT8, 2), new_readings=False), None, SERVING, 15.0)

    assert state.missing_ticks == 0


def test_minimum_is_planned_when_nothing_serves_and_nothing_is_known() -> None:
    made = planned(None, spec=single_pool(min_replicas=2))

    assert (made.target.replicas, made.reason) == (2, DecisionReason.FIRST_PLAN)


def test_replicas_fall_to_the_minimum_when_there_is_truly_no_load() -> None:
    made = planned(0.0, 4, spec=single_pool(scale_down=rules(0.0)))

    assert (made.target.replicas, made.reason, made.binding) == (1, DecisionReason.DEMAND_FELL, Binding.MIN_REPLICAS)


def test_nothing_is_removed_when_the_objective_is_missed_now() -> None:
    spec = single_pool(scale_down=rules(0.0))

    assert planned(50.0, 4, spec=spec, latency=Value(0.9, NOW)).target.replicas == 4
    assert planned(50.0, 4, spec=spec, latency=Value(0.3, NOW)).target.replicas == 1


def test_rest_has_headroom_when_a_replica_is_removed() -> None:
    spec = single_pool(scale_down=rules(0.0))

    assert planned(180.0, 3, spec=spec).target.replicas == 3, "two carry 181.7, too close"
    assert planned(165.0, 3, spec=spec).target.replicas == 2


def test_room_is_made_in_time_when_the_serving_pool_will_be_too_small_and_the_other_is_slow_to_start() -> None:
    spec = workload(
        variants=(VariantOption("int8", 0.91),),
        placements=(placement("cpu", 0.1, 10.0, max_replicas=2), placement("gpu", 1.0, 105.0)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
    )
    ahead = forecast([100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 400.0], step_seconds=15.0)
    made, _ = plan(spec, observation(100.0, pool(CPU_INT8, 2)), ahead, SERVING, 15.0)

    assert made.target.pool == GPU_INT8
    assert made.reason is DecisionReason.FORECAST_DEMAND


def test_size_is_for_its_own_start_when_other_placements_start_later() -> None:
    spec = workload(placements=(placement("cpu", 0.1, 15.0), placement("gpu", 9.0, 105.0)))
    ahead = forecast([100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 400.0], step_seconds=15.0)
    made, _ = plan(spec, observation(100.0), ahead, PolicyState(), 15.0)

    assert (made.target.pool, made.target.replicas) == (CPU_INT8, 2)
    assert made.target.pool != CPU_FULL
