"""The pools a spec allows: what a replica of each costs and carries, and how many there may be. Pure."""

import math
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache

from modelscaler.api.words import Binding
from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
from modelscaler.domain import (
    Objective,
    Observation,
    PlacementOption,
    PolicyState,
    PoolKey,
    PoolObservation,
    ReplicaCapacity,
    VariantOption,
    Workload,
    is_out,
)
from modelscaler.planner.health import stuck_replicas
from modelscaler.planner.ladder import ladder_of
from modelscaler.planner.recourse import Rung, allowed_share
from modelscaler.planner.starts import measured_start

STABLE_SHARE = 0.8
"""Where no replica meets the objective, not even idle, replicas are sized to be this busy: late answers, but no pile-up."""

ROUNDING = 1e-9
"""So that n times the rate of a replica needs n replicas, not n + 1."""


MOST_WORKLOADS = 8192
"""So many specs' candidates are kept, about 5 KB each: they change only with the spec and its settings."""


class NoCandidateError(ValueError):
    """The spec allows no pool at all; the message says which fields to look at."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool that may be chosen.

    Attributes:
        capacity: Speed of one replica.
        objective: What users are promised.
        accuracy: Of the variant, in [0, 1].
        replica_hourly_cost: Price of one replica.
        start_seconds: From creating a replica to ready: measured if ever seen, else as other variants of the placement were,
            else as the spec says.
        rps_per_replica: Load that one replica carries within the objective; where it cannot, even idle, what it carries
            without a pile-up.
        rung_rps_per_replica: Load that one replica carries with the help of its ladder; without one, what it carries anyway.
        meets_objective: Whether an idle replica answers in time.
        keeps_mean_accuracy: Whether the variant reaches what answers must reach on average.
        rung: The cheaper variant that answers bursts; None when its replicas hold none that carries more.
        fewest: Fewest replicas.
        most: Most replicas; the limits and the budget are in it, and `fewest` wins over both, but not over the accelerators
            that may be had.
        most_because: Which limit that is.
        keeps_minimum: Whether the placement allows the workload's minimum.
        within_budget: Whether `fewest` replicas are within the budget.
        running: Replicas that exist and are not stuck, when some are stuck; None when nothing hinders more of them.
        available: Whether the pool may be relied on now.
        wishes: The wishes it grants, whatever the demand, the most important first (`choice.py`).
        largest_rps: Load that the pool carries at its largest, with the help of the ladder.
        own_largest_rps: Load that it carries at its largest with the planned variant.
    """

    capacity: ReplicaCapacity
    objective: Objective
    accuracy: float
    replica_hourly_cost: float
    start_seconds: float
    rps_per_replica: float
    rung_rps_per_replica: float
    meets_objective: bool
    keeps_mean_accuracy: bool
    rung: Rung | None
    fewest: int
    most: int
    most_because: Binding
    keeps_minimum: bool
    within_budget: bool
    running: int | None = None
    available: bool = True
    wishes: tuple[bool, bool, bool, bool, bool] = field(init=False, repr=False, compare=False)
    largest_rps: float = field(init=False, repr=False, compare=False)
    own_largest_rps: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out once what follows from the rest: it is asked for at every tick, and a candidate seldom changes."""
        wishes = (
            self.available,
            self.meets_objective,
            self.keeps_mean_accuracy,
            self.keeps_minimum,
            self.within_budget,
        )
        object.__setattr__(self, "wishes", wishes)
        object.__setattr__(self, "largest_rps", self.obtainable * self.rung_rps_per_replica * (1.0 + ROUNDING))
        object.__setattr__(self, "own_largest_rps", self.obtainable * self.rps_per_replica * (1.0 + ROUNDING))

    @property
    def pool(self) -> PoolKey:
        """The pool's name."""
        return self.capacity.pool

    def needed(self, rps: float, own_rps: float) -> int:
        """Return the replicas that carry a load, `own_rps` of it by the planned variant itself, whatever the limits."""
        return math.ceil(self.exactly_needed(rps, own_rps) - ROUNDING)

    def exactly_needed(self, rps: float, own_rps: float) -> float:
        """Return the replicas that carry a load, as a fraction."""
        own, helped = own_rps / self.rps_per_replica, rps / self.rung_rps_per_replica
        return helped if helped > own else own

    def clipped(self, replicas: int) -> int:
        """Return `replicas`, within the limits."""
        return min(max(replicas, self.fewest), self.most)

    @property
    def stuck(self) -> bool:
        """Whether some of its replicas are there but cannot run."""
        return self.running is not None

    @property
    def obtainable(self) -> int:
        """The replicas it may have and can have."""
        return self.most if self.running is None else min(self.most, self.running)

    @property
    def why_short(self) -> Binding:
        """Why it can carry no more."""
        if not self.most:  # limits and budget leave the minimum at least; others have its accelerators
            return self.most_because
        if not self.available or self.obtainable < self.most:
            return Binding.AVAILABILITY
        return self.most_because if self.meets_objective else Binding.OBJECTIVE

    def carried_rps(self, rps: float) -> float:
        """Return how much of a load the pool can carry at its largest, with the help of the ladder."""
        return min(rps, self.largest_rps)

    def own_carried_rps(self, rps: float) -> float:
        """Return how much of a load the pool can carry at its largest with the planned variant."""
        return min(rps, self.own_largest_rps)

    def latency_seconds(self, rps: float, replicas: int) -> float:
        """Return the latency at the objective's percentile when so many replicas share a load.

        With a ladder the servers keep the objective, by cheaper answers, up to what the ladder carries.
        """
        if not replicas:
            return math.inf if rps else 0.0
        own = latency_seconds(self.capacity, rps / replicas, self.objective.percentile)
        if self.rung and rps <= replicas * self.rung_rps_per_replica * (1.0 + ROUNDING):
            return min(own, self.objective.latency_seconds)
        return own


