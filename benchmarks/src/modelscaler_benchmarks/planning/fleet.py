"""A generated fleet: specs with eight candidates each, what is seen of them, and forecasts."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np

from modelscaler.domain import (
    DirectionRules,
    ForecastSettings,
    Objective,
    Observation,
    PlacementOption,
    PolicyState,
    PoolKey,
    PoolObservation,
    QuantileForecast,
    RateLimit,
    ReplicaCapacity,
    Value,
    VariantOption,
    Workload,
    WorkloadKey,
    Zero,
)
from modelscaler.planner.plan import plan
from modelscaler.planner.savings import MOST_OVERDRAFT

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LEAD_SECONDS = 45.0
QUANTILES = (0.1, 0.5, 0.9, 0.95, 0.99)
VARIANTS = {"full": (0.92, 20.0), "bf16": (0.918, 15.0), "int8": (0.91, 10.0), "tiny": (0.88, 6.0)}
"""Accuracy, and milliseconds per request on a CPU."""
PLACEMENTS = {"cpu": (0.1, 20.0, 1.0), "gpu": (0.5, 60.0, 0.2)}
"""Price per hour, seconds to start, and time per request as a share of a CPU's."""
PROFILES = 50
"""Different models in the fleet: a speed that is known already is not solved again."""


@dataclass(frozen=True)
class Member:
    """A ModelDeployment as the planner gets it."""

    workload: Workload
    observation: Observation
    forecast: QuantileForecast
    state: PolicyState


def fleet(size: int, seed: int, *, reflex: bool) -> list[Member]:
    """Return members that have run for a while: serving what an earlier plan chose, with a full memory of sizes."""
    rng = Random(seed)  # noqa: S311 - chance, not secrecy
    return [_member(number, rng, reflex=reflex) for number in range(size)]


def moved(member: Member, factor: float) -> Member:
    """Return a member whose load and forecast have changed by a factor, with a spec that was read anew."""
    offered = member.observation.offered
    load = Value(offered.value * factor, NOW) if isinstance(offered, Value) else offered
    ahead = member.forecast
    return Member(
        replace(member.workload),
        replace(member.observation, offered=load),
        replace(ahead, rps=ahead.rps * factor, peak_rps=ahead.peak_rps * factor),
        member.state,
    )


def _member(number: int, rng: Random, *, reflex: bool) -> Member:
    workload = _workload(number, reflex=reflex)
    load = rng.uniform(10.0, 600.0)
    ahead = _forecast(load, rng)
    empty = Observation(NOW, Value(load, NOW), Value(1.0, NOW), Value(0.2, NOW), Value(load, NOW), Zero(NOW))
    first, _ = plan(workload, empty, ahead, PolicyState(), LEAD_SECONDS)
    pool, replicas = first.target.pool, first.target.replicas
    serving = PoolObservation(
        pool,
        replicas,
        replicas,
        start_seconds=PLACEMENTS[pool.placement][1] * 1.1,
        budgets=float(replicas),
        overdraft=MOST_OVERDRAFT,
    )
    seen = replace(empty, pools=(serving,), selected=pool, served=((pool.variant, load),))
    history = tuple((NOW - timedelta(seconds=15.0 * ago), replicas - ago % 2) for ago in range(20, 0, -1))
    return Member(workload, seen, ahead, PolicyState(active=pool, recommendations=history, planned_generation=1))


def _forecast(load: float, rng: Random) -> QuantileForecast:
    median = np.maximum.accumulate(load * (1.0 + 0.3 * np.array([rng.random() for _ in range(40)])))
    peaks = median[:, None] * np.array([0.8, 1.0, 1.15, 1.2, 1.35])
    return QuantileForecast(NOW, 15.0, QUANTILES, peaks, peaks, "generated", learned=False)


def _workload(number: int, *, reflex: bool) -> Workload:
    slower = 1.0 + (number % PROFILES) / PROFILES
    return Workload(
        key=WorkloadKey("fleet", f"model-{number:05}"),
        generation=1,
        variants=tuple(VariantOption(name, accuracy) for name, (accuracy, _) in VARIANTS.items()),
        placements=tuple(
            PlacementOption(name, cost, start, accelerator="example.com/gpu" if name == "gpu" else None)
            for name, (cost, start, _) in PLACEMENTS.items()
        ),
        objective=Objective(0.99, 0.4, 0.85, 0.905),
        capacities=tuple(
            ReplicaCapacity(PoolKey(place, name), slower * ms * share / 1000.0, 0.002, 16, "Profile")
            for place, (_, _, share) in PLACEMENTS.items()
            for name, (_, ms) in VARIANTS.items()
        ),
        min_replicas=1,
        max_replicas=40,
        max_hourly_cost=6.0,
        scale_up=DirectionRules(0.0, (RateLimit("Percent", 100, 15.0), RateLimit("Pods", 4, 15.0))),
        scale_down=DirectionRules(300.0),
        fallback=None,
        forecast=ForecastSettings(0.95, 86_400.0, 86_400.0, "Auto"),
        start_deadline_seconds=600.0,
        reflex=reflex,
    )
