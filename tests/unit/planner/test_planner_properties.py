"""What holds for every plan, whatever the spec, the load and the forecast."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import NOW, observation, pool, reading
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import AtLeast, Observation, Plan, PolicyState, PoolKey, QuantileForecast, Value, Workload
from modelscaler.planner.candidates import candidates
from modelscaler.planner.choice import NEAR_EQUAL_COST, Option, Past, best, options
from modelscaler.planner.demand import load_from
from modelscaler.planner.plan import considered, plan
from modelscaler.planner.switching import WORTHWHILE_RELIEF
from planner_cases import (
    CASES,
    QUANTILES,
    RATES,
    SHORT,
    SITUATIONS,
    SPECS,
    Situation,
    outlooks,
    planned_pools,
    rising,
    situation_of,
    spec_of,
    speed,
)


def options_of(spec: Workload, seen: Observation, ahead: QuantileForecast | None) -> dict[PoolKey, Option]:
    listed = options(candidates(spec, seen, PolicyState()), load_from(spec, seen, ahead, 0.0), 15.0, Past())
    return {option.candidate.pool: option for option in listed}


def seen_with(spec: Workload, rps: float | None, queued: float, current: int) -> tuple[Observation, PolicyState]:
    """Return an observation of the first planned pool with so many ready replicas, and the state that goes with it."""
    key = next(c.pool for c in spec.capacities if not c.reflex_only)
    seen = observation(rps, *([pool(key, current)] if current else []))
    return replace(seen, queued=reading(queued)), PolicyState(active=key if current else None)


# A serving pool that is larger than the demand asks for, and one whose ladder is not like the others'.
FOR_ACCURACY = (spec_of(85), 286.5, 14, rising([100.0, 311.0, 1000.0, 1000.0, 3217.0]))
WITHOUT_LADDER = (spec_of(575), 0.0, 12, rising([0.0, 100.0, 1000.0, 1000.0, 3622.0]))


@CASES
@given(SPECS, st.none() | RATES, st.sampled_from([0.0, 900.0]), st.integers(0, 14), outlooks())
def test_plan_is_within_bounds_and_budget_and_names_what_bound_it(
    spec: Workload, rps: float | None, queued: float, current: int, ahead: QuantileForecast | None
) -> None:
    seen, state = seen_with(spec, rps, queued, current)
    made, _ = plan(spec, seen, ahead, state, 15.0)

    assert spec.min_replicas <= made.target.replicas <= spec.max_replicas
    assert made.target.pool in {c.pool for c in spec.capacities if not c.reflex_only}
    minimum = spec.min_replicas * spec.placement(made.target.pool.placement).hourly_cost
    assert made.target.hourly_cost <= max(spec.max_hourly_cost or np.inf, minimum) + 1e-9
    assert made.target.feasible == (made.reason is not DecisionReason.INFEASIBLE)
    if made.reason is DecisionReason.INFEASIBLE:
        assert made.binding in SHORT
        assert "rps short" in made.message


@CASES
@given(SPECS, RATES, st.integers(0, 14), outlooks())
@example(*FOR_ACCURACY)
@example(*WITHOUT_LADDER)
def test_same_plan_is_made_again_when_nothing_has_changed(
    spec: Workload, rps: float, current: int, ahead: QuantileForecast | None
) -> None:
    seen, state = seen_with(spec, rps, 0.0, current)
    first, remembered = plan(spec, seen, ahead, state, 15.0)
    again, settled = plan(spec, seen, ahead, remembered, 15.0)
    third, _ = plan(spec, seen, ahead, settled, 15.0)

    assert again.target == first.target
    assert third == again


@CASES
@given(SPECS, st.integers(1, 14), outlooks())
def test_nothing_is_taken_away_when_the_load_is_unknown(
    spec: Workload, current: int, ahead: QuantileForecast | None
) -> None:
    seen, state = seen_with(spec, None, 0.0, current)
    made, _ = plan(spec, seen, ahead, state, 15.0)
    speeds = {c.pool: c for c in candidates(spec, seen, state)}
    serving = seen.pools[0].pool

    held = min(current, speeds[serving].most) * speeds[serving].rps_per_replica
    target = speeds[made.target.pool]
    assert made.target.replicas == target.most or made.target.replicas * target.rps_per_replica >= held - 1e-6


@CASES
@given(SPECS, st.floats(0.0, 1.0), st.integers(1, 14), st.data(), outlooks())
def test_no_more_is_taken_away_than_if_all_were_seen_when_some_replicas_are_not(
    spec: Workload, busy: float, current: int, data: st.DataObject, ahead: QuantileForecast | None
) -> None:
    """Whatever replicas carry that are left out, as long as they carry no more than they can."""
    missing = data.draw(st.integers(1, current))
    seen, state = seen_with(spec, 0.0, 0.0, current)
    serving = next(c for c in candidates(spec, seen, state) if c.pool == seen.pools[0].pool)
    seen_rps = busy * (current - missing) * serving.rps_per_replica
    hidden_rps = data.draw(st.floats(0.0, 1.0)) * missing * serving.rps_per_replica
    whole, part = reading(seen_rps + hidden_rps), AtLeast(seen_rps, missing)
    reactive = replace(spec, policy=replace(spec.policy, headroom=0.0))
    demands = [plan(reactive, replace(seen, offered=o), ahead, state, 15.0)[0].demand for o in (part, whole)]

    assert demands[0].planned_rps >= demands[1].planned_rps * (1.0 - 1e-9)


@CASES
@given(SPECS, RATES, st.lists(st.floats(0.0, 2000.0), min_size=5, max_size=5), st.integers(0, 4), st.floats(1.0, 3.0))
def test_more_demand_never_needs_fewer_replicas_and_is_never_carried_less(
    spec: Workload, rps: float, peaks: list[float], which: int, more: float
) -> None:
    peaks.sort()
    raised = [peak * (more if index >= which else 1.0) for index, peak in enumerate(peaks)]
    low = options_of(spec, observation(rps), rising(peaks))
    for high in (
        options_of(spec, observation(rps), rising(raised)),
        options_of(spec, observation(rps * more), rising(peaks)),
        options_of(spec, observation(rps, queued=Value(1.0 + 500.0 * more, NOW)), rising(peaks)),
    ):
        assert all(high[key].needed >= low[key].needed for key in low)
        assert best(list(high.values())).carried_rps >= best(list(low.values())).carried_rps - 1e-6


@CASES
@given(SPECS, RATES, outlooks(), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_steeper_rise_never_needs_fewer_replicas(
    spec: Workload, rps: float, ahead: QuantileForecast | None, one: float, other: float
) -> None:
    slow, steep = sorted((one, other))
    fewer, more = (options_of(spec, observation(rps, rise_rps_per_second=rise), ahead) for rise in (slow, steep))

    for key, option in fewer.items():
        assert more[key].needed >= option.needed
        assert more[key].replicas >= option.replicas
        assert (more[key].feasible, more[key].degraded_rps) == (option.feasible, option.degraded_rps)


@CASES
@given(SPECS, RATES, outlooks(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_higher_quantile_or_headroom_never_needs_fewer_replicas(
    spec: Workload, rps: float, ahead: QuantileForecast | None, one: float, other: float
) -> None:
    low, high = sorted((one, other))

    def needed(**changed: Any) -> dict[PoolKey, int]:
        adjusted = replace(spec, policy=replace(spec.policy, **changed))
        return {key: option.needed for key, option in options_of(adjusted, observation(rps), ahead).items()}

    for setting in ("quantile", "recourse_quantile", "headroom"):
        fewer, more = needed(**{setting: low}), needed(**{setting: high})
        assert all(more[key] >= fewer[key] for key in fewer), setting


@CASES
@given(SPECS, RATES, st.sampled_from([0.0, 900.0]), outlooks())
def test_reflex_never_needs_more_replicas(
    spec: Workload, rps: float, queued: float, ahead: QuantileForecast | None
) -> None:
    seen = observation(rps, queued=Value(queued, NOW))
    with_it = options_of(replace(spec, reflex=True), seen, ahead)
    without = options_of(replace(spec, reflex=False), seen, ahead)

    assert all(with_it[key].needed <= without[key].needed for key in without)
    assert best(list(with_it.values())).carried_rps >= best(list(without.values())).carried_rps - 1e-6


@CASES
@given(SPECS, RATES, st.integers(1, 14), outlooks(), st.floats(-9.0, 9.0), st.floats(-9.0, 9.0))
def test_more_saved_never_needs_more_replicas(
    spec: Workload, rps: float, current: int, ahead: QuantileForecast | None, one: float, other: float
) -> None:
    seen, _ = seen_with(spec, rps, 0.0, current)

    def needed(full: float | None) -> dict[PoolKey, int]:
        pools = [replace(each, budgets=full and full * each.ready, overdraft=0.5) for each in seen.pools]
        found = options_of(spec, replace(seen, pools=tuple(pools)), ahead)
        return {key: option.needed for key, option in found.items()}

    little, much, unknown = needed(min(one, other)), needed(max(one, other)), needed(None)
    assert all(unknown[key] >= little[key] >= much[key] for key in much)


@CASES
@given(SITUATIONS, st.sampled_from(["load", "queue", "forecast"]), st.floats(1.0, 3.0))
def test_plan_for_more_demand_never_has_less_capacity(case: Situation, what: str, more: float) -> None:
    """Another pool may be taken, and carry less with its planned variant or with its ladder.

    Less with both only where for less demand what serves is kept just until a switch has paid.
    """
    low, high = capacity_of(case), capacity_of(with_more(case, what, more))

    kept = case.planned().binding is Binding.SWITCH_COST
    assert kept or not (high.own_rps < low.own_rps * LESS and high.rps < low.rps * LESS)
    if high.pool == low.pool:
        assert high.own_rps >= low.own_rps * LESS
        assert high.rps >= low.rps * LESS
    assert high.rps >= min(low.rps, low.demand_rps) * LESS, "what is carried of the lesser demand is carried still"


LESS = 1.0 - 1e-6


def with_more(case: Situation, what: str, more: float) -> Situation:
    if what == "load":
        rps = getattr(case.seen.offered, "value", 0.0)
        offered = reading((rps or 10.0) * more)
        offered = replace(case.seen.offered, value=rps * more) if isinstance(case.seen.offered, AtLeast) else offered
        return replace(case, seen=replace(case.seen, offered=offered))
    if what == "queue":
        return replace(case, seen=replace(case.seen, queued=reading(500.0 * more)))
    peaks = [500.0] * 5 if case.ahead is None else [float(peak) * more for peak in case.ahead.peak_rps[0]]
    return replace(case, ahead=rising(peaks))


@dataclass(frozen=True)
class Planned:
    """What the replicas of a plan carry, with the planned variant and with their ladder, and what was demanded."""

    pool: PoolKey
    own_rps: float
    rps: float
    demand_rps: float


def capacity_of(case: Situation) -> Planned:
    made = case.planned()
    target = made.target
    candidate = chosen(case).candidate
    own_rps, rps = candidate.rps_per_replica, candidate.rung_rps_per_replica
    return Planned(target.pool, target.replicas * own_rps, target.replicas * rps, made.demand.planned_rps)


def chosen(case: Situation) -> Option:
    return considered(case.spec, case.seen, case.ahead, case.state, 15.0).selection.option


# Where it matters that carrying goes before degrading, that before cost, and accuracy last.
@settings(CASES, max_examples=500)
@example(situation_of(3842), 0, "cheaper")
@example(situation_of(4489), 2, "cheaper")
@example(situation_of(2058), 0, "more accurate")
@example(situation_of(3562789), 0, "faster")
@given(SITUATIONS, st.integers(0, 3), st.sampled_from(["cheaper", "faster", "sooner", "more accurate"]))
def test_better_candidate_never_makes_the_plan_worse(case: Situation, which: int, how: str) -> None:
    """What is carried counts first, then what the planned variant carries of it, then cost, then accuracy.

    A plan that was degraded may thus become dearer. And where a pool serves, less cost, or less of cheaper answers, may have
    to wait until it pays for the switch, and carrying a little more is no reason for one. All replicas are seen: of those
    that are not, more is assumed the faster they are.
    """
    offered = case.seen.offered
    if isinstance(offered, AtLeast):
        case = replace(case, seen=replace(case.seen, offered=reading(offered.value)))
    keys = planned_pools(case.spec)
    better = replace(case, spec=improved(case.spec, keys[which % len(keys)], how))
    before, after = chosen(case), chosen(better)

    assert after.wishes >= before.wishes
    if after.wishes > before.wishes:
        return
    assert better.planned().target.feasible >= case.planned().target.feasible
    stays = after.candidate.pool == better.state.active
    assert after.carried_rps * (1.0 + WORTHWHILE_RELIEF if stays else 1.0) >= before.carried_rps * LESS
    assert_no_worse_choice(at_rest(case), at_rest(better))


def at_rest(case: Situation) -> Situation:
    """Return the situation before anything serves."""
    return replace(case, seen=replace(case.seen, pools=()), state=replace(case.state, active=None))


def assert_no_worse_choice(case: Situation, better: Situation) -> None:
    before, after = chosen(case), chosen(better)
    if after.wishes > before.wishes or after.carried_rps > before.carried_rps:
        return
    assert after.own_carried_rps >= before.own_carried_rps * LESS
    if after.own_carried_rps > before.own_carried_rps:
        return
    old, new = case.planned().target, better.planned().target
    assert new.hourly_cost <= old.hourly_cost * (1.0 + NEAR_EQUAL_COST) + 1e-9
    assert new.accuracy >= old.accuracy or new.hourly_cost < old.hourly_cost * (1.0 - NEAR_EQUAL_COST / 2.0)


def improved(spec: Workload, key: PoolKey, how: str) -> Workload:
    """Return the spec with a better pool; a variant becomes no more accurate than the next, which might be its ladder's top."""
    if how == "faster":
        entries = [speed(c.pool, 1.5, reflex_only=c.reflex_only) if c.pool == key else c for c in spec.capacities]
        return replace(spec, capacities=tuple(entries))
    if how == "more accurate":
        variants = [replace(v, accuracy=v.accuracy + 0.008) if v.name == key.variant else v for v in spec.variants]
        return replace(spec, variants=tuple(variants))
    chosen_place = spec.placement(key.placement)
    change: dict[str, Any] = {"hourly_cost": 0.05} if how == "cheaper" else {"start_seconds": 10.0}
    places = [replace(p, **change) if p is chosen_place else p for p in spec.placements]
    return replace(spec, placements=tuple(places))


