"""Specs, forecasts and situations drawn for the planner's properties."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from builders import NOW, capacity, forecast, observation, outage, placement, pool, reading, rules, workload
from modelscaler.api.words import Binding, GrantReason
from modelscaler.domain import (
    Allowance,
    AtLeast,
    Objective,
    Observation,
    Plan,
    PolicySettings,
    PolicyState,
    PoolKey,
    PoolObservation,
    QuantileForecast,
    RateLimit,
    ReplicaCapacity,
    RouteObservation,
    Side,
    VariantOption,
    Workload,
)
from modelscaler.planner.plan import plan

VARIANTS = (VariantOption("full", 0.92), VariantOption("int8", 0.91), VariantOption("tiny", 0.88))
SPEEDS_MS = {"full": 20.0, "int8": 10.0, "tiny": 5.0}
PAIRS = [PoolKey(place, variant.name) for place in ("cpu", "gpu") for variant in VARIANTS]
QUANTILES = (0.1, 0.5, 0.9, 0.95, 0.99)
LEVELS = [0.05, 0.1, 0.3, 0.5, 0.9, 0.93, 0.99]
RATES = st.one_of(st.just(0.0), st.floats(0.1, 4000.0))
CASES = settings(deadline=None)
DENIALS = [reason for reason in GrantReason if reason is not GrantReason.AS_WANTED]
ACCELERATORS = {Binding(reason.value) for reason in DENIALS}
SHORT = {Binding.MAX_REPLICAS, Binding.MAX_HOURLY_COST, Binding.AVAILABILITY, Binding.OBJECTIVE, *ACCELERATORS}
"""What may keep a plan from carrying all of the load with the planned variant."""


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


def planned_pools(spec: Workload) -> list[PoolKey]:
    return [c.pool for c in spec.capacities if not c.reflex_only]


@dataclass(frozen=True)
class Situation:
    """All that a plan is made of; nothing is remembered of earlier recommendations."""

    spec: Workload
    seen: Observation
    ahead: QuantileForecast | None
    state: PolicyState

    def planned(self) -> Plan:
        return plan(self.spec, self.seen, self.ahead, self.state, 15.0)[0]


def situation_of(seed: int) -> Situation:
    """Return a situation: a pool that serves or none, some of it stuck, with outages, and fewer accelerators than wanted."""
    rng = Random(seed)  # noqa: S311 - chance, not secrecy
    spec = _with_accelerators(spec_of(rng.randrange(100_000)), rng)
    keys = planned_pools(spec)
    active = rng.choice([None, *keys, *keys])
    seen = _seen(rng, spec, [_pool(rng, active)] if active else [])
    outages = tuple(outage(key, NOW + timedelta(seconds=60)) for key in keys if rng.random() < 0.25)
    return Situation(spec, replace(seen, selected=active), _ahead(rng), PolicyState(active=active, outages=outages))


def routed_situation_of(seed: int) -> Situation:
    """Return a situation in which two pools may share the load, within their limits or not: limits may have been lowered."""
    rng = Random(seed)  # noqa: S311 - chance, not secrecy
    spec = replace(
        _with_accelerators(spec_of(rng.randrange(100_000)), rng),
        routed=True,
        capacities=tuple(speed(key) for key in rng.sample(PAIRS, 5)),
        max_replicas=rng.choice([6, 12, 20]),
        max_hourly_cost=rng.choice([None, 1.0, 3.0, 5.0]),
        scale_up=rules(0.0, *rng.choice([(), (RateLimit("Pods", 2, 60.0),)])),
        scale_down=rules(0.0, *rng.choice([(), (RateLimit("Pods", 1, 60.0),)])),
        reflex=rng.random() < 0.3,
    )
    active = rng.choice(planned_pools(spec))
    beside = rng.choice([key for key in planned_pools(spec) if key.placement != active.placement])
    seen = _seen(rng, spec, [_pool(rng, active), _pool(rng, beside)])
    latency = reading(rng.choice([None, None, 9.0]))
    route = RouteObservation(True, beside, 0.3)
    state = PolicyState(active=active, side=Side(beside, NOW - timedelta(seconds=600)))
    return Situation(spec, replace(seen, selected=active, latency=latency, route=route), _ahead(rng), state)


SITUATIONS = st.integers(0, 10_000_000).map(situation_of)
ROUTED = st.integers(0, 10_000_000).map(routed_situation_of)


def _with_accelerators(spec: Workload, rng: Random) -> Workload:
    gpu = replace(spec.placement("gpu"), accelerator="example.com/gpu", max_replicas=rng.choice([None, None, 2]))
    cpu = replace(spec.placement("cpu"), accelerator=rng.choice([None, None, "example.com/npu"]))
    objective = replace(spec.objective, latency_seconds=rng.choice([0.4, 0.4, 0.4, 0.02, 0.008]))
    return replace(spec, placements=(cpu, gpu), objective=objective)


def _pool(rng: Random, key: PoolKey) -> PoolObservation:
    replicas = rng.randint(1, 14)
    stuck = rng.choice([0, 0, 0, min(replicas, 2), replicas])
    return pool(key, replicas, replicas - stuck, unschedulable=stuck, unready_seconds=900.0 if stuck else 0.0)


def _seen(rng: Random, spec: Workload, pools: Sequence[PoolObservation]) -> Observation:
    rps = rng.choice([0.0, 30.0, 100.0, 300.0, 1000.0, 4000.0]) * rng.uniform(0.5, 1.0)
    allowances = tuple(_allowance(rng, p.name) for p in spec.placements if p.accelerator and rng.random() < 0.4)
    offered = rng.choice([reading(rps)] * 4 + [AtLeast(rps, 1)])
    return observation(offered, *pools, allowances=allowances)


def _allowance(rng: Random, place: str) -> Allowance:
    wanted = rng.randint(1, 8)
    return Allowance(place, rng.randint(0, wanted), wanted, rng.choice(DENIALS), 8)


def _ahead(rng: Random) -> QuantileForecast | None:
    if rng.random() < 0.5:
        return None
    return rising([rng.choice([0.0, 50.0, 200.0, 600.0, 1500.0, 4000.0]) * rng.random() for _ in range(5)])
