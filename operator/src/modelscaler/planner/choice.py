"""Which candidate to prefer. Pure.

A wish is dropped only when no candidate grants it, the last one first:

1. never below the accuracy floor (such candidates are not even listed);
2. a pool that is not known to be unable to start;
3. the latency objective met by an idle replica at least;
4. a planned variant that reaches the mean accuracy asked for;
5. the workload's minimum of replicas within the placement's maximum;
6. that minimum within the budget;
7. as much of the demand carried as possible, all of it if any can, bursts by the cheaper variants of the ladder;
8. as much as possible of what is lasting carried by the planned variant itself;
9. cheap: among candidates within 5 % of the cheapest the more accurate, then the one with fewer replicas.

The budget is therefore hard except against the minimum of replicas. When limits keep a pool from carrying all of the lasting
load with its planned variant, the ladder answers the rest: the plan is degraded, not infeasible, and says which limit it was.
That is also what happens while replicas start, without the plan's doing. When nothing carries the whole demand even so,
latency gives way, not accuracy: the plan is as large as the limits allow and says which limit gave way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from modelscaler.domain import Choice, Demand, PoolKey
from modelscaler.planner.candidates import Candidate
from modelscaler.planner.demand import Load
from modelscaler.planner.recourse import bearable_multiple, replicas_within

NEAR_EQUAL_COST = 0.05
"""Costs this close count as equal, and accuracy decides."""

SPARE = 0.07
"""A demand that flickers around what n replicas carry must not make the number flicker between n and n + 1: replicas are
removed only when the rest would carry this much more than the demand. HorizontalPodAutoscaler has 0.1, and no rise to go by
when it has removed too many (docs/designs/005-replay.md)."""

TOLERANCE = 0.10
"""Where a ladder answers what is above them, replicas are added only when the demand is this much more than they carry, as far
as servers have saved for that."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the serving pool is, and was sized to lately.

    Moving to a smaller pool is scaling down too: another pool is sized for the load that the scale-down window still remembers
    (`Option.proven_replicas`), and while neither the load nor the speed of what serves is known it has `at_least` as many
    replicas.

    Attributes:
        serving: The pool, None when none serves.
        replicas: What it has.
        recommended: The most that was recommended for it within the scale-down window.
        at_least: See above.
    """

    serving: PoolKey | None = None
    replicas: int = 0
    recommended: int = 0
    at_least: int = 0


class Option(NamedTuple):
    """A candidate with the replicas for its demand; a tuple, as every plan makes one for each candidate.

    `far` is the demand within the longest horizon of all candidates, were the load not to rise: whoever cannot carry that has
    to make room for another pool in time, although its own replicas start sooner.

    Attributes:
        candidate: The pool.
        demand: What it is sized for.
        far: The demand within the longest horizon, without a rise.
        needed: Replicas for the demand, whatever the limits.
        replicas: Within the limits.
        wanted: The same, but for what the tolerance leaves to the pool that serves.
        hourly_cost: Price of all replicas.
        carried_rps: How much of the far demand the pool can carry at its largest.
        own_carried_rps: How much of what is lasting in the far demand it can carry with its planned variant.
    """

    candidate: Candidate
    demand: Demand
    far: Demand
    needed: int
    replicas: int
    wanted: int
    hourly_cost: float
    carried_rps: float
    own_carried_rps: float

    @property
    def shortfall_rps(self) -> float:
        """How much of the far demand the pool cannot carry within the objective."""
        if not self.candidate.meets_objective:
            return self.far.planned_rps
        return self.far.planned_rps - self.carried_rps

    @property
    def degraded_rps(self) -> float:
        """How much of what is lasting the pool can carry only by cheaper answers."""
        return self.far.lasting_rps - self.own_carried_rps if self.feasible else 0.0

    @property
    def wishes(self) -> tuple[bool, bool, bool, bool, bool]:
        """The wishes it grants besides carrying the demand, the most important first."""
        return self.candidate.wishes

    @property
    def feasible(self) -> bool:
        """Whether the pool can carry the far demand within the objective."""
        return self.shortfall_rps <= 0.0

    @property
    def decisive(self) -> Demand:
        """The demand that decides: what the pool is sized for, or the far one where it cannot carry that."""
        return self.demand if self.feasible else self.far

    @property
    def for_mean_accuracy(self) -> bool:
        """Whether it is larger than the demand asks for, so that not too many answers are cheaper ones."""
        return self.needed > self.candidate.needed(self.demand.planned_rps, self.demand.lasting_rps)

    def proven_replicas(self, past: Past) -> int:
        """Return how many replicas would not have carried the load at some time within the window, when this pool serves.

        One fewer than recommended, less what is wanted now for other reasons than the demand: for the mean accuracy, or lest
        the number flicker. A recommendation of the minimum proves no load.
        """
        asked = self.candidate.clipped(self.candidate.needed(self.demand.planned_rps, self.demand.lasting_rps))
        recommended = past.recommended - max(self.wanted - asked, 0)
        return recommended - 1 if recommended > self.candidate.fewest else 0

    def choice(self, replicas: int) -> Choice:
        """Return the candidate with so many replicas, as part of a plan."""
        return Choice(
            pool=self.candidate.pool,
            replicas=replicas,
            hourly_cost=replicas * self.candidate.replica_hourly_cost,
            accuracy=self.candidate.accuracy,
            latency_seconds=self.candidate.latency_seconds(self.demand.planned_rps, replicas),
            shortfall_rps=self.shortfall_rps,
        )

    def sharing(self, replicas: int, demand: Demand, share: float) -> Choice:
        """Return so many replicas of the candidate that get a share of a demand beside another pool."""
        return Choice(
            pool=self.candidate.pool,
            replicas=replicas,
            hourly_cost=replicas * self.candidate.replica_hourly_cost,
            accuracy=self.candidate.accuracy,
            latency_seconds=self.candidate.latency_seconds(demand.planned_rps * share, replicas),
        )


def options(candidates: Sequence[Candidate], load: Load, lead_seconds: float, past: Past) -> tuple[Option, ...]:
    """Size every candidate for the demand until its own replicas could be ready.

    Args:
        candidates: One at least.
        load: What is known about the load.
        lead_seconds: How far the horizon reaches besides a start: to the next decision, and as far as rates lag.
        past: What another pool than the serving one must be up to besides.
    """
    escapes = [c for c in candidates if c.available] or candidates
    limited = any(c.rung is not None and c.rung.allowed_share < 1.0 for c in candidates)
    kinds = {c.pool: (c.start_seconds, load.lends and c.rung is None) for c in candidates}
    ahead = {kind: _ahead(_as_seen(load, kind), kind[0] + lead_seconds, limited) for kind in set(kinds.values())}
    slowest = kinds[max(escapes, key=lambda c: c.start_seconds).pool]
    far = ahead[slowest].demand
    if load.rises:
        far = _as_seen(load.level(), slowest).within(slowest[0] + lead_seconds)
    serving = next(
        (_serving(c, ahead[kinds[c.pool]], far, past.replicas) for c in candidates if c.pool == past.serving), None
    )
    recent = _recent(serving, past) if serving is not None and past.recommended else (0.0, 0.0)
    return tuple(
        [
            serving
            if serving is not None and c is serving.candidate
            else _other(c, ahead[kinds[c.pool]], far, recent, past.at_least)
            for c in candidates
        ]
    )


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The demand within a horizon; the spread of the load at it, where cheaper answers are limited; what is saved for them."""

    demand: Demand
    spread_rps: Sequence[float]
    saved_share: float


