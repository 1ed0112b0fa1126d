"""The steps of a profile: warm up, closed loops, a timed run, a soak. Each is bounded in requests and in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from modelscaler.domain import PoolKey, ReplicaCapacity
from modelscaler.profiling.counters import largest_rows, mean_rows
from modelscaler.profiling.fit import Fit, Window, batch_within_seen, fit_batches
from modelscaler.profiling.server import Asked, Server, ServerError, answered_rps

CLIENTS = (1, 2, 4, 8, 16, 32, 64)
"""A server that computes one batch while the next one gathers forms batches of half of them."""
FEWEST_CLIENTS, LONGEST_WAIT_SECONDS = 4, 2.5
"""More clients than that ask only where they would not wait longer, one by one: a server turns away what waits too long."""
SOAK_CLIENTS = 8
ROUNDS = 3
WARM_UP_REQUESTS = 20
MOST_REQUESTS = 20_000
MOST_FAILURES = 0.01
"""Share of failures beyond which a figure would say little."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure.

    Attributes:
        window_seconds: Of each closed loop; each number of clients has ROUNDS of them, interleaved.
        inferences: Of the timed run, one after the other.
        run_seconds: Longest that the timed run may take.
        soak_seconds: Of the soak.
        max_batch: Largest batch the server forms; None: what its counters show, else the most clients, or less where full
            ones would come to more than was seen.
    """

    window_seconds: float
    inferences: int
    run_seconds: float
    soak_seconds: float
    max_batch: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a server.

    Attributes:
        loops: Closed loops, ROUNDS of each number of clients.
        fit: Of the time of a batch.
        max_batch: Largest batch to count on, in requests.
        timed: The timed run, one client.
        soak: The soak's quarters, one after the other.
        memory_bytes: Of the server's workers, before and after everything; None: it does not say.
    """

    loops: tuple[Asked, ...]
    fit: Fit
    max_batch: int
    timed: Asked
    soak: tuple[Asked, ...]
    memory_bytes: tuple[float, float] | None

    @property
    def by_clients(self) -> list[tuple[int, list[Asked]]]:
        """The closed loops of each number of clients, the fewest clients first."""
        counts = sorted({loop.clients for loop in self.loops})
        return [(count, [loop for loop in self.loops if loop.clients == count]) for count in counts]

    @property
    def tail_seconds(self) -> float:
        """What one request in a hundred takes beyond a batch of one, with nothing else to do; at least 0."""
        slow = float(np.quantile(self.timed.latencies_seconds, 0.99))
        return max(slow - self.fit.line.overhead_seconds - self.fit.line.per_request_seconds, 0.0)

    def capacity(self, pool: PoolKey) -> ReplicaCapacity:
        """Return what the planner takes it for, as a replica of a pool."""
        line = self.fit.line
        return ReplicaCapacity(
            pool,
            line.per_request_seconds,
            line.overhead_seconds,
            self.max_batch,
            "Profile",
            tail_seconds=self.tail_seconds,
        )


def measure(server: Server, bodies: Sequence[bytes], plan: Plan, progress: Progress) -> Measured:
    """Measure a server.

    Raises:
        ServerError: it does not answer, answers from a cache, or fails too often.
    """
    server.check(bodies[0])
    before = server.counters()
    warm = _fine(server, server.ask(bodies, 1, WARM_UP_REQUESTS, plan.run_seconds))
    clients = client_counts(float(np.median(warm.latencies_seconds)))
    loops, windows, most_requests = _loops(server, bodies, clients, plan.window_seconds, progress)
    progress("timed run", 0, 1)
    timed = _fine(server, server.ask(bodies, 1, plan.inferences, plan.run_seconds))
    progress("timed run", 1, 1)
    soak = _soak(server, bodies, min(SOAK_CLIENTS, max(clients)), plan.soak_seconds, progress)
    after = server.counters()
    if before and after and after.cache_hits > before.cache_hits:
        raise ServerError(
            f"{server.infer_url}: {after.cache_hits - before.cache_hits:.0f} answers came from its cache, expected none; "
            "start the server with --cache-megabytes 0"
        )
    memory = (before.memory_bytes, after.memory_bytes) if before and after and after.memory_bytes else None
    fit = fit_batches(windows)
    seen_rps = max(answered_rps([loop]) for loop in loops)
    max_batch = plan.max_batch or batch_within_seen(fit.line, most_requests or max(clients), seen_rps)
    return Measured(loops, fit, max_batch, timed, soak, memory)


def client_counts(request_seconds: float) -> tuple[int, ...]:
    """Return how many clients ask, in turn, where a request alone takes so long."""
    return tuple(n for n in CLIENTS if n <= FEWEST_CLIENTS or n * request_seconds <= LONGEST_WAIT_SECONDS)


def _loops(
    server: Server, bodies: Sequence[bytes], counts: Sequence[int], seconds: float, progress: Progress
) -> tuple[tuple[Asked, ...], list[Window], int | None]:
    """Return the loops, their windows, and the most requests that a batch held.

    One client's batches hold one request, so their mean rows are the rows of a request.
    """
    loops: list[Asked] = []
    windows: list[Window] = []
    rows_per_request, most_rows = None, 0
    for clients in (*counts,) * ROUNDS:
        progress("closed loops", len(loops), len(counts) * ROUNDS)
        before = server.counters()
        asked = _fine(server, server.ask(bodies, clients, MOST_REQUESTS, seconds))
        after = server.counters()
        rows = mean_rows(before, after) if before and after else None
        rows_per_request = rows_per_request or rows
        if before and after:
            most_rows = max(most_rows, largest_rows(before, after) or 0)
        size = rows / rows_per_request if rows and rows_per_request else None
        loops.append(asked)
        windows.append(Window(clients, len(asked.latencies_seconds), asked.seconds, size))
    progress("closed loops", len(loops), len(loops))
    most_requests = max(1, round(most_rows / rows_per_request)) if most_rows and rows_per_request else None
    return tuple(loops), windows, most_requests


def _soak(
    server: Server, bodies: Sequence[bytes], clients: int, seconds: float, progress: Progress
) -> tuple[Asked, ...]:
    quarters: list[Asked] = []
    for number in range(4):
        progress("soak", number, 4)
        quarters.append(_fine(server, server.ask(bodies, clients, MOST_REQUESTS, seconds / 4)))
    progress("soak", 4, 4)
    return tuple(quarters)


def _fine(server: Server, asked: Asked) -> Asked:
    answered = len(asked.latencies_seconds)
    if not answered or asked.failures > MOST_FAILURES * (answered + asked.failures):
        raise ServerError(
            f"{server.infer_url}: {asked.failures} of {answered + asked.failures} requests failed with {asked.clients} "
            f"clients, expected at most {MOST_FAILURES:.0%}; the first: {asked.first_failure}"
        )
    return asked
