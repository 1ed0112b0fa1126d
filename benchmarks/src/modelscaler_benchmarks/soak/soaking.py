"""Keep a server busy for minutes, and note every request's latency and every second's memory."""

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from modelscaler_benchmarks.http_client import Answer
from modelscaler_benchmarks.open_loop import Sample, even_arrivals, offer, poisson_arrivals
from modelscaler_benchmarks.serving_process import ServingProcess
from modelscaler_benchmarks.soak.verdict import Latencies, Memory


class ProcessChangedError(Exception):
    """A process of the server ended or was replaced while it was soaked."""


@dataclass
class Recorder:
    """What is noted while the load runs; flat arrays, as there are hundreds of thousands of requests."""

    due: Any = field(default_factory=lambda: array("d"))
    latency: Any = field(default_factory=lambda: array("d"))
    late: Any = field(default_factory=lambda: array("d"))
    status: Any = field(default_factory=lambda: array("q"))
    failures: list[str] = field(default_factory=list)

    def note(self, sample: Sample, answer: Answer) -> None:
        """Note one request."""
        self.due.append(sample.due_seconds)
        self.latency.append(sample.latency_seconds)
        self.late.append(sample.late_seconds)
        self.status.append(sample.status)
        if sample.status != 200 and len(self.failures) < 20:
            self.failures.append(f"{sample.due_seconds:.2f} s: {answer.status} {answer.reason or answer.body[:200]!r}")

    def latencies(self) -> Latencies:
        """Return what was noted."""
        return Latencies(np.array(self.due), np.array(self.latency), np.array(self.late), np.array(self.status))


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
    recorder, half = Recorder(), seconds / 2
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
