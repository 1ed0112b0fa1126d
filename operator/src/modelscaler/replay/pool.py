"""A simulated pool: replicas that start, serve and stop, and the queue before them.

The reflex is that of `modelserver/engine/`: for as long as the planned rung would be late, and DWELL_SECONDS more, the fast one
answers, while the budget lasts. Against the server's own scheduler over every single request (three shapes of batches, 60 to
180 % of the planned rung's throughput and bursts, four replicas) late shares agree within 0.4 points in all of 72 cases, shares
of fast answers within a quarter or two points in 66; the server turns to the fast rung somewhat earlier where batches are long.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats, PoolKey
from modelscaler.planner.savings import lent_to, most_of
from modelscaler.planner.starts import STARTS_KEPT, usual_start
from modelscaler.replay.batching import SELDOM, Speed, Stay, calm_rps

LADDER_SECONDS = 60.0
"""So long it takes until servers that run read a changed ladder: kubelet looks about once a minute."""

DWELL_SECONDS = 0.25
"""For so long the server stays with a cheaper variant once it has needed it (`modelserver/engine/reflex.py`)."""


class Arriving(NamedTuple):
    """Arrivals in each slot of a step, all of them together and the most in one; fractions where several pools share them."""

    counts: Sequence[float]
    total: float
    largest: float

    @classmethod
    def of(cls, counts: Ints | Floats) -> Self:
        """Return the arrivals, shape (slots,), one slot at least."""
        return cls(counts.tolist(), float(counts.sum()), float(counts.max()))

    def shared(self, share: float) -> "Arriving":
        """Return a share of the arrivals."""
        return self if share == 1.0 else Arriving.of(np.multiply(self.counts, share, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Rung:
    """A variant of the ladder."""

    speed: Speed
    accuracy: float


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What does not change of a pool.

    Attributes:
        pool: Which.
        planned: The variant that answers while it can.
        fast: The fastest rung of the ladder; None: there is no reflex.
        floor: Mean accuracy that the reflex keeps; None: none.
        target_seconds: Latency objective.
        queue_seconds: Longest queue, in seconds of work; what comes on top of it is refused.
        replica_hourly_cost: Price of a replica, from asked for to gone.
        start_seconds: From asked for to ready.
        most_saved: What one replica can save at most.
    """

    pool: PoolKey
    planned: Rung
    fast: Rung | None
    floor: float | None
    target_seconds: float
    queue_seconds: float
    replica_hourly_cost: float
    start_seconds: float
    most_saved: float = field(init=False)

    def __post_init__(self) -> None:
        most = 0.0
        if self.fast is not None and self.floor is not None:
            most = most_of(self.floor, self.planned.accuracy, self.fast.accuracy, self.fast.speed.largest_rps)
        object.__setattr__(self, "most_saved", most)


@dataclass(slots=True)
class Tally:
    """What happened to arrivals over some time, in requests; `busy_seconds` and `waiting_seconds` over all replicas.

    `late` are those that get an answer too late, `refused` those that get none; `degraded` were answered by the fast rung.
    `accuracy` is the sum over all answers, `lost_accuracy` what that would be more had the planned variant given them all.
    """

    offered: float = 0.0
    served: float = 0.0
    late: float = 0.0
    refused: float = 0.0
    degraded: float = 0.0
    accuracy: float = 0.0
    lost_accuracy: float = 0.0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        """Add another's figures."""
        self.offered += other.offered
        self.served += other.served
        self.late += other.late
        self.refused += other.refused
        self.degraded += other.degraded
        self.accuracy += other.accuracy
        self.lost_accuracy += other.lost_accuracy
        self.busy_seconds += other.busy_seconds
        self.waiting_seconds += other.waiting_seconds