def _as_seen(load: Load, kind: tuple[float, bool]) -> Load:
    """Return the load for candidates of a kind: how long they start, and whether nothing can be left to a ladder of theirs."""
    return load.unlent() if kind[1] else load


def _ahead(load: Load, horizon_seconds: float, limited: bool) -> _Ahead:
    spread_rps = load.spread_rps(horizon_seconds) if limited else ()
    return _Ahead(load.within(horizon_seconds), spread_rps, load.saved_share)


def _serving(candidate: Candidate, ahead: _Ahead, far: Demand, present: int) -> Option:
    """Return what serves with `present` replicas: some go, or others come, only beyond what is tolerated."""
    needed = _needed(candidate, ahead)
    replicas = candidate.clipped(needed)
    if replicas < present:
        roomy = candidate.clipped(_needed(candidate, ahead, growth=1.0 + SPARE))
        return _option(candidate, ahead, far, needed, replicas, min(max(roomy, replicas), present))
    tight = candidate.clipped(_needed(candidate, ahead, share=1.0 / (1.0 + TOLERANCE * ahead.saved_share)))
    return _option(candidate, ahead, far, needed, replicas, present if tight <= present else replicas)


def _other(candidate: Candidate, ahead: _Ahead, far: Demand, recent: tuple[float, float], at_least: int) -> Option:
    needed = _needed(candidate, ahead)
    replicas = candidate.clipped(max(needed, candidate.needed(*recent), at_least))
    return _option(candidate, ahead, far, needed, replicas, replicas)


