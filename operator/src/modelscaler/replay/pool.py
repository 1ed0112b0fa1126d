"""A simulated pool: replicas that start, serve and stop, and the queue before them."""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats, PoolKey
from modelscaler.replay.batching import Speed

Arriving: TypeAlias = Ints | Floats
"""Arrivals in each slot; fractions where several pools share them."""

BURST_SECONDS = 600.0
"""How long a burst the budget of a pod can save for, at its usual rate."""

USUAL_SECONDS = 60.0
"""Over which the usual rate is an exponential mean."""


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
    """

    pool: PoolKey
    planned: Rung
    fast: Rung | None
    floor: float | None
    target_seconds: float
    queue_seconds: float
    replica_hourly_cost: float
    start_seconds: float


@dataclass(slots=True)
class Tally:
    """What happened to arrivals over some time, in requests; `busy_seconds` and `waiting_seconds` over all replicas.

    `late` are those that get an answer too late, `refused` those that get none; `degraded` were answered by the fast rung.
    `accuracy` is the sum over all answers.
    """

    offered: float = 0.0
    served: float = 0.0
    late: float = 0.0
    refused: float = 0.0
    degraded: float = 0.0
    accuracy: float = 0.0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        """Add another's figures."""
        for name in Tally.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class Pool:
    """A pool over time. `ready_at` has the time at which each replica is ready, inf for one that cannot start, ascending."""

    settings: PoolSettings
    ready_at: list[float] = field(default_factory=list)
    queued: float = 0.0
    saved: float = 0.0
    usual_rps: float = 0.0

    def ready(self, seconds: float) -> int:
        """Return how many replicas serve at a time."""
        return sum(at <= seconds for at in self.ready_at)

    def resize(self, replicas: int, seconds: float, startable: bool, start_seconds: float) -> None:
        """Ask for so many replicas. Those that are not ready yet go first, as a ReplicaSet has it.

        Args:
            replicas: How many shall be.
            seconds: The time.
            startable: Whether a new one finds a node.
            start_seconds: How long a new one takes.
        """
        while len(self.ready_at) > replicas:
            self.ready_at.pop()
        at = seconds + start_seconds if startable else float("inf")
        self.ready_at.extend([at] * (replicas - len(self.ready_at)))
        self.ready_at.sort()

    def advance(self, counts: Arriving, ready: int, slot_seconds: float) -> Tally:
        """Let requests arrive, slot by slot, while the replicas stay as they are.

        Args:
            counts: Arrivals in each slot; how they are spread over the replicas is not modelled: evenly.
            ready: Replicas that serve, one at least.
            slot_seconds: Length of a slot.
        """
        settings = self.settings
        calm = settings.planned.speed.calm_rps(settings.target_seconds) * ready * slot_seconds
        if self.queued <= 0.0 and calm and counts.max(initial=0) <= calm:
            return self._calmly(counts, ready, slot_seconds)
        tally = Tally()
        for count in counts.tolist():
            self._slot(tally, float(count), ready, slot_seconds)
        return tally

    def _calmly(self, counts: Arriving, ready: int, slot_seconds: float) -> Tally:
        """Advance where no batch of any slot is so large that somebody waits too long."""
        speed, offered, seconds = self.settings.planned.speed, float(counts.sum()), len(counts) * slot_seconds
        rps = offered / seconds / ready
        batch = min(speed.waiting(0.0, rps), speed.most)
        self._save(offered, self.settings.planned.accuracy, offered / seconds, seconds)
        return Tally(
            offered=offered,
            served=offered,
            accuracy=offered * self.settings.planned.accuracy,
            busy_seconds=_busy(speed, batch, rps) * ready * seconds,
            waiting_seconds=1.5 * speed.batch_seconds(batch) * offered,
        )

    def _slot(self, tally: Tally, count: float, ready: int, slot_seconds: float) -> None:
        """Advance by one slot."""
        settings = self.settings
        left, rps = self.queued / ready, count / slot_seconds / ready
        rung = settings.planned
        waiting = rung.speed.waiting(left, rps)
        late = rung.speed.late_share(waiting, settings.target_seconds)
        if late > 0.0 and settings.fast is not None:
            faster = settings.fast.speed.waiting(left, rps)
            if self._affords(
                settings.fast, min(self.queued + count, settings.fast.speed.served_rps(faster) * slot_seconds)
            ):
                rung, waiting = settings.fast, faster
                late = rung.speed.late_share(waiting, settings.target_seconds)
        rate = rung.speed.served_rps(waiting) * ready
        served = min(self.queued + count, rate * slot_seconds)
        self.queued += count - served
        longest = settings.queue_seconds * rung.speed.largest_rps * ready
        refused = max(self.queued - longest, 0.0)
        self.queued -= refused
        refused = min(refused, count)
        self._save(served, rung.accuracy, count / slot_seconds, slot_seconds)
        tally.offered += count
        tally.served += served
        tally.late += max(late * count - refused, 0.0)
        tally.refused += refused
        tally.degraded += served if rung is settings.fast else 0.0
        tally.accuracy += served * rung.accuracy
        tally.busy_seconds += (
            _busy(rung.speed, min(waiting, rung.speed.most), served / slot_seconds / ready) * ready * slot_seconds
        )
        tally.waiting_seconds += (self.queued * slot_seconds) + served * 1.5 * rung.speed.batch_seconds(
            min(waiting, rung.speed.most)
        )

    def _affords(self, rung: Rung, requests: float) -> bool:
        floor = self.settings.floor
        return floor is None or self.saved + requests * (rung.accuracy - floor) >= 0.0

    def _save(self, requests: float, accuracy: float, rps: float, seconds: float) -> None:
        """Put what is above the floor into the budget, or take out what is below it."""
        settings = self.settings
        if settings.fast is None or settings.floor is None:
            return
        self.usual_rps += (rps - self.usual_rps) * min(seconds / USUAL_SECONDS, 1.0)
        most = max(settings.floor - settings.fast.accuracy, 0.0) * self.usual_rps * BURST_SECONDS
        self.saved = min(self.saved + requests * (accuracy - settings.floor), most)


def _busy(speed: Speed, batch: float, rps: float) -> float:
    """Return the share of time that a replica computes, at so many requests a second in batches of such a size."""
    return min(rps / batch * speed.batch_seconds(batch), 1.0)


def refused(counts: Arriving) -> Tally:
    """Return the tally of arrivals that nobody is there to take."""
    offered = float(np.sum(counts))
    return Tally(offered=offered, refused=offered)