@dataclass(slots=True)
class Pool:
    """A pool over time.

    Attributes:
        settings: What does not change.
        ready_at: When each replica is ready, inf for one that cannot start, ascending.
        queued: Requests that wait, at all replicas together, at the moments when batches start.
        saved: What better answers than the floor have saved for worse ones, at all replicas together; below 0: overdrawn.
        serving: Replicas that served when it was last advanced: what those have saved that are gone is gone.
        asked_at: When each was asked for, in the same order.
        overdraft: By how many times its size one that is ready from now on may overdraw its budget; None: nobody has said so.
        overdrawable: How far all of them together may, as far as they have heard of it.
        took_seconds: How long the last ones took from asked for to ready, waiting for a node included, up to `noted_at`.
    """

    settings: PoolSettings
    ready_at: list[float] = field(default_factory=list)
    queued: float = 0.0
    saved: float = 0.0
    serving: int = 0
    asked_at: list[float] = field(default_factory=list)
    overdraft: float | None = None
    overdrawable: float = 0.0
    took_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=STARTS_KEPT))
    noted_at: float = 0.0
    _told: deque[tuple[float, float]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        """Take the first replicas as asked for when they are ready."""
        self.asked_at = self.asked_at or list(self.ready_at)

    def ready(self, seconds: float) -> int:
        """Return how many replicas serve at a time."""
        return bisect_right(self.ready_at, seconds)

    @property
    def budgets(self) -> float | None:
        """Return how full the budgets of accuracy are, added up over the replicas; None where there are none."""
        return self.saved / self.settings.most_saved if self.settings.most_saved else None

    @property
    def most_held(self) -> float:
        """What budgets hold that are full: what they count as while nobody says how full they are."""
        return self.serving * self.settings.most_saved

    def unschedulable(self) -> int:
        """Return how many replicas no node has room for."""
        return len(self.ready_at) - bisect_left(self.ready_at, float("inf"))

    def usual_start_seconds(self, seconds: float) -> float | None:
        """Return how long replicas usually took by now, as the operator measures it; None: none has started yet."""
        new = slice(bisect_right(self.ready_at, self.noted_at), bisect_right(self.ready_at, seconds))
        self.took_seconds.extend(at - asked for at, asked in zip(self.ready_at[new], self.asked_at[new], strict=True))
        self.noted_at = seconds
        return usual_start(self.took_seconds)

    def unready_seconds(self, seconds: float) -> float:
        """Return for how long the oldest replica that is not ready has been asked for at a time; 0 when all are ready."""
        return seconds - min(self.asked_at[self.ready(seconds) :], default=seconds)

    def lent_to(self, seconds: float, start_seconds: float) -> int:
        """Return among how many replicas an overdraft is divided, as the operator does it; those without a node begin anew."""
        ready, waiting = self.ready(seconds), self.unschedulable()
        ages = [seconds - asked for asked in self.asked_at[ready : len(self.ready_at) - waiting]]
        return lent_to(ready, (*ages, *[0.0] * waiting), start_seconds)

    def tell(self, overdraft: float, seconds: float) -> None:
        """Say how far replicas may overdraw their budgets: those that run hear of it LADDER_SECONDS later."""
        if overdraft != self.overdraft:
            self.overdraft = overdraft
            self._told.append((seconds + LADDER_SECONDS, overdraft))
        while self._told and self._told[0][0] <= seconds:
            self.overdrawable = self._told.popleft()[1] * self.serving * self.settings.most_saved

    def resize(self, replicas: int, seconds: float, startable: int, start_seconds: float) -> None:
        """Ask for so many replicas. Those that are not ready yet go first, as a ReplicaSet has it.

        Args:
            replicas: How many shall be.
            seconds: The time.
            startable: How many new ones find a node.
            start_seconds: How long a new one takes.
        """
        del self.ready_at[replicas:], self.asked_at[replicas:]
        new = replicas - len(self.ready_at)
        self.ready_at.extend([float("inf")] * new)
        self.asked_at.extend([seconds] * new)
        self.start(min(new, startable), seconds + start_seconds)

    def start(self, replicas: int, ready_at: float) -> None:
        """Start so many of the replicas that could not start, the oldest first; they are ready then."""
        first = len(self.ready_at) - self.unschedulable()
        self.ready_at[first : first + replicas] = [ready_at] * replicas
        pairs = sorted(zip(self.ready_at, self.asked_at, strict=True))
        self.ready_at, self.asked_at = [at for at, _ in pairs], [asked for _, asked in pairs]

    def advance(self, arriving: Arriving, ready: int, slot_seconds: float) -> Tally:
        """Let requests arrive, slot by slot, while the replicas stay as they are.

        Args:
            arriving: Arrivals in each slot; they go to the replicas in turn.
            ready: Replicas that serve, one at least.
            slot_seconds: Length of a slot.
        """
        if ready != self.serving:
            self._handed_over(ready)
        settings = self.settings
        speed = settings.planned.speed
        calm = calm_rps(speed, settings.target_seconds, 1.0 / ready, slot_seconds)
        if arriving.largest <= calm * ready * slot_seconds and self.queued <= speed.steady_waiting(calm) * ready:
            return self._calmly(arriving, ready, slot_seconds)
        tally = Tally()
        for count in arriving.counts:
            self._slot(tally, float(count), ready, slot_seconds)
        return tally

    def _handed_over(self, ready: int) -> None:
        """Take away what those have saved that are gone; those that are new begin with nothing, and what they may overdraw."""
        if ready < self.serving:
            self.saved *= ready / self.serving
            self.overdrawable *= ready / self.serving
        self.overdrawable += max(ready - self.serving, 0) * (self.overdraft or 0.0) * self.settings.most_saved
        self.serving = ready

    def _calmly(self, arriving: Arriving, ready: int, slot_seconds: float) -> Tally:
        """Advance where no batch of any slot is so large that somebody waits too long."""
        speed, offered, seconds = self.settings.planned.speed, arriving.total, len(arriving.counts) * slot_seconds
        rps = offered / seconds / ready
        waiting = speed.steady_waiting(rps)
        served = offered + self.queued - waiting * ready
        self.queued = waiting * ready
        tally = Tally(offered=offered)
        self._answered(tally, self.settings.planned, served, waiting, ready, seconds)
        return tally

    def _slot(self, tally: Tally, count: float, ready: int, slot_seconds: float) -> None:
        """Advance by one slot: for a part of it the fast rung answers, as far as it is needed and can be afforded."""
        settings, fast = self.settings, self.settings.fast
        target, rps, before = settings.target_seconds, count / slot_seconds / ready, self.queued / ready
        after, waiting, stay = _moved(settings.planned.speed, before, rps, 1.0 / ready, slot_seconds)
        late, part = stay.late_share(target), 0.0
        exact = max(count + (before - after) * ready, 0.0)
        if fast is not None and late > SELDOM:
            quick, _, soon = _moved(fast.speed, before, rps, 1.0 / ready, slot_seconds)
            rough = max(count + (before - quick) * ready, 0.0)
            wanted = _dwelling(stay.pressed_share(target), stay.batch_seconds)
            part = min(wanted, self._affordable(fast, exact, rough))
            eased = part / wanted if wanted > 0.0 else 0.0
            late = (1.0 - eased) * late + eased * part * soon.late_share(target)
            self._answered(tally, fast, part * rough, waiting, ready, part * slot_seconds)
            tally.degraded += part * rough
            tally.lost_accuracy += part * rough * (settings.planned.accuracy - fast.accuracy)
            after += part * (quick - after)
        self._answered(tally, settings.planned, (1.0 - part) * exact, waiting, ready, (1.0 - part) * slot_seconds)
        quickest = fast if fast is not None and part > 0.0 else settings.planned
        longest = settings.queue_seconds * quickest.speed.largest_rps * ready
        turned_away = min(max(after * ready - longest, 0.0), count)
        self.queued = max(after * ready - turned_away, 0.0)
        tally.offered += count
        tally.late += max(late * count - turned_away, 0.0)
        tally.refused += turned_away

    def _answered(self, tally: Tally, rung: Rung, served: float, waiting: float, ready: int, seconds: float) -> None:
        """Note answers by one rung, and what they took, while so many wait at each replica."""
        if seconds <= 0.0:
            return
        batch = min(max(waiting, 1.0), rung.speed.most)
        took = rung.speed.batch_seconds(batch)
        busy = min(served / batch * took / (ready * seconds), 1.0)
        tally.served += served
        tally.accuracy += served * rung.accuracy
        tally.busy_seconds += busy * ready * seconds
        tally.waiting_seconds += served * (1.0 + 0.5 * busy) * took + max(waiting - batch, 0.0) * ready * seconds
        self._save(served, rung.accuracy)

    def _affordable(self, fast: Rung, exact: float, rough: float) -> float:
        """Return for what part of a slot the fast rung may answer.

        Args:
            fast: The rung.
            exact: Answers by the planned rung, if all were by it.
            rough: By the fast one.
        """
        floor = self.settings.floor
        if floor is None or fast.accuracy >= floor or rough <= 0.0:
            return 1.0
        gain, loss = exact * max(self.settings.planned.accuracy - floor, 0.0), rough * (floor - fast.accuracy)
        return min(max((self.saved + self.overdrawable + gain) / (gain + loss), 0.0), 1.0)

    def _save(self, requests: float, accuracy: float) -> None:
        """Put what is above the floor into the budget, or take out what is below it."""
        fast, floor = self.settings.fast, self.settings.floor
        if fast is None or floor is None:
            return
        self.saved = min(self.saved + requests * (accuracy - floor), self.serving * self.settings.most_saved)


def _moved(
    speed: Speed, before: float, rps: float, dispersion: float, slot_seconds: float
) -> tuple[float, float, Stay]:
    """Return what waits after a slot, what waits for most of it, and how long those who arrive in it stay."""
    after = speed.after(before, rps, dispersion, slot_seconds)
    if after > speed.most:
        waiting = (before + after) / 2.0
    else:
        spare = 1.0 - min(rps * speed.per_request_seconds, 0.999)
        waiting = after + (before - after) / (2.0 + slot_seconds * spare / speed.batch_seconds(max(after, 1.0)))
    return after, waiting, speed.stay(waiting, rps, dispersion, slot_seconds)


def _dwelling(pressed: float, batch_seconds: float) -> float:
    """Return for what share of the time the fast rung answers, when it is needed for a share of the batches."""
    return float(1.0 - (1.0 - pressed) ** max(DWELL_SECONDS / batch_seconds, 1.0))


def refused(arriving: Arriving) -> Tally:
    """Return the tally of arrivals that nobody is there to take."""
    return Tally(offered=arriving.total, refused=arriving.total)
