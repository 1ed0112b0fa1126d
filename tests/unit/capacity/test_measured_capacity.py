"""Which windows count, what a plan counts on after them, and when that is forgotten."""

from dataclasses import replace
from datetime import datetime, timedelta
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import CPU_FULL, CPU_INT8, GPU_FULL, GPU_INT8, NOW, capacity, objective, observation, pool, single_pool
from builders import workload as two_placements
from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
from modelscaler.capacity.measured import Measured, carried, corrected, factor_of, measured, step_of
from modelscaler.capacity.refine import LARGEST_FACTOR, LEAST_KEPT, SMALLEST_FACTOR
from modelscaler.domain import (
    Absent,
    AtLeast,
    Observation,
    PolicyState,
    PoolKey,
    SourceError,
    Switch,
    Value,
    VariantOption,
    Workload,
    Zero,
)

WINDOW_SECONDS = 60.0
TICK = timedelta(seconds=15)
NOTHING = Measured()
SERVING = PolicyState(active=CPU_INT8)


def seen_at(now: datetime, speed: float = 0.8, replicas: int = 2, busy: float = 0.65, **overrides: Any) -> Observation:
    """Return two steady replicas of that speed, relative to the stated one, at a share of the stated throughput."""
    stated = capacity(CPU_INT8)
    rps = busy * largest_rps(stated)
    fields: dict[str, Any] = {
        "latency": Value(latency_seconds(stated, rps / speed, 0.99) / speed, now),
        "queued": Zero(now),
        "selected": CPU_INT8,
        "served": (("int8", rps * replicas),),
    }
    return observation(Value(rps * replicas, now), pool(CPU_INT8, replicas), now=now, **(fields | overrides))


def watched(
    minutes: float, workload: Workload | None = None, known: Measured = NOTHING, start: datetime = NOW, **scene: Any
) -> Measured:
    """Return what is known after so many minutes of ticks."""
    state = scene.pop("state", SERVING)
    for tick in range(round(minutes * 4)):
        known = measured(known, workload or single_pool(), seen_at(start + tick * TICK, **scene), state, WINDOW_SECONDS)
    return known


def factor(known: Measured, workload: Workload | None = None, key: PoolKey = CPU_INT8) -> float:
    spec = workload or single_pool()
    (one,) = (each for each in carried(spec, known) if each.capacity.pool == key)
    return 1.0 if one.step is None else factor_of(one.step)


@pytest.mark.parametrize("speed", [0.75, 0.9])
def test_plan_counts_on_the_true_speed_when_replicas_are_slower(speed: float) -> None:
    assert factor(watched(40, speed=speed, busy=0.65 * speed + 0.05)) == pytest.approx(speed, rel=0.025)


def test_plan_counts_on_a_faster_speed_only_as_far_as_it_is_sure() -> None:
    assert 1.0 < factor(watched(40, speed=1.15)) <= 1.15


def test_stated_speed_is_confirmed_when_replicas_are_as_fast() -> None:
    (one,) = carried(single_pool(), watched(10, speed=1.0))
    assert (one.step, one.capacity.source, one.rps) == (0, "Measured", one.stated_rps)


def test_windows_that_overlap_count_once() -> None:
    every_tick = watched(10)
    assert every_tick.pools[0].known.weight < 5.0 + 10.0
    known = Measured()
    for minute in range(11):
        known = measured(known, single_pool(), seen_at(NOW + minute * 4 * TICK), SERVING, WINDOW_SECONDS)
    assert every_tick.pools[0].known.weight == pytest.approx(known.pools[0].known.weight, rel=0.1)


