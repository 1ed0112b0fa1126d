"""A server on a logical clock: the scheduler of the engine, workers that take as long as a line says, Poisson arrivals."""

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from modelserver.compute.executor import LoadedVariant
from modelserver.engine.ladder import Ladder
from modelserver.engine.queue import Job
from modelserver.engine.scheduler import Scheduler, SchedulerSettings, Taken
from modelserver.errors import QueueFullError
from modelserver_fakes import loaded_variant, numbers_request

ONE_ROW = numbers_request(1)
FULL = loaded_variant("full", 0.99, per_row_seconds=0.001, overhead_seconds=0.002, max_batch_rows=16)
FAST = loaded_variant("int8", 0.97, per_row_seconds=0.0004, overhead_seconds=0.0008, max_batch_rows=16)
FULL_CAPACITY = 16 / FULL.cost.seconds(16)
"""Rows per second of one worker."""


@dataclass(frozen=True)
class Phase:
    """Seconds at a rate of arrivals."""

    seconds: float
    rows_per_second: float


@dataclass
class Outcome:
    """What became of the requests.

    Attributes:
        arrivals: When each arrived, from 0.
        answered: Arrival -> when, and by which variant.
        lost: Arrivals that were refused or dropped.
        batches: When each started, its variant and its rows.
        lowest_budget: That was ever held.
    """

    arrivals: list[float] = field(default_factory=list)
    answered: dict[int, tuple[float, str]] = field(default_factory=dict)
    lost: Counter[int] = field(default_factory=Counter)
    batches: list[tuple[float, str, int]] = field(default_factory=list)
    lowest_budget: float = 0.0

    def violations(self, timeout_seconds: float) -> float:
        """Return the share of requests without an answer in time."""
        in_time = sum(at - self.arrivals[which] <= timeout_seconds for which, (at, _) in self.answered.items())
        return 1.0 - in_time / len(self.arrivals)

    def degraded_share(self, start: float, end: float) -> float:
        """Return the share of the rows of batches started in a time that a lesser variant than `full` got."""
        rows = [(variant, rows) for at, variant, rows in self.batches if start <= at < end]
        return sum(count for variant, count in rows if variant != "full") / max(1, sum(count for _, count in rows))

    def mean_accuracy(self) -> float:
        accuracies = {"full": FULL.accuracy, "int8": FAST.accuracy}
        return sum(accuracies[variant] or 0.0 for _, variant in self.answered.values()) / len(self.answered)


@dataclass
class Simulation:
    """Runs phases of load through a scheduler.

    Attributes:
        ladder: In force.
        variants: That are loaded.
        workers: How many.
        timeout_seconds: Of every request; None: the ladder says when an answer is due.
        noise: Coefficient of variation of what batches take, lognormal.
        seed: Of arrivals and noise.
        max_queue_rows: See `SchedulerSettings`.
    """

    ladder: Ladder
    variants: Sequence[LoadedVariant] = (FULL, FAST)
    workers: int = 1
    timeout_seconds: float | None = 0.3
    noise: float = 0.15
    seed: int = 7
    max_queue_rows: int = 512

    def run(self, phases: Sequence[Phase]) -> Outcome:
        """Serve Poisson arrivals at the rates of the phases."""
        return self.serve(_arrivals(phases, np.random.default_rng(self.seed)))

    def serve(self, arrivals: list[float]) -> Outcome:
        """Serve requests that arrive at these times, ascending."""
        self._random = np.random.default_rng(self.seed + 1)
        self._costs = {one.variant: one.cost for one in self.variants}
        self._scheduler = Scheduler(SchedulerSettings(self.max_queue_rows), self.ladder, self.workers)
        self._scheduler.learn(self.variants)
        self._scheduler.use(self.ladder, 0.0)
        self._outcome = Outcome(arrivals=arrivals)
        self._numbers: dict[Job, int] = {}
        self._free = self.workers
        self._running: list[tuple[float, int, Taken]] = []
        for number, now in enumerate(self._outcome.arrivals):
            self._finish_until(now)
            self._arrive(number, now)
            self._start(now)
        self._finish_until(math.inf)
        return self._outcome

    def _arrive(self, number: int, now: float) -> None:
        due, deadline = self._scheduler.due(now, self.timeout_seconds)
        job = Job(ONE_ROW, 1, now, due, deadline)
        self._numbers[job] = number
        try:
            dropped = self._scheduler.offer(job, now)
        except QueueFullError:
            self._outcome.lost[number] += 1
        else:
            self._outcome.lost.update(self._numbers[each.job] for each in dropped)

    def _start(self, now: float) -> None:
        while self._free:
            taken, dropped = self._scheduler.take(now)
            self._outcome.lost.update(self._numbers[each.job] for each in dropped)
            if taken is None:
                return
            self._free -= 1
            self._outcome.lowest_budget = min(self._outcome.lowest_budget, self._scheduler.budget.held)
            self._outcome.batches.append((now, taken.variant, taken.rows))
            seconds = self._costs[taken.variant].seconds(taken.rows) * self._disturbance()
            heapq.heappush(self._running, (now + seconds, len(self._outcome.batches), taken))

    def _disturbance(self) -> float:
        sigma = math.sqrt(math.log(1 + self.noise**2))
        return float(self._random.lognormal(-(sigma**2) / 2, sigma))

    def _finish_until(self, limit: float) -> None:
        while self._running and self._running[0][0] <= limit:
            now, _, taken = heapq.heappop(self._running)
            self._free += 1
            seconds = now - taken.started
            self._scheduler.done(taken, seconds, seconds, now)
            for job in taken.jobs:
                number = self._numbers[job]
                if number in self._outcome.answered:
                    raise AssertionError(f"request {number} was answered twice")
                self._outcome.answered[number] = (now, taken.variant)
            self._start(now)


def _arrivals(phases: Sequence[Phase], random: np.random.Generator) -> list[float]:
    times: list[float] = []
    start = 0.0
    for phase in phases:
        count = int(random.poisson(phase.seconds * phase.rows_per_second))
        times += sorted(start + phase.seconds * random.random(count))
        start += phase.seconds
    return times