def _recent(serving: Option, past: Past) -> tuple[float, float]:
    """Return the load that the window remembers, and how much of it was lasting: as the load of now, but for its size.

    So a load that is no larger than that of now adds nothing, whatever ladder the other pool has.
    """
    proven, candidate, demand = serving.proven_replicas(past), serving.candidate, serving.demand
    asked = candidate.exactly_needed(demand.planned_rps, demand.lasting_rps)
    if not asked:
        return (proven * candidate.rps_per_replica,) * 2
    return demand.planned_rps * proven / asked, demand.lasting_rps * proven / asked


def _option(candidate: Candidate, ahead: _Ahead, far: Demand, needed: int, replicas: int, wanted: int) -> Option:
    return Option(
        candidate=candidate,
        demand=ahead.demand,
        far=far,
        needed=needed,
        replicas=replicas,
        wanted=wanted,
        hourly_cost=replicas * candidate.replica_hourly_cost,
        carried_rps=candidate.carried_rps(far.planned_rps),
        own_carried_rps=candidate.own_carried_rps(far.lasting_rps),
    )


def _needed(candidate: Candidate, ahead: _Ahead, growth: float = 1.0, share: float = 1.0) -> int:
    """Return the replicas that carry `growth` times a demand with no more cheaper answers than the mean accuracy allows.

    Where there is a ladder only `share` of it must be carried. And replicas are added for the mean accuracy only while what
    servers have saved would not last until more could be ready, were the load of now on as large as what is planned for.
    """
    rps, own_rps, rung = ahead.demand.planned_rps * growth, ahead.demand.own_rps * growth, candidate.rung
    if rung is None:
        return candidate.needed(rps, own_rps)
    needed = candidate.needed(rps * share, own_rps * share)
    if rung.allowed_share >= 1.0:
        return needed
    borne_rps = rps * share / bearable_multiple(rung, ahead.demand.horizon_seconds, ahead.saved_share)
    enough = candidate.needed(borne_rps, borne_rps)
    return replicas_within(rung, ahead.spread_rps, candidate.rps_per_replica / growth / share, needed, enough)


def best(listed: Sequence[Option]) -> Option:
    """Return the preferred one of at least one option, by the order above."""
    granted = max([option.candidate.wishes for option in listed])
    listed = [option for option in listed if option.candidate.wishes == granted]
    carried = max([option.carried_rps for option in listed]) * (1.0 - 1e-9)
    listed = [option for option in listed if option.carried_rps >= carried]
    own = max([option.own_carried_rps for option in listed]) * (1.0 - 1e-9)
    listed = [option for option in listed if option.own_carried_rps >= own]
    enough = min([option.hourly_cost for option in listed]) * (1.0 + NEAR_EQUAL_COST)
    return min([option for option in listed if option.hourly_cost <= enough], key=_taste)


def _taste(option: Option) -> tuple[float, int, float, str, str]:
    pool = option.candidate.pool
    return (-option.candidate.accuracy, option.replicas, option.hourly_cost, pool.placement, pool.variant)