@pytest.mark.parametrize(
    "scene",
    [
        {"state": PolicyState(active=None)},
        {"state": PolicyState(active=CPU_INT8, switch=Switch(GPU_INT8, NOW))},
        {"selected": GPU_INT8},
        {"pools": (pool(CPU_INT8, 2, ready=1),)},
        {"pools": (pool(CPU_INT8, 2, terminating=1),)},
        {"pools": (pool(CPU_INT8, 2), pool(GPU_INT8, 1))},
        {"served": ()},
        {"served": (("int8", 90.0), ("full", 10.0))},
        {"served": (("int8", 95.0), ("pruned", 5.0))},
        {"latency": Absent()},
        {"latency": SourceError("down")},
        {"offered": Absent()},
        {"offered": AtLeast(40.0, missing=1)},
        {"new_readings": False},
    ],
    ids=lambda scene: next(iter(scene)),
)
def test_nothing_is_learned_when_a_window_does_not_speak_of_one_replica(scene: dict[str, Any]) -> None:
    known, state = Measured(), scene.pop("state", SERVING)
    for tick in range(40):
        seen = replace(seen_at(NOW + tick * TICK), **scene)
        known = measured(known, single_pool(), seen, state, WINDOW_SECONDS)
    assert known.pools == ()
    assert watched(10).pools != ()


