"""Open-loop load: requests leave when they are due, whether or not earlier ones were answered, as users do.

Latency counts from when a request was due, so that a client or server that falls behind cannot hide it (coordinated omission).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelscaler_benchmarks.http_client import Answer, Connection

LIMIT_SECONDS = 30.0


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


def poisson_arrivals(rate_rps: float, seconds: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return arrival times of a Poisson process, ascending, within [0, seconds)."""
    count = generator.poisson(rate_rps * seconds)
    return np.sort(generator.uniform(0.0, seconds, size=count))


def even_arrivals(rate_rps: float, seconds: float) -> NDArray[np.float64]:
    """Return evenly spaced arrival times within [0, seconds)."""
    return np.arange(round(rate_rps * seconds)) / rate_rps


class _Pool:
    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def ask(self, request: bytes) -> Answer:
        try:
            connection = self._take() or await Connection.connect(self._port)
        except OSError as error:
            return Answer(0, reason=f"not connected: {error}")
        answer = await connection.ask(request, LIMIT_SECONDS)
        if connection.usable:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        for connection in self._idle:
            connection.close()

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None


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
    pool, tasks = _Pool(port), set[asyncio.Task[None]]()
    began = time.perf_counter()

    async def send(request: bytes, due: float) -> None:
        left = time.perf_counter() - began
        answer = await pool.ask(request)
        on_answer(Sample(due, time.perf_counter() - began - due, left - due, answer.status), answer)

    for number, due in enumerate(arrivals_seconds):
        wait = due - (time.perf_counter() - began)
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(send(requests[number % len(requests)], float(due)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    pool.close()