def candidates(workload: Workload, observation: Observation, state: PolicyState) -> tuple[Candidate, ...]:
    """Return every pool that has a capacity entry and a variant at or above the accuracy floor, by name.

    Raises:
        NoCandidateError: There is none.
    """
    seen = {pool.pool: pool for pool in observation.pools}
    noticed = {state.active, *seen, *(outage.pool for outage in state.outages)}
    now = observation.now
    return tuple(
        [
            _as_seen(workload, now, state, c, seen.get(c.pool)) if c.pool in noticed else c
            for c in _startable(workload, observation)
        ]
    )


def candidate_of(workload: Workload, observation: Observation, state: PolicyState, pool: PoolKey) -> Candidate | None:
    """Return the candidate for a pool, None when the spec does not allow it."""
    offered = next((c for c in _startable(workload, observation) if c.pool == pool), None)
    if offered is None:
        return None
    seen = next((p for p in observation.pools if p.pool == pool), None)
    return _as_seen(workload, observation.now, state, offered, seen)


def _as_seen(
    workload: Workload, now: datetime, state: PolicyState, offered: Candidate, seen: PoolObservation | None
) -> Candidate:
    """Return what is offered, with what is known of it now."""
    running = None
    if offered.pool == state.active:
        running = _running(workload, seen)
        available = running != 0
    elif state.side is not None and offered.pool == state.side.pool:
        running = _running(workload, seen)
        available = running != 0 and not is_out(state, offered.pool, now)
    else:
        available = not is_out(state, offered.pool, now)
    if running is None and available:
        return offered
    return replace(offered, running=running, available=available)


def _startable(workload: Workload, observation: Observation) -> tuple[Candidate, ...]:
    """Return what a spec offers, with starts as they were measured, where they were."""
    starts = observation.starts
    return _started(workload, tuple(starts.items())) if starts else _offered(workload)


@lru_cache(maxsize=MOST_WORKLOADS)
def _started(workload: Workload, starts: tuple[tuple[PoolKey, float], ...]) -> tuple[Candidate, ...]:
    known = dict(starts)
    return tuple(
        replace(c, start_seconds=seconds) if (seconds := measured_start(known, c.pool)) is not None else c
        for c in _offered(workload)
    )


