"""Keep a server busy for minutes, and note every request's latency and every second's memory."""

import asyncio
import time

import numpy as np
import psutil
from tqdm import tqdm

from modelscaler_benchmarks.open_loop import Recorder, even_arrivals, offer, poisson_arrivals
from modelscaler_benchmarks.serving_process import ServingProcess
from modelscaler_benchmarks.soak.verdict import Memory


class ProcessChangedError(Exception):
    """A process of the server ended or was replaced while it was soaked."""


async def soak(
    server: ServingProcess, requests: list[bytes], rate_rps: float, seconds: float, seed: int
) -> tuple[Memory, Recorder]:
    """Offer load for some seconds: evenly spaced for the first half, then Poisson arrivals at the same rate.

    Args:
        server: Running.
        requests: As they go over the wire, sent in turn.
        rate_rps: Mean rate of arrivals.
        seconds: For how long.
        seed: Of the Poisson arrivals.

    Raises:
        ProcessChangedError: When a process of the server ended meanwhile.
    """
    recorder, half = Recorder({200}), seconds / 2
    poisson = half + poisson_arrivals(rate_rps, half, np.random.default_rng(seed))
    arrivals = np.concatenate([even_arrivals(rate_rps, half), poisson])
    watching = asyncio.create_task(_watch(server, seconds))
    await offer(server.command.port, requests, arrivals, recorder.note)
    return await watching, recorder


async def _watch(server: ServingProcess, seconds: float) -> Memory:
    times, sizes = list[float](), list[list[int]]()
    began, processes = time.monotonic(), server.processes()
    for _ in tqdm(range(int(seconds)), desc="soak", unit="s"):
        await asyncio.sleep(max(0.0, began + len(times) - time.monotonic()))
        try:
            sizes.append([process.memory_info().rss for process in processes])
        except psutil.NoSuchProcess as gone:
            raise ProcessChangedError(
                f"process {gone.pid} of the server ended; expected {processes} throughout"
            ) from gone
        times.append(time.monotonic() - began)
    return Memory(np.array(times), np.array(sizes, dtype=np.float64))
