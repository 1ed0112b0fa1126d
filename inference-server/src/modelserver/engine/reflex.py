"""Which variant computes the next batch: the most accurate one that leaves everyone in time. Pure.

The rule and its simulation are in POLICY section 1: for n rows at hand, of all that wait, the most accurate variant v with
m * tau_v(n) within the oldest slack, and with what is left behind, and what arrives meanwhile, still served in time by the
fastest one; if there is none, the fastest. What makes answers worse must be afforded by the budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from modelserver.engine.budget import Budget
from modelserver.timing import LinearCost

UP_MARGIN = 1.15
"""A more accurate variant than the last must meet the rule with this much to spare."""
DWELL_SECONDS = 0.25
"""For so long the last variant must not have been needed before a more accurate one is taken: no flapping per batch."""
LEFT_BEHIND_SHARE = 0.8
"""Of their time that those left behind are planned to wait: several batches in a row take longer when the machine stalls."""
ROOM_SHARE = 0.9
"""Of the queue: rows beyond it are taken for refused."""


@dataclass(frozen=True)
class Rung:
    """A variant of the ladder, as it is now.

    Attributes:
        variant: Its name.
        accuracy: 0 to 1; None when not known.
        cost: Seconds of a batch by rows, corrected by what batches really take.
        max_rows: Of a batch.
    """

    variant: str
    accuracy: float | None
    cost: LinearCost
    max_rows: int

    def drain_seconds(self, rows: float) -> float:
        """Return one worker's time for a backlog: in full batches, the last one counted by its share."""
        if rows <= 0:
            return 0.0
        return self.cost.per_request_seconds * rows + self.cost.overhead_seconds * max(1.0, rows / self.max_rows)

    def room_rows(self, seconds: float, workers: int) -> float:
        """Return the largest backlog that workers drain in some time: a batch for each at least, however long that takes."""
        batches = workers * seconds / max(self.cost.seconds(self.max_rows), 1e-9)
        return self.max_rows * max(batches, workers)


@dataclass(frozen=True)
class Place:
    """A place in the queue.

    Attributes:
        rows: Waiting up to and including it.
        slack_seconds: Until whoever waits there must have an answer; infinite when nobody said.
    """

    rows: float
    slack_seconds: float


@dataclass(frozen=True)
class Situation:
    """What is known when a worker is free.

    Attributes:
        rows: Waiting.
        places: Of the queue, front to back, the first one included; a sample when the queue is long.
        arrivals_per_second: Rows, lately.
        allowance_seconds: What those who arrive now are given until they must have an answer; infinite for no limit.
        room_seconds: What waits may take to compute by the rung in force; beyond that, requests are refused.
        room_rows: That the queue holds at most, however quick they are.
        margin: m, by how many times a batch may exceed its predicted time.
        others_busy_seconds: Of each other worker, until it is free.
    """

    rows: int
    places: Sequence[Place]
    arrivals_per_second: float
    allowance_seconds: float
    room_seconds: float
    room_rows: int
    margin: float
    others_busy_seconds: Sequence[float] = ()


@dataclass(frozen=True)
class Footing:
    """Where the reflex stands.

    Attributes:
        index: Of the rung that was last wanted.
        needed_at: When the rule last asked for that one, or a faster one.
    """

    index: int = 0
    needed_at: float = -inf


@dataclass(frozen=True)
class Choice:
    """What the reflex decided.

    Attributes:
        index: Of the rung to take.
        footing: Where it stands from now on.
        starved: Whether it wanted a faster rung than the budget allows.
    """

    index: int
    footing: Footing
    starved: bool


def fastest(rungs: Sequence[Rung]) -> int:
    """Return the index of the rung that computes most rows per second."""
    return min(
        range(len(rungs)), key=lambda index: rungs[index].drain_seconds(rungs[index].max_rows) / rungs[index].max_rows
    )


def is_in_time(rung: Rung, fast: Rung, situation: Situation, margin: float) -> bool:
    """Say whether everyone gets an answer in time when this rung takes the next batch, and the fastest all others.

    Args:
        rung: For the next batch.
        fast: For what is left behind.
        situation: Now.
        margin: For both; those left behind get LEFT_BEHIND_SHARE of their time.
    """
    taken = min(situation.rows, rung.max_rows)
    seconds = rung.cost.seconds(taken)
    arriving = situation.arrivals_per_second * seconds
    hurried = margin / LEFT_BEHIND_SHARE
    for place in situation.places:
        if place.rows <= taken or place is situation.places[0]:
            if margin * seconds > place.slack_seconds:
                return False
        elif hurried * _finish_seconds(seconds, place.rows - taken, fast, situation) > place.slack_seconds:
            return False
    if situation.allowance_seconds == inf:
        return True
    left = situation.rows - taken + arriving
    room = min(situation.room_rows, rung.room_rows(situation.room_seconds, 1 + len(situation.others_busy_seconds)))
    return (
        left <= ROOM_SHARE * room
        and hurried * _finish_seconds(seconds, left, fast, situation) <= situation.allowance_seconds
    )


def choose(rungs: Sequence[Rung], situation: Situation, budget: Budget, footing: Footing, now: float) -> Choice:
    """Choose the rung for the next batch.

    Args:
        rungs: Most accurate first, at least one.
        situation: Now.
        budget: Of accuracy.
        footing: Where the last choice left it.
        now: Monotonic seconds.
    """
    if len(rungs) == 1:
        return Choice(0, Footing(0, now), False)
    footing = _next_footing(rungs, situation, footing, now)
    affordable = [index for index, rung in enumerate(rungs) if _is_affordable(rung, situation, budget)] or [0]
    if footing.index in affordable:
        return Choice(footing.index, footing, False)
    best = fastest([rungs[index] for index in affordable])
    return Choice(affordable[best], footing, True)


def _next_footing(rungs: Sequence[Rung], situation: Situation, footing: Footing, now: float) -> Footing:
    """Go down at once; up only with a margin, and when the present rung has not been needed for a while."""
    last = min(footing.index, len(rungs) - 1)
    needed = _most_accurate(rungs, situation, situation.margin)
    if needed >= last:
        return Footing(needed, now)
    if now - footing.needed_at >= DWELL_SECONDS:
        return Footing(min(last, _most_accurate(rungs, situation, UP_MARGIN * situation.margin)), footing.needed_at)
    return Footing(last, footing.needed_at)


def _most_accurate(rungs: Sequence[Rung], situation: Situation, margin: float) -> int:
    quickest = fastest(rungs)
    for index, rung in enumerate(rungs):
        if is_in_time(rung, rungs[quickest], situation, margin):
            return index
    return quickest


def _is_affordable(rung: Rung, situation: Situation, budget: Budget) -> bool:
    return budget.allows(rung.accuracy, min(situation.rows, rung.max_rows))


def _finish_seconds(seconds: float, rows: float, fast: Rung, situation: Situation) -> float:
    """Return when the fastest rung will have served what is left behind, all workers sharing it.

    Args:
        seconds: Of the batch that is about to start.
        rows: Left behind.
        fast: The fastest rung.
        situation: Now.
    """
    others = situation.others_busy_seconds
    shared = (seconds + sum(others) + fast.drain_seconds(rows)) / (1 + len(others))
    return max(shared, min(seconds, *others, inf) + fast.cost.seconds(min(rows, fast.max_rows)))
