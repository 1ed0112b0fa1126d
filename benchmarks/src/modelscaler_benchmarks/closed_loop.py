"""Closed-loop load in Python, for where wrk cannot be had: it takes a share of the cores itself, so its figures are lower."""

import asyncio
import itertools
import time
from collections.abc import Sequence

import numpy as np

from modelscaler_benchmarks.http_client import Connection
from modelscaler_benchmarks.wrk import LoadFigures, LoadGeneratorError

LIMIT_SECONDS = 10.0


async def offer(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> LoadFigures:
    """Offer the requests in turn for some seconds, from so many connections at once.

    Raises:
        LoadGeneratorError: When nothing is answered.
    """
    turn, latencies, failures = itertools.cycle(requests), list[float](), 0
    began = time.perf_counter()

    async def client() -> None:
        nonlocal failures
        connection = await Connection.connect(port)
        while time.perf_counter() - began < seconds:
            sent = time.perf_counter()
            answer = await connection.ask(next(turn), LIMIT_SECONDS)
            if answer.status == 200:
                latencies.append(time.perf_counter() - sent)
            else:
                failures += 1
            if not connection.usable:
                connection = await Connection.connect(port)
        connection.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    taken = time.perf_counter() - began
    if not latencies:
        raise LoadGeneratorError(f"port {port}: expected answers, all {failures} requests failed")
    p50, p99 = (float(each) * 1e3 for each in np.quantile(latencies, [0.5, 0.99]))
    return LoadFigures(len(latencies) / taken, p50, p99, len(latencies), taken, failures)
