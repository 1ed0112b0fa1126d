"""Open-loop load: requests leave when they are due, whether or not earlier ones were answered, as users do.

Latency counts from when a request was due, so that a client or server that falls behind cannot hide it (coordinated omission).
"""

import asyncio
import contextlib
import time
from array import array
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelscaler_benchmarks.http_client import Answer, Connection

LIMIT_SECONDS = 30.0
_SWEEP_SECONDS = 1.0
_TICK_SECONDS = 0.001
"""uvloop's timers count milliseconds: a shorter wait is none, and the generator would turn in circles on the server's cores."""
_KEPT_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of an open loop.

    Attributes:
        due_seconds: When it was to leave, from the beginning.
        latency_seconds: From then to its answer.
        late_seconds: How much later than due it left: the generator's own fault.
        status: HTTP status; 0 for none.
    """

    due_seconds: float
    latency_seconds: float
    late_seconds: float
    status: int


@dataclass(frozen=True)
class Samples:
    """Requests of an open loop, one element each, in the order in which they were due.

    Attributes:
        due_seconds: When each was to leave, from the beginning.
        latency_seconds: From then to its answer.
        late_seconds: How much later than due it left: the generator's own fault.
        status: HTTP status; 0 for none.
        marked: Whether its answer was one of those that the recorder was to mark.
    """

    due_seconds: NDArray[np.float64]
    latency_seconds: NDArray[np.float64]
    late_seconds: NDArray[np.float64]
    status: NDArray[np.int64]
    marked: NDArray[np.bool_]

    def between(self, start: float, end: float) -> "Samples":
        """Return those that were due in a time."""
        kept = (self.due_seconds >= start) & (self.due_seconds < end)
        return Samples(
            self.due_seconds[kept],
            self.latency_seconds[kept],
            self.late_seconds[kept],
            self.status[kept],
            self.marked[kept],
        )


@dataclass
class Recorder:
    """Notes what comes of an open loop; in flat arrays, as there are hundreds of thousands of requests.

    Attributes:
        expected: Statuses that are no failure.
        is_marked: Says of an answer 200 whether it is to be marked.
        failures: The first few, in words.
    """

    expected: Set[int]
    is_marked: Callable[[Answer], bool] = field(default=lambda _: False)
    failures: list[str] = field(default_factory=list)
    _due: Any = field(default_factory=lambda: array("d"))
    _latency: Any = field(default_factory=lambda: array("d"))
    _late: Any = field(default_factory=lambda: array("d"))
    _status: Any = field(default_factory=lambda: array("q"))
    _marked: Any = field(default_factory=lambda: array("b"))

    def note(self, sample: Sample, answer: Answer) -> None:
        """Note one request."""
        self._due.append(sample.due_seconds)
        self._latency.append(sample.latency_seconds)
        self._late.append(sample.late_seconds)
        self._status.append(sample.status)
        self._marked.append(sample.status == 200 and self.is_marked(answer))
        if sample.status not in self.expected and len(self.failures) < _KEPT_FAILURES:
            self.failures.append(f"{sample.due_seconds:.2f} s: {answer.status} {answer.reason or answer.body[:200]!r}")

    def samples(self) -> Samples:
        """Return what was noted."""
        order = np.argsort(np.array(self._due), kind="stable")
        columns = (self._due, self._latency, self._late, self._status, self._marked)
        due, latency, late, status, marked = (np.array(column)[order] for column in columns)
        return Samples(due, latency, late, status, marked.astype(bool))


def poisson_arrivals(rate_rps: float, seconds: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return arrival times of a Poisson process, ascending, within [0, seconds)."""
    count = generator.poisson(rate_rps * seconds)
    return np.sort(generator.uniform(0.0, seconds, size=count))


def even_arrivals(rate_rps: float, seconds: float) -> NDArray[np.float64]:
    """Return evenly spaced arrival times within [0, seconds)."""
    return np.arange(round(rate_rps * seconds)) / rate_rps


class _Pool:
    """Connections to a server, as many as there are requests under way at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []
        self._busy: dict[Connection, float] = {}
        self._connecting = set[asyncio.Task[None]]()

    def ask(self, request: bytes, on_answer: Callable[[Answer], None]) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                self._send(connection, request, on_answer)
                return
        task = asyncio.create_task(self._connect(request, on_answer))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def sweep(self, now: float) -> None:
        """Give up what was sent too long ago: a timer for each request would cost more than the request."""
        for connection, sent in list(self._busy.items()):
            if now - sent > LIMIT_SECONDS:
                connection.give_up(f"no answer within {LIMIT_SECONDS:g} s")

    def close(self) -> None:
        for connection in self._idle:
            connection.close()

    async def _connect(self, request: bytes, on_answer: Callable[[Answer], None]) -> None:
        try:
            connection = await asyncio.wait_for(Connection.connect(self._port), LIMIT_SECONDS)
        except OSError as error:  # TimeoutError is one
            on_answer(Answer(0, reason=f"not connected: {error}"))
        else:
            self._send(connection, request, on_answer)

    def _send(self, connection: Connection, request: bytes, on_answer: Callable[[Answer], None]) -> None:
        def note(answer: Answer) -> None:
            del self._busy[connection]
            if connection.usable:
                self._idle.append(connection)
            on_answer(answer)

        self._busy[connection] = time.perf_counter()
        connection.send(request, note)


class _Load:
    """Requests that leave when they are due. Callbacks, no task for each: the generator shares the server's cores."""

    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        arrivals_seconds: NDArray[np.float64],
        on_answer: Callable[[Sample, Answer], None],
    ) -> None:
        self._pool = _Pool(port)
        self._requests = requests
        self._arrivals: list[float] = arrivals_seconds.tolist()
        self._on_answer = on_answer
        self._sent = self._answered = 0
        self._all_answered = asyncio.Event()

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = time.perf_counter()
        if self._arrivals:
            self._leave()
            while not self._all_answered.is_set():
                await self._wait(_SWEEP_SECONDS)
                self._pool.sweep(time.perf_counter())
        self._pool.close()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_answered.wait(), seconds)

    def _leave(self) -> None:
        """Send what is due; come back when the next is."""
        while self._sent < len(self._arrivals):
            wait = self._began + self._arrivals[self._sent] - time.perf_counter()
            if wait > 0:
                self._loop.call_later(max(wait, _TICK_SECONDS), self._leave)
                return
            self._send(self._sent)
            self._sent += 1

    def _send(self, number: int) -> None:
        due = self._arrivals[number]
        late = time.perf_counter() - self._began - due

        def note(answer: Answer) -> None:
            latency = time.perf_counter() - self._began - due
            self._answered += 1
            if self._answered == len(self._arrivals):
                self._all_answered.set()
            self._on_answer(Sample(due, latency, late, answer.status), answer)

        self._pool.ask(self._requests[number % len(self._requests)], note)


async def offer(
    port: int,
    requests: Sequence[bytes],
    arrivals_seconds: NDArray[np.float64],
    on_answer: Callable[[Sample, Answer], None],
) -> None:
    """Send the requests in turn at the given times, and tell each answer as it comes.

    Args:
        port: Of the server, on this machine.
        requests: As they go over the wire.
        arrivals_seconds: When each leaves, from now, ascending.
        on_answer: Told every request's sample and answer.
    """
    await _Load(port, requests, arrivals_seconds, on_answer).run()
