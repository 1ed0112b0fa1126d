"""What a decision remembers."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelscaler.api.words import DecisionReason
from modelscaler.domain.keys import PoolKey


@dataclass(frozen=True, slots=True)
class Outage:
    """A pool that could not start: left alone until `until`."""

    pool: PoolKey
    until: datetime
    failures: int
    reason: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A make-before-break switch under way towards `target`; `reason` is why it began, None where nobody knows."""

    target: PoolKey
    started_at: datetime
    reason: DecisionReason | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """A pool beside the serving one, which a route shares requests with."""

    pool: PoolKey
    started_at: datetime


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What a decision must remember; it lives in the ModelDeployment's status, so it survives a restart.

    `recommendations` and `changes` are (time, replicas) and (time, change), oldest first. `cheaper_since` is when another
    choice started to be cheaper than the serving one, None when none is. `accelerator_wanted_since` is when it began to want
    a shared accelerator, or to hold one if it had not waited; `accelerator_held_since` when it got one; None: neither.
    `mix_better_since` is when another division between two pools started to be cheaper. `side` is the pool beside the serving
    one, None when there is none, and `side_recommendations` how many replicas of whichever of the two starts sooner would
    have carried all of the load. `quiet_since` is since when nobody has asked, nor been expected to; None: somebody does, or
    may.
    """

    active: PoolKey | None = None
    switch: Switch | None = None
    outages: tuple[Outage, ...] = ()
    recommendations: tuple[tuple[datetime, int], ...] = ()
    changes: tuple[tuple[datetime, int], ...] = ()
    missing_ticks: int = 0
    cheaper_since: datetime | None = None
    planned_generation: int = 0
    accelerator_wanted_since: datetime | None = None
    accelerator_held_since: datetime | None = None
    side: Side | None = None
    side_recommendations: tuple[tuple[datetime, int], ...] = ()
    mix_better_since: datetime | None = None
    quiet_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Savings:
    """What answers saved of accuracy above the floor for their mean, less what was below it; `at`: up to when.

    One unit is one answer, one whole unit of accuracy. It is below 0 when answers were worse than the floor.
    """

    balance: float
    at: datetime


def is_out(state: PolicyState, pool: PoolKey, now: datetime) -> bool:
    """Tell whether a pool is still left alone after failing to start."""
    return any(outage.pool == pool and outage.until > now for outage in state.outages)


def backoff(failures: int) -> timedelta:
    """Return how long a pool that failed `failures` times in a row is left alone: 30 s doubling to 10 minutes."""
    return timedelta(seconds=min(30.0 * 2 ** min(max(failures, 1) - 1, 6), 600.0))
