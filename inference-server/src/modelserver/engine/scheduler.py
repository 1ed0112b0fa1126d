"""What runs next: queue, reflex, budget and costs in one place, told the time by whoever drives it, or simulates it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelserver.compute.executor import LoadedVariant
from modelserver.engine.accounts import Accounts
from modelserver.engine.answers import EXPIRED
from modelserver.engine.budget import Budget
from modelserver.engine.cost import CostModel
from modelserver.engine.ladder import Ladder
from modelserver.engine.queue import Dropped, Job, RowQueue
from modelserver.engine.rate import Rate
from modelserver.engine.reflex import Choice, Footing, Rung, Situation, choose, fastest
from modelserver.errors import InvalidRequestError, LoadError, NotFoundError, QueueFullError

_ARRIVALS_SECONDS = 1.0
"""Time constant of the arrival rate."""
_TRUSTED_SECONDS = 1.0
"""Without a batch for longer, nothing is shed because of what it is predicted to take: a wrong prediction must be found out."""

_PURGE_SECONDS = 0.05
"""A full queue is searched for the dead so often: all of it for each request that is refused would leave no time to answer."""


@dataclass(frozen=True)
class SchedulerSettings:
    """How requests wait.

    Attributes:
        max_queue_seconds: What waits may take to compute, as predicted; it bounds the wait, whatever the model.
        max_queue_rows: Rows that may wait, however quick; it bounds the memory.
        max_batch_rows: Rows per batch, whatever the warm-up found; None for what it found.
        max_delay_seconds: Longest wait for a fuller batch while a worker is free; 0 for none, as a rule the best.
        burst_seconds: For which the budget can hold enough to answer everything by the fastest variant.
    """

    max_queue_seconds: float = 5.0
    max_queue_rows: int = 8192
    max_batch_rows: int | None = None
    max_delay_seconds: float = 0.0
    burst_seconds: float = 60.0


@dataclass(slots=True, eq=False)
class Taken:
    """A batch that was taken from the queue.

    Attributes:
        variant: To compute it.
        jobs: In it.
        rows: Of them all.
        free_rows: Of those that the reflex decided on.
        accuracy: Of the variant; None when not known.
        degraded: Whether the variant is not the ladder's first.
        started: When, monotonic seconds.
        predicted_seconds: It should take.
    """

    variant: str
    jobs: list[Job]
    rows: int
    free_rows: int
    accuracy: float | None
    degraded: bool
    started: float
    predicted_seconds: float


@dataclass
class _Known:
    """A variant that some worker has loaded."""

    accuracy: float | None
    max_batch_rows: int


@dataclass
class Scheduler:
    """Takes jobs in and hands batches out.

    Attributes:
        settings: How requests wait.
        ladder: Which variants may answer.
        workers: That are ready, times the batches that each takes at once.
        queue: What waits.
        accounts: What has been served.
        budget: Of accuracy.
        costs: What batches take.
        footing: Where the reflex stands.
    """

    settings: SchedulerSettings
    ladder: Ladder
    workers: int = 1
    queue: RowQueue = field(init=False)
    accounts: Accounts = field(default_factory=Accounts)
    budget: Budget = field(default_factory=Budget)
    costs: CostModel = field(default_factory=lambda: CostModel({}))
    footing: Footing = field(default_factory=Footing)

    def __post_init__(self) -> None:
        self.queue = RowQueue(self.settings.max_queue_rows)
        self._known: dict[str, _Known] = {}
        self._arrivals = Rate(_ARRIVALS_SECONDS)
        self._running: set[Taken] = set()
        self._allowance_seconds = math.inf
        self._variant_taken: str | None = None
        self._purged_at = -math.inf

    def learn(self, loaded: Sequence[LoadedVariant]) -> None:
        """Learn of variants that a worker has loaded; the first worker's figures count."""
        for one in loaded:
            self.costs.add(one.variant, one.cost)
            self._known.setdefault(one.variant, _Known(one.accuracy, one.max_batch_rows))

    def forget(self, variant: str) -> None:
        """Forget a variant that was unloaded."""
        self._known.pop(variant, None)

    def use(self, ladder: Ladder, now: float) -> None:
        """Change the ladder; what the budget holds stays, and where the reflex stands when nothing but the overdraft changes.

        Args:
            ladder: Its variants that no worker has are passed over, but not all can be.
            now: Monotonic seconds.

        Raises:
            LoadError: When no worker has any of its variants.
            InvalidRequestError: When the floor cannot be kept, or an accuracy that it needs is not known.
        """
        self._check(ladder)
        if ladder.hash != self.ladder.hash:
            self.footing = Footing()
        self.ladder = ladder
        rungs = self.rungs(now)
        floor = None if ladder.min_mean_accuracy is None else float(ladder.min_mean_accuracy)
        self.budget = self._budget(floor, self._budget_size(rungs, floor))
        self._measure_room(now)

    def variants(self) -> list[str]:
        """Return the ladder's variants that can answer, most accurate first."""
        return [variant for variant in self.ladder.variants if variant in self._known]

    def serves(self, variant: str | None) -> bool:
        """Say whether a request that insists on a variant can be answered; None insists on none."""
        return variant is None or (variant in self._known and variant in self.ladder.variants)

    def variant_in_force(self) -> str:
        """Return the variant that the reflex took last."""
        variants = self.variants()
        return self._variant_taken if self._variant_taken in variants else variants[0]

    def rungs(self, now: float) -> list[Rung]:
        """Return the ladder as it is now."""
        return [self._rung(variant, now) for variant in self.variants()]

    def due(self, now: float, timeout_seconds: float | None) -> tuple[float, float]:
        """Return when an answer should be there, and from when on it is worthless."""
        if timeout_seconds is not None:
            return now + timeout_seconds, now + timeout_seconds
        latency = self.ladder.latency_seconds
        return (math.inf if latency is None else now + latency), math.inf

    def offer(self, job: Job, now: float) -> list[Dropped]:
        """Queue a job.

        Returns:
            What had to leave the queue for it: it was dead.

        Raises:
            NotFoundError: When it insists on a variant that cannot answer.
            QueueFullError: When there is no room.
        """
        if not self.serves(job.variant):
            raise NotFoundError(f"variant {job.variant!r}: expected one of {', '.join(self.variants())}")
        self._arrivals.add(job.rows, now)
        self._allowance_seconds = job.due - now
        dropped: list[Dropped] = []
        if not self.queue.fits(job.rows):
            self._measure_room(now)
            dropped = self.sweep(now) if now - self._purged_at >= _PURGE_SECONDS else []
            if not self.queue.fits(job.rows):
                self.accounts.pressed(job.rows, True, now)
                raise self._full(job.rows, now)
        self.queue.put(job)
        return dropped

    def wait_until(self, now: float) -> float:
        """Return when a free worker should take what is queued: now, but for a delay that was asked for."""
        delay = self.settings.max_delay_seconds
        if delay <= 0 or not self.queue:
            return now
        head = self.queue.head
        rung = self._rung(head.variant or self.variant_in_force(), now)
        if self.queue.rows >= rung.max_rows:
            return now
        latest = head.due - self.costs.margin * rung.cost.seconds(rung.max_rows)
        return max(now, min(head.arrived + delay, latest))

    def take(self, now: float) -> tuple[Taken | None, list[Dropped]]:
        """Take the next batch for a worker that is free: whatever is queued, up to the variant's largest batch.

        Returns:
            The batch, None when nothing is left to compute; and what was dropped as dead or hopeless.
        """
        dropped = self.queue.purge_head(now)
        while self.queue:
            taken, more = self._take(now)
            dropped += more
            if taken is not None:
                self._count(dropped, now)
                self._running.add(taken)
                return taken, dropped
        self._count(dropped, now)
        return None, dropped

    def done(self, taken: Taken, seconds: float, computed_seconds: float, now: float) -> None:
        """Note that a batch was answered.

        Args:
            taken: The batch.
            seconds: From hand-over to result.
            computed_seconds: Of them, in decode, predict and encode.
            now: Monotonic seconds.
        """
        self._running.discard(taken)
        self.costs.observe(taken.variant, taken.rows, seconds, computed_seconds, now)
        self._measure_room(now)
        self.accounts.answered(taken.variant, taken.rows)
        if not taken.free_rows:
            return
        self.accounts.decided(taken.free_rows, taken.accuracy, taken.degraded, now)
        change = self.budget.change(taken.accuracy, taken.free_rows)
        if change > 0:  # what is saved counts once it is answered, what is spent when it is decided
            self.budget = self.budget.changed(change)

    def lost(self, taken: Taken) -> None:
        """Note that a batch will not be answered."""
        self._running.discard(taken)
        change = self.budget.change(taken.accuracy, taken.free_rows)
        if change < 0:
            self.budget = self.budget.changed(-change)

    def sweep(self, now: float) -> list[Dropped]:
        """Take out of the queue what need not be computed any more."""
        self._purged_at = now
        return self._count(self.queue.purge(now), now)

    def drain_seconds(self, now: float) -> float:
        """Return how long what waits and what runs will take."""
        rung = self._rung(self.variant_in_force(), now)
        return (sum(self._busy_seconds(now)) + rung.drain_seconds(self.queue.rows)) / max(1, self.workers)

    def _take(self, now: float) -> tuple[Taken | None, list[Dropped]]:
        rungs = self.rungs(now)
        choice = self._choose(rungs, now)
        chosen = rungs[choice.index]
        insisted = self.queue.head.variant
        rung = chosen if insisted in (None, chosen.variant) else self._rung(insisted, now)
        takes_free = rung.variant == chosen.variant
        jobs, dropped = self.queue.take(
            rung.max_rows,
            lambda job: job.variant == rung.variant or (takes_free and job.variant is None),
            now,
            self._hopeless_before(rung, now),
        )
        if not jobs:
            return None, dropped
        return self._taken(rung, choice, jobs, now), dropped

    def _taken(self, rung: Rung, choice: Choice, jobs: list[Job], now: float) -> Taken:
        rows = sum(job.rows for job in jobs)
        free_rows = sum(job.rows for job in jobs if job.variant is None)
        degraded = rung.variant != self.variants()[0]
        if free_rows:
            self.footing, self._variant_taken = choice.footing, rung.variant
            self.accounts.pressed(free_rows, degraded or choice.starved, now)
            change = self.budget.change(rung.accuracy, free_rows)
            if change < 0:
                self.budget = self.budget.changed(change)
        return Taken(rung.variant, jobs, rows, free_rows, rung.accuracy, degraded, now, rung.cost.seconds(rows))

    def _choose(self, rungs: Sequence[Rung], now: float) -> Choice:
        if len(rungs) == 1:
            return Choice(0, self.footing, False)
        hopeless_before = self._hopeless_before(rungs[fastest(rungs)], now)
        situation = Situation(
            rows=self.queue.rows,
            places=self.queue.places(now, hopeless_before),
            arrivals_per_second=self._arrivals.per_second(now),
            allowance_seconds=self._allowance(hopeless_before - now),
            room_seconds=self.settings.max_queue_seconds,
            room_rows=self.settings.max_queue_rows,
            margin=self.costs.margin,
            others_busy_seconds=self._others_busy_seconds(now),
        )
        return choose(rungs, situation, self.budget, self.footing, now)

    def _allowance(self, least_seconds: float) -> float:
        """Return what those who arrive now are given: as the last one was, unless nothing can answer that in time."""
        if self._allowance_seconds >= least_seconds:
            return self._allowance_seconds
        objective = self.ladder.latency_seconds
        return math.inf if objective is None else objective

    def _hopeless_before(self, rung: Rung, now: float) -> float:
        """Return before when a deadline is not met by a rung's next batch; now, when that prediction was not checked lately."""
        is_trusted = now - self.costs.observed_at <= _TRUSTED_SECONDS
        return now + rung.cost.seconds(min(self.queue.rows, rung.max_rows)) if is_trusted else now

    def _measure_room(self, now: float) -> None:
        """Let as many rows wait as are computed within the bound, by the variant in force. At most one per batch: it costs."""
        rung = self._rung(self.variant_in_force(), now)
        room = rung.room_rows(self.settings.max_queue_seconds, max(1, self.workers))
        self.queue.capacity_rows = int(min(room, self.settings.max_queue_rows))

    def _busy_seconds(self, now: float) -> list[float]:
        return [max(0.0, taken.started + taken.predicted_seconds - now) for taken in self._running]

    def _others_busy_seconds(self, now: float) -> list[float]:
        busy = self._busy_seconds(now)[: self.workers - 1]
        return busy + [0.0] * (self.workers - 1 - len(busy))

    def _count(self, dropped: list[Dropped], now: float) -> list[Dropped]:
        for each in dropped:
            if each.reason == EXPIRED:
                self.accounts.pressed(each.job.rows, True, now)
        return dropped

    def _full(self, rows: int, now: float) -> QueueFullError:
        seconds = self.drain_seconds(now)
        error = QueueFullError(
            f"{self.queue.rows} rows wait, {seconds:.2g} s of work, and {rows} more were sent, expected at most "
            f"{self.queue.capacity_rows} waiting, {self.settings.max_queue_seconds:g} s of work; try again later"
        )
        error.retry_after_seconds = max(1, math.ceil(seconds))
        return error

    def _accuracy(self, ladder: Ladder, variant: str) -> float | None:
        stated = ladder.accuracies.get(variant)
        return self._known[variant].accuracy if stated is None else float(stated)

    def _rung(self, variant: str, now: float) -> Rung:
        cap = self._known[variant].max_batch_rows
        if self.settings.max_batch_rows is not None:
            cap = self.settings.max_batch_rows
        return Rung(variant, self._accuracy(self.ladder, variant), self.costs.line(variant, now), cap)

    def _check(self, ladder: Ladder) -> None:
        known = [variant for variant in ladder.variants if variant in self._known]
        if not known:
            raise LoadError(
                f"ladder {', '.join(ladder.variants)}: expected a variant that is loaded: {', '.join(self._known)}"
            )
        if ladder.min_mean_accuracy is None:
            return
        for variant in known:
            if self._accuracy(ladder, variant) is None:
                raise InvalidRequestError(
                    f"field 'accuracies': {variant!r} is missing, expected its accuracy, for the floor"
                )
        best = self._accuracy(ladder, known[0])
        if best is not None and best < float(ladder.min_mean_accuracy):
            raise InvalidRequestError(
                f"field 'minMeanAccuracy': {ladder.min_mean_accuracy}, expected at most {best:g}, that of {known[0]!r}"
            )

    def _budget(self, floor: float | None, most: float) -> Budget:
        """Return the budget under a floor, which may be overdrawn as far as the ladder says."""
        return self.budget.resized(floor, most, most * float(self.ladder.overdraft or 0))

    def _budget_size(self, rungs: Sequence[Rung], floor: float | None) -> float:
        quick = rungs[fastest(rungs)]
        if floor is None or quick.accuracy is None:
            return 0.0
        rows_per_second = self.workers * quick.max_rows / max(quick.cost.seconds(quick.max_rows), 1e-9)
        return max(0.0, floor - quick.accuracy) * rows_per_second * self.settings.burst_seconds
