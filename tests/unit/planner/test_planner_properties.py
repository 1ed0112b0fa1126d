"""What holds for every plan, whatever the spec, the load and the forecast."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import NOW, capacity, forecast, observation, placement, pool, reading, rules, workload
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import (
    AtLeast,
    Objective,
    Observation,
    PolicySettings,
    PolicyState,
    PoolKey,
    QuantileForecast,
    ReplicaCapacity,
    Value,
    VariantOption,
    Workload,
)
from modelscaler.planner.candidates import candidates
from modelscaler.planner.choice import Option, Past, best, options
from modelscaler.planner.demand import load_from
from modelscaler.planner.plan import plan

VARIANTS = (VariantOption("full", 0.92), VariantOption("int8", 0.91), VariantOption("tiny", 0.88))
SPEEDS_MS = {"full": 20.0, "int8": 10.0, "tiny": 5.0}
PAIRS = [PoolKey(place, variant.name) for place in ("cpu", "gpu") for variant in VARIANTS]
QUANTILES = (0.1, 0.5, 0.9, 0.95, 0.99)
LEVELS = [0.05, 0.1, 0.3, 0.5, 0.9, 0.93, 0.99]
RATES = st.one_of(st.just(0.0), st.floats(0.1, 4000.0))
CASES = settings(deadline=None)


def speed(key: PoolKey, hurry: float = 1.0, *, reflex_only: bool = False) -> ReplicaCapacity:
    per_request_ms = SPEEDS_MS[key.variant] / (5.0 if key.placement == "gpu" else 1.0) / hurry
    return capacity(key, per_request_ms, reflex_only=reflex_only)


def spec_of(seed: int) -> Workload:
    """Return one of many specs: a seed is quicker to draw than all of its fields."""
    rng = Random(seed)  # noqa: S311 - chance, not secrecy
    pairs = rng.sample(PAIRS, 5)
    planned, fewest = rng.randint(1, 4), rng.randint(1, 3)
    policy = PolicySettings(
        quantile=rng.choice([None, *LEVELS]),
        recourse_quantile=rng.choice([None, *LEVELS]),
        headroom=rng.choice([0.0, 0.1, 0.5]),
        forecaster=rng.choice(["Forecast", "Forecast", "Reactive"]),
        scale_down_seconds=rng.choice([None, 0.0, 120.0]),
    )
    return workload(
        variants=VARIANTS,
        placements=(placement("cpu", 0.1, 20.0), placement("gpu", rng.choice([0.2, 0.5, 0.9]), 60.0)),
        capacities=tuple(speed(pair, reflex_only=at >= planned) for at, pair in enumerate(pairs)),
        objective=Objective(0.99, 0.4, 0.0, rng.choice([None, 0.89, 0.905, 0.915, 0.92])),
        min_replicas=fewest,
        max_replicas=rng.randint(fewest, 12),
        max_hourly_cost=rng.choice([None, 0.3, 1.0, 3.0]),
        scale_down=rules(rng.choice([0.0, 300.0])),
        reflex=rng.random() < 0.7,
        policy=policy,
    )


SPECS = st.integers(0, 100_000).map(spec_of)


@st.composite
def outlooks(draw: st.DrawFn) -> QuantileForecast | None:
    if draw(st.booleans()):
        return None
    return rising(draw(st.lists(st.floats(0.0, 4000.0), min_size=5, max_size=5)))


def rising(quantiles: list[float]) -> QuantileForecast:
    peaks = np.tile(np.sort(np.array(quantiles)), (10, 1))
    return replace(forecast(1.0), quantiles=QUANTILES, rps=peaks, peak_rps=peaks)


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

SHORT = {Binding.MAX_REPLICAS, Binding.MAX_HOURLY_COST, Binding.AVAILABILITY, Binding.OBJECTIVE}


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
@given(SPECS, RATES, outlooks(), st.integers(0, 3), st.sampled_from(["cheaper", "faster", "sooner"]))
def test_better_candidate_never_makes_the_plan_worse(
    spec: Workload, rps: float, ahead: QuantileForecast | None, which: int, how: str
) -> None:
    better = improved(spec, which % len([c for c in spec.capacities if not c.reflex_only]), how)
    before = best(list(options_of(spec, observation(rps), ahead).values()))
    after = best(list(options_of(better, observation(rps), ahead).values()))

    assert after.wishes >= before.wishes
    if after.wishes == before.wishes:
        assert after.carried_rps >= before.carried_rps * (1.0 - 1e-6) or how == "sooner"
        if after.carried_rps <= before.carried_rps and after.own_carried_rps <= before.own_carried_rps:
            assert after.hourly_cost <= before.hourly_cost * 1.05 + 1e-9


def improved(spec: Workload, which: int, how: str) -> Workload:
    entry = spec.capacities[which]
    if how == "faster":
        entries = [speed(c.pool, 1.5) if c is entry else c for c in spec.capacities]
        return replace(spec, capacities=tuple(entries))
    chosen = spec.placement(entry.pool.placement)
    better = replace(chosen, hourly_cost=0.05) if how == "cheaper" else replace(chosen, start_seconds=10.0)
    places = [better if p is chosen else p for p in spec.placements]
    return replace(spec, placements=tuple(places))


@CASES
@given(st.lists(st.floats(0.0, 1e5), min_size=5, max_size=5), st.floats(0.001, 0.999) | st.sampled_from(QUANTILES))
def test_quantile_between_two_is_interpolated(peaks: list[float], quantile: float) -> None:
    ahead = rising(peaks)

    assert ahead.peak(quantile, 15.0) == pytest.approx(float(np.interp(quantile, QUANTILES, sorted(peaks))), abs=1e-6)
