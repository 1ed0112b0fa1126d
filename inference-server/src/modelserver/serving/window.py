"""What happens within a window of some seconds: added up as it happens, then turned into the facts of a diagnosis."""

from dataclasses import dataclass, field

from modelserver.cgroups import CpuUse
from modelserver.compute.executor import Loaded
from modelserver.engine.answers import BatchDone
from modelserver.serving.bottleneck import WindowFacts

_ODD_SHARE = 0.1
"""Of the loop's delays, the worst so many do not count: anything may happen once."""


@dataclass
class RequestSums:
    """What the application adds up.

    Attributes:
        requests: Answered.
        refused: Because the queue was full.
        body_seconds: Reading bodies.
        send_seconds: Sending answers.
        request_seconds: From headers to answer.
    """

    requests: int = 0
    refused: int = 0
    body_seconds: float = 0.0
    send_seconds: float = 0.0
    request_seconds: float = 0.0


@dataclass
class _BatchSums:
    batches: int = 0
    fill: float = 0.0
    requests: int = 0
    busy_seconds: float = 0.0
    transfer_seconds: float = 0.0
    queue_seconds: float = 0.0
    memory_restarts: int = 0


@dataclass
class _Ticks:
    count: int = 0
    idle_while_queued: int = 0
    lags_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Surroundings:
    """What the kernel says when a window ends.

    Attributes:
        cpu: Of the container, since it began.
        front_cpu_seconds: Of this front, since it began.
        resident_share: Of the memory limit, 0 to 1; 0 without a limit.
        memory_pressure: 0 to 1.
    """

    cpu: CpuUse
    front_cpu_seconds: float
    resident_share: float
    memory_pressure: float


class Window:
    """An `Observer` of the engine, told by the application too.

    Args:
        now: Monotonic seconds.
        surroundings: What the kernel says now.
        max_batch_rows: Of all variants; None for what warm-up found.

    Attributes:
        requests: What the application adds up.
    """

    def __init__(self, now: float, surroundings: Surroundings, max_batch_rows: int | None = None) -> None:
        self._max_batch_rows = max_batch_rows
        self._most_rows: dict[str, int] = {}
        self._begin(now, surroundings)

    def _begin(self, now: float, surroundings: Surroundings) -> None:
        self._since = now
        self._before = surroundings
        self._batches = _BatchSums()
        self._ticks = _Ticks()
        self.requests = RequestSums()

    def on_loaded(self, worker: int, loaded: Loaded) -> None:  # noqa: ARG002 - the observer's signature
        """See `Observer`."""
        for variant in loaded.variants:
            self._most_rows[variant.variant] = self._max_batch_rows or variant.max_batch_rows

    def on_batch(self, done: BatchDone) -> None:
        """See `Observer`."""
        sums = self._batches
        sums.batches += 1
        sums.fill += done.rows / max(done.rows, self._most_rows.get(done.variant, 1))
        sums.requests += len(done.queue_seconds)
        sums.busy_seconds += done.seconds
        sums.transfer_seconds += done.phases.transfer_seconds
        sums.queue_seconds += sum(done.queue_seconds)

    def on_dropped(self, reason: str, rows: int) -> None:
        """See `Observer`."""

    def on_lost(self, worker: int, reason: str) -> None:  # noqa: ARG002 - ditto
        """See `Observer`."""
        self._batches.memory_restarts += reason == "memory"

    def on_stage_lost(self, reason: str) -> None:
        """See `Observer`."""
        self._batches.memory_restarts += reason == "memory"

    def on_cache(self, hit: bool) -> None:
        """See `Observer`."""

    def tick(self, lag_seconds: float, rows_waiting: int, idle_workers: int) -> None:
        """Take a look, some times a second.

        Args:
            lag_seconds: By which the event loop was late.
            rows_waiting: In the queue.
            idle_workers: With nothing to do.
        """
        self._ticks.count += 1
        self._ticks.idle_while_queued += rows_waiting > 0 and idle_workers > 0
        self._ticks.lags_seconds.append(lag_seconds)

    def close(self, now: float, surroundings: Surroundings, workers: int) -> WindowFacts:
        """Return what happened, and begin the next window.

        Args:
            now: Monotonic seconds.
            surroundings: What the kernel says now.
            workers: That are ready.
        """
        seconds = max(now - self._since, 1e-9)
        batches, ticks, sums, before = self._batches, self._ticks, self.requests, self._before
        periods = surroundings.cpu.periods - before.cpu.periods
        answered = max(1, sums.requests)
        facts = WindowFacts(
            seconds=seconds,
            requests=sums.requests,
            refused=sums.refused,
            busy_share=min(1.0, batches.busy_seconds / (seconds * max(1, workers))),
            transfer_share=batches.transfer_seconds / batches.busy_seconds if batches.busy_seconds else 0.0,
            batch_fill=batches.fill / max(1, batches.batches),
            throttled_share=(surroundings.cpu.throttled_periods - before.cpu.throttled_periods) / max(1, periods),
            resident_share=surroundings.resident_share,
            memory_pressure=surroundings.memory_pressure,
            memory_restarts=batches.memory_restarts,
            queue_seconds=batches.queue_seconds / max(1, batches.requests),
            idle_while_queued_share=ticks.idle_while_queued / max(1, ticks.count),
            front_cpu_share=(surroundings.front_cpu_seconds - before.front_cpu_seconds) / seconds,
            loop_lag_seconds=_but_for_the_odd(ticks.lags_seconds),
            body_seconds=sums.body_seconds / answered,
            send_seconds=sums.send_seconds / answered,
            request_seconds=sums.request_seconds / answered,
        )
        self._begin(now, surroundings)
        return facts


def _but_for_the_odd(values: list[float]) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int((1 - _ODD_SHARE) * len(ordered)))]