def test_nothing_is_learned_while_the_number_of_replicas_keeps_changing() -> None:
    known = Measured()
    for tick in range(40):
        seen = seen_at(NOW + tick * TICK, replicas=2 + tick // 4 % 2)
        known = measured(known, single_pool(), seen, SERVING, WINDOW_SECONDS)
    assert known.pools == ()


def test_faster_replica_is_not_believed_when_the_queue_is_not_known() -> None:
    assert factor(watched(30, speed=1.2, queued=Absent())) == 1.0
    assert factor(watched(30, speed=0.8, queued=Absent())) < 1.0


def test_replica_is_slower_when_the_ladder_answers_at_a_load_that_it_is_counted_on_for() -> None:
    spec = single_pool(variants=(VariantOption("int8", 0.91), VariantOption("pruned", 0.9)))
    counted_on = sustainable_rps(capacity(CPU_INT8), spec.objective) / largest_rps(capacity(CPU_INT8))
    mixed = (("int8", 80.0), ("pruned", 20.0))
    within, beyond = (watched(30, spec, busy=share * counted_on, served=mixed) for share in (0.8, 1.2))
    assert factor(within, spec) < 0.95
    assert factor(beyond, spec) == 1.0  # by its stated speed it could not have carried that: more are planned anyway


def overloaded_at(now: datetime, speed: float, **overrides: Any) -> Observation:
    """Return two replicas of that speed that are asked for more than they can do."""
    answered = 2 * speed * largest_rps(capacity(CPU_INT8))
    fields: dict[str, Any] = {
        "offered": Value(1.05 * answered, now),
        "answered": Value(answered, now),
        "queued": Value(20.0 * answered, now),
        "waited": Value(5.0 * answered, now),
        "latency": Value(10.0, now),
        "served": (("int8", answered),),
    }
    return replace(seen_at(now), **(fields | overrides))


def overloaded(ticks: int, speed: float = 0.7, workload: Workload | None = None, **overrides: Any) -> Measured:
    known = Measured()
    for tick in range(ticks):
        seen = overloaded_at(NOW + tick * TICK, speed, **overrides)
        known = measured(known, workload or single_pool(), seen, SERVING, WINDOW_SECONDS)
    return known


def test_slower_speed_is_counted_on_at_once_when_replicas_do_not_keep_up_for_a_window() -> None:
    assert factor(overloaded(5)) == 1.0  # they have been the same for a window only, not for a tick longer
    assert factor(overloaded(6)) == pytest.approx(0.7, rel=0.02)
    assert factor(overloaded(40)) == pytest.approx(0.7, rel=0.02)
    assert factor(overloaded(6, speed=0.55)) == pytest.approx(0.7, rel=0.02), "a bad minute is not yet a slow replica"
    assert factor(overloaded(10, speed=0.55)) == pytest.approx(0.55, rel=0.02)


def test_stated_speed_is_kept_when_replicas_do_not_keep_up_although_they_are_as_fast() -> None:
    assert factor(overloaded(40, speed=1.0)) == pytest.approx(1.0, abs=0.02)


def test_cheaper_answers_count_for_what_they_cost_when_replicas_do_not_keep_up() -> None:
    spec = two_placements(variants=(VariantOption("full", 0.95), VariantOption("int8", 0.91)))
    own, cheap = (largest_rps(c) for c in spec.capacities if c.pool.placement == "cpu")
    each = 0.6 / (0.5 / own + 0.5 / cheap)  # half of the answers by each, 0.6 s of work in a second
    known = Measured()
    for tick in range(12):
        now = NOW + tick * TICK
        seen = overloaded_at(
            now,
            1.0,
            pools=(pool(CPU_FULL, 2),),
            selected=CPU_FULL,
            answered=Value(2 * each, now),
            served=(("full", each), ("int8", each)),
        )
        known = measured(known, spec, seen, PolicyState(active=CPU_FULL), WINDOW_SECONDS)
    assert factor(known, spec, CPU_FULL) == pytest.approx(0.6, rel=0.02)


@pytest.mark.parametrize(
    "scene",
    [
        {"answered": Absent()},
        {"answered": Zero(NOW)},
        {"waited": Absent()},
        {"waited": Zero(NOW)},
        {"waited": Value(10.0, NOW)},
        {"waited": SourceError("down")},
        {"answered": Value(0.4, NOW), "waited": Value(5.0, NOW)},
        {"offered": AtLeast(90.0, missing=1)},
        {"served": (("int8", 50.0), ("unheard of", 50.0))},
        {"served": ()},
        {"pools": (pool(CPU_INT8, 3, starting=1),)},
        {"pools": (pool(CPU_INT8, 2), pool(GPU_INT8, 1))},
    ],
    ids=str,
)
def test_speed_is_not_taken_from_answers_when_they_do_not_say_what_replicas_can_do(scene: dict[str, Any]) -> None:
    assert all(m.known.factor > 0.9 for m in overloaded(6, **scene).pools)


@pytest.mark.parametrize(("own", "cheap"), [(0.7, 2.0), (1.0, 1.3)])
def test_planned_variant_is_not_faster_when_a_cheaper_one_is_faster_than_stated(own: float, cheap: float) -> None:
    spec = two_placements(variants=(VariantOption("full", 0.95), VariantOption("int8", 0.91)))
    stated = [largest_rps(c) for c in spec.capacities if c.pool.placement == "cpu"]
    rates = (0.2 * own * stated[0], 0.8 * cheap * stated[1])
    known = Measured()
    for tick in range(20):
        seen = overloaded_at(
            NOW + tick * TICK,
            1.0,
            pools=(pool(CPU_FULL, 1),),
            selected=CPU_FULL,
            answered=Value(sum(rates), NOW),
            waited=Value(9.0 * sum(rates), NOW),
            served=(("full", rates[0]), ("int8", rates[1])),
        )
        known = measured(known, spec, seen, PolicyState(active=CPU_FULL), WINDOW_SECONDS)
    assert factor(known, spec, CPU_FULL) <= 1.0


def test_what_a_bad_minute_said_of_a_pool_that_was_left_is_forgotten_within_hours_and_what_a_day_said_is_not() -> None:
    elsewhere, later = PolicyState(active=GPU_INT8), NOW + timedelta(hours=3)
    for known, is_kept in ((overloaded(6), False), (watched(40, speed=0.75), True)):
        assert factor(known) < 1.0
        assert measured(known, single_pool(), seen_at(NOW + timedelta(minutes=50)), elsewhere, WINDOW_SECONDS).pools
        assert bool(measured(known, single_pool(), seen_at(later), elsewhere, WINDOW_SECONDS).pools) == is_kept


def test_bad_minute_counts_for_an_hour_from_its_own_time_although_the_pool_was_measured_before_it() -> None:
    known, bad = watched(40, speed=0.9), NOW + timedelta(minutes=50)
    for tick in range(6):
        known = measured(known, single_pool(), overloaded_at(bad + tick * TICK, 0.7), SERVING, WINDOW_SECONDS)
    assert known.pools[0].known.is_brief
    after = measured(
        known, single_pool(), seen_at(bad + timedelta(minutes=50)), PolicyState(active=GPU_INT8), WINDOW_SECONDS
    )
    assert factor(after) < 0.8


def test_measurement_starts_anew_when_the_stated_speed_changes() -> None:
    known = watched(30)
    other = single_pool(capacities=(capacity(CPU_INT8, 11.0),))
    assert factor(known, other) == 1.0
    assert measured(known, other, seen_at(NOW), SERVING, WINDOW_SECONDS).pools == ()


def test_slower_speed_counts_for_the_placement_s_other_variants_until_they_are_measured() -> None:
    spec = two_placements()
    known = watched(30, spec)
    assert factor(known, spec, CPU_FULL) == factor(known, spec, CPU_INT8) < 1.0
    assert factor(known, spec, GPU_FULL) == 1.0
    assert next(c for c in carried(spec, known) if c.capacity.pool == CPU_FULL).measurement is None


def test_faster_speed_counts_for_the_variant_that_showed_it_alone() -> None:
    spec = two_placements()
    known = watched(40, spec, speed=1.2)
    assert factor(known, spec, CPU_INT8) > 1.0
    assert factor(known, spec, CPU_FULL) == 1.0


def test_pool_that_serves_no_more_is_taken_as_stated_after_a_day() -> None:
    spec, known = two_placements(), watched(30, two_placements())
    elsewhere = PolicyState(active=GPU_INT8)
    soon, late = (seen_at(NOW + timedelta(hours=hours)) for hours in (20, 26))
    assert factor(measured(known, spec, soon, elsewhere, WINDOW_SECONDS), spec) < 1.0
    assert factor(measured(known, spec, late, elsewhere, WINDOW_SECONDS), spec) == 1.0
    assert factor(measured(known, spec, late, SERVING, WINDOW_SECONDS), spec) < 1.0


def test_slow_replica_keeps_a_share_of_its_stated_rate_when_the_objective_is_tight() -> None:
    tight = single_pool(objective=objective(latency_seconds=0.03))
    rps = 0.6 * sustainable_rps(capacity(CPU_INT8), tight.objective) * 2
    known = Measured()
    for tick in range(400):
        now = NOW + tick * TICK
        seen = replace(seen_at(now), offered=Value(rps, now), latency=Value(0.06, now), served=(("int8", rps),))
        known = measured(known, tight, seen, SERVING, WINDOW_SECONDS)
    (one,) = carried(tight, known)
    assert LEAST_KEPT * one.stated_rps <= one.rps < 0.5 * one.stated_rps


def test_factor_settles_and_nothing_moves_when_the_speed_stays() -> None:
    known = watched(60, speed=0.82)
    later = watched(60, known=known, start=NOW + timedelta(hours=1), speed=0.82)
    assert (later.pools[0].step, later.pools[0].uncertainty) == (known.pools[0].step, known.pools[0].uncertainty)


def test_workload_is_the_same_when_nothing_was_measured() -> None:
    spec = two_placements()
    assert corrected(spec, carried(spec, Measured())) is spec


@given(st.integers(step_of(SMALLEST_FACTOR), step_of(LARGEST_FACTOR)))
def test_step_is_found_again_from_its_factor(step: int) -> None:
    assert step_of(float(f"{factor_of(step):.3g}")) == step


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0.05, 1.3), st.floats(0.001, 3.0)), min_size=1, max_size=12))
def test_a_plan_counts_on_something_finite_within_bounds_whatever_is_measured(seen: list[tuple[float, float]]) -> None:
    known = Measured()
    for tick, (busy, latency) in enumerate(value for value in seen for _ in range(6)):
        now = NOW + tick * TICK
        one = replace(seen_at(now, busy=busy), latency=Value(latency, now))
        known = measured(known, single_pool(), one, SERVING, WINDOW_SECONDS)
        (counted,) = carried(single_pool(), known)
        assert LEAST_KEPT * counted.stated_rps <= counted.rps < inf
        assert counted.step is None or step_of(SMALLEST_FACTOR) <= counted.step <= step_of(LARGEST_FACTOR)
