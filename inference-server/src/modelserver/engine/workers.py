"""A worker's life as its engine sees it."""

import asyncio
from dataclasses import dataclass, field

from modelserver.compute.executor import Executor, ExecutorLostError, Loaded
from modelserver.engine.scheduler import Taken


@dataclass(frozen=True)
class RestartSettings:
    """How a worker that is gone is started again.

    Attributes:
        first_delay_seconds: Before the first start; doubled before each further one that fails.
        longest_delay_seconds: Before any start.
        healthy_seconds: After so long without a loss, the delay starts from the first again.
        max_failures: Starts that may fail in a row; then the engine counts as failed, though it keeps trying.
    """

    first_delay_seconds: float = 0.05
    longest_delay_seconds: float = 10.0
    healthy_seconds: float = 30.0
    max_failures: int = 5

    def delay_seconds(self, losses: int) -> float:
        """Return the wait before a start.

        Args:
            losses: In a row, starts that failed included, at least 1.
        """
        return min(self.longest_delay_seconds, self.first_delay_seconds * 2.0 ** min(losses - 1, 30))


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(eq=False)
class Worker:
    """An executor, and what it is doing.

    Attributes:
        number: From 0.
        executor: That computes.
        loaded: What it said when it was ready; None while it is not.
        resumed: Clear while it takes no new batches, because it loads a variant.
        running: Batch -> when it was handed over.
        idle: Its slots that wait for work.
        memory_bytes: Its resident memory after its last batch.
        losses: In a row.
        failed_starts: In a row.
        ready_at: When it last became ready.
    """

    number: int
    executor: Executor
    loaded: Loaded | None = None
    resumed: asyncio.Event = field(default_factory=_set_event)
    running: dict[Taken, float] = field(default_factory=dict)
    idle: set["asyncio.Task[None]"] = field(default_factory=set)
    memory_bytes: int = 0
    losses: int = 0
    failed_starts: int = 0
    ready_at: float = 0.0

    @property
    def is_ready(self) -> bool:
        """Say whether it can take batches."""
        return self.loaded is not None

    @property
    def slots(self) -> int:
        """Return how many batches it takes at once."""
        return self.executor.concurrency


def lost_reason(error: BaseException) -> str:
    """Return the metric's label for a worker that is gone, or that does not start."""
    return error.reason if isinstance(error, ExecutorLostError) else "crash"
