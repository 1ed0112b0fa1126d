"""Every pool that could serve, sized for its demand, and what limited the size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from modelscaler.api.words import Binding
from modelscaler.capacity.latency import latency_seconds, sustainable_rps
from modelscaler.domain import Choice, Demand, PolicyState, PoolKey, ReplicaCapacity, Workload, is_out

ROUNDING = 1e-9
NEAR_EQUAL_COST = 0.05


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sized pool, the constraint that set its size, and the demand it was sized for."""

    choice: Choice
    binding: Binding
    demand: Demand
    sustainable_rps: float


def candidates(
    workload: Workload, demands: Mapping[str, Demand], state: PolicyState, now: datetime
) -> tuple[Candidate, ...]:
    """Return every pool above the accuracy floor, best first; pools that are left alone after failing come not at all.

    Feasible ones come first, by cost, near-equal costs (5 %) by accuracy. Where nothing is feasible the order is how we
    degrade: carry the most demand, then at the lowest cost. The accuracy floor never gives way, and `min_replicas` are
    kept even over budget, because a promise of nothing running helps nobody.
    """
    sized = [
        size(workload, capacity, demands[capacity.pool.placement])
        for capacity in workload.capacities
        if not is_out(state, capacity.pool, now) and allowed(workload, capacity.pool)
    ]
    return tuple(_ranked(sized))


def allowed(workload: Workload, pool: PoolKey) -> bool:
    """Tell whether a pool is in the spec and its variant reaches the accuracy floor."""
    accuracies = {v.name: v.accuracy for v in workload.variants}
    known_placement = any(p.name == pool.placement for p in workload.placements)
    return known_placement and accuracies.get(pool.variant, -1.0) >= workload.objective.min_accuracy


def size(workload: Workload, capacity: ReplicaCapacity, demand: Demand) -> Candidate:
    """Return a pool with the fewest replicas that carry the demand, within the limits."""
    each = sustainable_rps(capacity, workload.objective)
    needed = math.ceil(demand.planned_rps / each - ROUNDING) if each > 0 else workload.max_replicas + 1
    replicas, binding = within_limits(workload, capacity.pool, needed)
    return Candidate(choice_of(workload, capacity, replicas, demand.planned_rps), binding, demand, each)


def within_limits(workload: Workload, pool: PoolKey, needed: int) -> tuple[int, Binding]:
    """Return `needed` replicas within the workload's, the placement's and the budget's limits, and which one bound."""
    placement = workload.placement(pool.placement)
    most = min(workload.max_replicas, placement.max_replicas or workload.max_replicas)
    binding = Binding.MAX_REPLICAS
    if workload.max_hourly_cost is not None and placement.hourly_cost > 0:
        affordable = math.floor(workload.max_hourly_cost / placement.hourly_cost + ROUNDING)
        if affordable < most:
            most, binding = affordable, Binding.MAX_HOURLY_COST
    least = min(workload.min_replicas, placement.max_replicas or workload.min_replicas)
    if needed <= least:
        return least, Binding.MIN_REPLICAS if needed < least else Binding.DEMAND
    if needed > most:
        return max(most, least), binding
    return needed, Binding.DEMAND


def choice_of(workload: Workload, capacity: ReplicaCapacity, replicas: int, planned_rps: float) -> Choice:
    """Return what so many replicas of a pool cost and promise at a demand."""
    pool = capacity.pool
    carried = replicas * sustainable_rps(capacity, workload.objective)
    shortfall = max(planned_rps - carried, 0.0)
    return Choice(
        pool=pool,
        replicas=replicas,
        hourly_cost=replicas * workload.placement(pool.placement).hourly_cost,
        accuracy=workload.variant(pool.variant).accuracy,
        latency_seconds=_latency_seconds(workload, capacity, replicas, planned_rps),
        shortfall_rps=shortfall if shortfall > ROUNDING * max(planned_rps, 1.0) else 0.0,
    )


def _latency_seconds(workload: Workload, capacity: ReplicaCapacity, replicas: int, planned_rps: float) -> float:
    if replicas == 0:
        return math.inf
    return latency_seconds(capacity, planned_rps / replicas, workload.objective.percentile)


def _ranked(sized: list[Candidate]) -> list[Candidate]:
    feasible = sorted((c for c in sized if c.choice.feasible), key=_by_cost)
    degraded = sorted((c for c in sized if not c.choice.feasible), key=_by_shortfall)
    if feasible:
        limit = feasible[0].choice.hourly_cost * (1.0 + NEAR_EQUAL_COST)
        near = sorted((c for c in feasible if c.choice.hourly_cost <= limit), key=_by_accuracy)
        feasible = near + [c for c in feasible if c.choice.hourly_cost > limit]
    return feasible + degraded


def _by_cost(candidate: Candidate) -> tuple[float, float, int, PoolKey]:
    choice = candidate.choice
    return (choice.hourly_cost, -choice.accuracy, choice.replicas, choice.pool)


def _by_accuracy(candidate: Candidate) -> tuple[float, float, int, PoolKey]:
    choice = candidate.choice
    return (-choice.accuracy, choice.hourly_cost, choice.replicas, choice.pool)


def _by_shortfall(candidate: Candidate) -> tuple[float, float, float, PoolKey]:
    choice = candidate.choice
    return (round(choice.shortfall_rps, 6), choice.hourly_cost, -choice.accuracy, choice.pool)