@CASES
@given(SITUATIONS, st.randoms(use_true_random=False))
def test_same_plan_is_made_when_the_same_is_listed_in_another_order(case: Situation, random: Any) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(items, len(items)))

    spec, seen, state = case.spec, case.seen, case.state
    listed: dict[str, Any] = {name: shuffled(getattr(spec, name)) for name in ("capacities", "placements", "variants")}
    other = Situation(
        replace(spec, **listed),
        replace(seen, pools=shuffled(seen.pools), allowances=shuffled(seen.allowances)),
        case.ahead,
        replace(state, outages=shuffled(state.outages)),
    )

    made, again = case.planned(), other.planned()
    assert case.planned() == made
    assert unlisted(again) == unlisted(made)


def unlisted(made: Plan) -> Plan:
    """Return the plan with the parts of its sentence in alphabetical order: accelerators are told of as they are listed."""
    return replace(made, message=", ".join(sorted(made.message.split(", "))))


@CASES
@given(st.lists(st.floats(0.0, 1e5), min_size=5, max_size=5), st.floats(0.001, 0.999) | st.sampled_from(QUANTILES))
def test_quantile_between_two_is_interpolated(peaks: list[float], quantile: float) -> None:
    ahead = rising(peaks)

    assert ahead.peak(quantile, 15.0) == pytest.approx(float(np.interp(quantile, QUANTILES, sorted(peaks))), abs=1e-6)
