"""What the machine itself does to a tail: the same even arrivals at bare loops, without server or network.

One loop for each core at once, because the server and its load keep all cores busy too: on a machine that is shared with others
a loop may run undisturbed alone and not beside a second one.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from modelscaler_benchmarks.soak.verdict import Tail

WORK_SECONDS = 0.001
READING = 2000
SIDE = 120


class Work:
    """A fixed amount of arithmetic on one core, about WORK_SECONDS of it."""

    def __init__(self) -> None:
        self._matrix = np.full((SIDE, SIDE), 0.5)
        self._times = 1
        self._times = max(round(WORK_SECONDS * self.rps()), 1)

    def do(self) -> None:
        """Do it once."""
        for _ in range(self._times):
            np.einsum("ij,jk->ik", self._matrix, self._matrix)  # one thread, whatever BLAS would do

    def rps(self) -> float:
        """Return how often it can be done in a second."""
        began = time.perf_counter()
        for _ in range(READING):
            self.do()
        return READING / (time.perf_counter() - began)


def bare_loops(load: float, seconds: float, count: int) -> Tail:
    """Measure so many bare loops beside each other, a process each; return the tail that is the longest for its median.

    Args:
        load: Share of what a loop can do.
        seconds: For how long.
        count: How many.
    """
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        tails = list(pool.map(bare_loop, [load] * count, [seconds] * count))
    return max(tails, key=lambda tail: tail.ratio)


def bare_loop(load: float, seconds: float) -> Tail:
    """Measure the tail of a loop that does work when it is due, evenly spaced; latency counts from then.

    Args:
        load: Share of what the loop can do.
        seconds: For how long.
    """
    work = Work()
    rate_rps = load * work.rps()
    latencies = np.empty(int(rate_rps * seconds))
    began = time.perf_counter()
    for number in range(len(latencies)):
        due = began + number / rate_rps
        while time.perf_counter() < due:
            pass
        work.do()
        latencies[number] = time.perf_counter() - due
    p50, p99 = np.quantile(latencies, [0.5, 0.99]) * 1e3
    return Tail(float(p50), float(p99))