@lru_cache(maxsize=MOST_WORKLOADS)
def _offered(workload: Workload) -> tuple[Candidate, ...]:
    """Return the candidates as they are before anything is seen of them: what depends on the spec alone."""
    placements = {p.name: p for p in workload.placements}
    variants = {v.name: v for v in workload.variants if v.accuracy >= workload.objective.min_accuracy}
    planned = [c for c in workload.capacities if not c.reflex_only]
    usable = {c.pool: c for c in planned if c.pool.placement in placements and c.pool.variant in variants}
    if not usable:
        raise NoCandidateError(
            f"no pair of placement and variant may be used: none of the {len(workload.capacities)} capacity entries is for "
            f"a variant with an accuracy of at least {workload.objective.min_accuracy:g}; add an entry for one of "
            f"{sorted(variants) or 'a more accurate variant'} or lower slo.minAccuracy"
        )
    return tuple(
        _candidate(workload, usable[pool], placements[pool.placement], variants[pool.variant])
        for pool in sorted(usable)
    )


def _candidate(
    workload: Workload, capacity: ReplicaCapacity, placement: PlacementOption, variant: VariantOption
) -> Candidate:
    sustainable = sustainable_rps(capacity, workload.objective)
    most, because = _most(workload, placement)
    fewest = min(workload.min_replicas, placement.max_replicas or workload.min_replicas)
    floor = workload.objective.min_mean_accuracy
    own_rps = sustainable or STABLE_SHARE * largest_rps(capacity)
    rung = _rung(workload, variant, capacity.pool, sustainable) if workload.reflex else None
    return Candidate(
        capacity=capacity,
        objective=workload.objective,
        accuracy=variant.accuracy,
        replica_hourly_cost=placement.hourly_cost,
        start_seconds=placement.start_seconds,
        rps_per_replica=own_rps,
        rung_rps_per_replica=own_rps * rung.speedup if rung else own_rps,
        meets_objective=sustainable > 0.0,
        keeps_mean_accuracy=floor is None or variant.accuracy >= floor,
        rung=rung,
        fewest=fewest,
        most=max(most, fewest),
        most_because=because,
        keeps_minimum=fewest == workload.min_replicas,
        within_budget=workload.max_hourly_cost is None or fewest * placement.hourly_cost <= workload.max_hourly_cost,
    )


def _rung(workload: Workload, planned: VariantOption, pool: PoolKey, own_rps: float) -> Rung | None:
    """Return the variant of the pool's ladder that carries most within the objective, if that is more than `own_rps`."""
    if own_rps <= 0.0:
        return None
    names = ladder_of(workload, pool)[1:]
    speeds = {
        c.pool.variant: sustainable_rps(c, workload.objective)
        for c in workload.capacities
        if c.pool.placement == pool.placement and c.pool.variant in names
    }
    name = max(names, key=lambda name: speeds[name], default=None)
    if name is None or speeds[name] <= own_rps:
        return None
    cheaper = workload.variant(name).accuracy
    share = allowed_share(planned.accuracy, cheaper, workload.objective.min_mean_accuracy)
    return Rung(name, speeds[name] / own_rps, share)


def _most(workload: Workload, placement: PlacementOption) -> tuple[int, Binding]:
    """Return the most replicas that limits and budget allow, and which of them it is."""
    most = min(workload.max_replicas, placement.max_replicas or workload.max_replicas)
    if workload.max_hourly_cost is None or placement.hourly_cost <= 0.0:
        return most, Binding.MAX_REPLICAS
    affordable = math.floor(workload.max_hourly_cost / placement.hourly_cost + ROUNDING)
    return (affordable, Binding.MAX_HOURLY_COST) if affordable < most else (most, Binding.MAX_REPLICAS)


def _running(workload: Workload, seen: PoolObservation | None) -> int | None:
    """Return the serving pool's replicas that are not stuck when some are; for other pools an outage speaks."""
    stuck = stuck_replicas(seen, workload.start_deadline_seconds) if seen else 0
    return seen.replicas - stuck if seen and stuck else None
