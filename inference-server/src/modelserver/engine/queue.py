"""The bounded queue of requests that wait for a batch. It lives on the event loop: there are no locks."""

from asyncio import Future
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from modelserver.engine.answers import CANCELLED, EXPIRED, Answered
from modelserver.engine.reflex import Place
from modelserver.errors import ClientGoneError, DeadlineExceededError, RequestError
from modelserver.tensors import InferRequest

_PLACES = 8
"""Of a long queue, so many are looked at."""


@dataclass(slots=True, eq=False)
class Job:
    """A request that waits or is being computed.

    Attributes:
        request: What to compute.
        rows: Of it.
        arrived: When, monotonic seconds.
        due: When the answer should be there; infinite when nobody said.
        deadline: When the answer is worthless; infinite when nobody said.
        priority: 0 first.
        variant: The only one that may answer; None for whichever the reflex takes.
        gone: Says whether nobody reads the answer any more; None when that cannot be known.
        reply: Gets the answer; None when nobody waits for it, in simulations.
        digest: Of the request, for the cache; None when there is none.
    """

    request: InferRequest
    rows: int
    arrived: float
    due: float = inf
    deadline: float = inf
    priority: int = 0
    variant: str | None = None
    gone: Callable[[], bool] | None = None
    reply: "Future[Answered] | None" = None
    digest: bytes | None = None

    def why_dead(self, now: float) -> str | None:
        """Return why it need not be computed any more; None when it must be."""
        if self.deadline <= now:
            return EXPIRED
        if (self.reply is not None and self.reply.done()) or (self.gone is not None and self.gone()):
            return CANCELLED
        return None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A job that left the queue without being computed.

    Attributes:
        job: It.
        reason: EXPIRED or CANCELLED.
    """

    job: Job
    reason: str

    def error(self, now: float) -> RequestError:
        """Return what its client is told."""
        waited = f"waited {1e3 * (now - self.job.arrived):.0f} ms"
        if self.reason == EXPIRED:
            allowed = 1e3 * (self.job.deadline - self.job.arrived)
            return DeadlineExceededError(
                f"timeout of {allowed:.0f} ms: the request {waited} and cannot be answered in time"
            )
        return ClientGoneError(f"the client hung up after the request {waited}")


class RowQueue:
    """Ordered by priority, then by when the answer is due, then by arrival.

    Args:
        capacity_rows: Rows that may wait. An empty queue takes any one request, so that a large one is not refused for ever.
            Whoever owns the queue may change it: what waits stays.
    """

    def __init__(self, capacity_rows: int) -> None:
        self.capacity_rows = capacity_rows
        self.rows = 0
        self._waiting: list[tuple[int, float, int, Job]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def head(self) -> Job:
        """Return the next job; there must be one."""
        return self._waiting[0][3]

    def fits(self, rows: int) -> bool:
        """Say whether so many more rows may wait."""
        return not self._waiting or self.rows + rows <= self.capacity_rows

    def put(self, job: Job) -> None:
        """Queue a job, whether it fits or not."""
        self._arrivals += 1
        entry = (job.priority, job.due, self._arrivals, job)
        if self._waiting and entry < self._waiting[-1]:
            insort(self._waiting, entry)
        else:
            self._waiting.append(entry)
        self.rows += job.rows

    def purge(self, now: float) -> list[Dropped]:
        """Take out what need not be computed any more."""
        return self.take_out(lambda job: job.why_dead(now))

    def purge_head(self, now: float) -> list[Dropped]:
        """Take out what need not be computed any more, up to the first job that must be."""
        dropped = []
        while self._waiting and (reason := self.head.why_dead(now)):
            dropped.append(Dropped(self.head, reason))
            self.rows -= self.head.rows
            del self._waiting[0]
        return dropped

    def take_out(self, why: Callable[[Job], str | None]) -> list[Dropped]:
        """Take out the jobs that there is a reason for."""
        kept, dropped = [], []
        for entry in self._waiting:
            reason = why(entry[3])
            if reason is None:
                kept.append(entry)
            else:
                dropped.append(Dropped(entry[3], reason))
                self.rows -= entry[3].rows
        self._waiting = kept
        return dropped

    def take(
        self, limit_rows: int, wanted: Callable[[Job], bool], now: float, hopeless_before: float
    ) -> tuple[list[Job], list[Dropped]]:
        """Take jobs in order, at most so many rows; the first wanted one whatever its size. Drop dead ones on the way.

        Args:
            limit_rows: Of all that is taken.
            wanted: Says whether a job may be in this batch; others stay.
            now: Monotonic seconds.
            hopeless_before: Jobs whose deadline is earlier are dropped: their answer would be too late.
        """
        taken: list[Job] = []
        dropped: list[Dropped] = []
        passed_over: list[tuple[int, float, int, Job]] = []
        rows = seen = 0
        for entry in self._waiting:
            job = entry[3]
            reason = EXPIRED if job.deadline < hopeless_before else job.why_dead(now)
            if reason is not None:
                dropped.append(Dropped(job, reason))
            elif not wanted(job):
                passed_over.append(entry)
            elif taken and rows + job.rows > limit_rows:
                break
            else:
                taken.append(job)
                rows += job.rows
            seen += 1
            if rows >= limit_rows:
                break
        self._waiting[:seen] = passed_over
        self.rows -= rows + sum(each.job.rows for each in dropped)
        return taken, dropped

    def places(self, now: float, hopeless_before: float) -> list[Place]:
        """Return places front to back, the last one that waits among them. Rows before a place are estimated.

        Args:
            now: Monotonic seconds.
            hopeless_before: Jobs whose deadline is earlier are passed over: nothing helps them, so nobody else has to pay.
        """
        count = len(self._waiting)
        if count == 0:
            return []
        step = max(1, (count - 1) // _PLACES)
        rows_each = self.rows / count
        indices = [*range(0, count - 1, step), count - 1]
        return [
            Place((index + 1) * rows_each, self._waiting[index][1] - now)
            for index in indices
            if self._waiting[index][3].deadline >= hopeless_before
        ]

    def clear(self) -> list[Job]:
        """Take everything out."""
        jobs = [entry[3] for entry in self._waiting]
        self._waiting, self.rows = [], 0
        return jobs
