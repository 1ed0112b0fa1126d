"""From what was sampled to what the soak says. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelscaler_benchmarks.open_loop import Samples

MAX_GROWTH = 0.02
MAX_TAIL_RATIO = 2.0
EDGE_SHARE = 0.1
"""Of the time that counts: memory at its two ends is the median over so much of it."""


@dataclass(frozen=True)
class Memory:
    """Resident memory over time.

    Attributes:
        seconds: When it was sampled, [n], from the beginning.
        bytes: Of each process, [n, processes]; the front is the first.
    """

    seconds: NDArray[np.float64]
    bytes: NDArray[np.float64]


@dataclass(frozen=True)
class Tail:
    """Latency over some time.

    Attributes:
        p50_milliseconds: Median.
        p99_milliseconds: What 1 % exceed.
    """

    p50_milliseconds: float
    p99_milliseconds: float

    @property
    def ratio(self) -> float:
        """Return p99 over p50."""
        return self.p99_milliseconds / self.p50_milliseconds


@dataclass(frozen=True)
class Verdict:
    """What a soak says.

    Attributes:
        requests: Sent after the warm-up.
        errors: Of all requests, the warm-up's included: those not answered 200.
        even: While arrivals were evenly spaced, after the warm-up.
        poisson: While arrivals were a Poisson process.
        late_p99_milliseconds: How late the generator was; what of the latencies is its own fault.
        growth: Of all processes' memory together, from just after the warm-up to the end, relative.
        process_growth: Of each process alone; the front is the first.
    """

    requests: int
    errors: int
    even: Tail
    poisson: Tail
    late_p99_milliseconds: float
    growth: float
    process_growth: tuple[float, ...]

    @property
    def met(self) -> bool:
        """Return whether memory, errors and the tail of evenly spaced arrivals are all within their bounds."""
        flat = max(self.growth, *self.process_growth) < MAX_GROWTH
        return flat and self.errors == 0 and self.even.ratio <= MAX_TAIL_RATIO


def judge(memory: Memory, samples: Samples, warm_seconds: float, poisson_from_seconds: float) -> Verdict:
    """Return what a soak says.

    Args:
        memory: Over time.
        samples: Over time.
        warm_seconds: At the beginning, where caches and allocators fill; only errors count.
        poisson_from_seconds: Until then arrivals were evenly spaced.
    """
    counts = samples.due_seconds >= warm_seconds
    poisson = samples.due_seconds >= poisson_from_seconds
    settled = memory.bytes[memory.seconds >= warm_seconds]
    return Verdict(
        requests=int(counts.sum()),
        errors=int((samples.status != 200).sum()),
        even=_tail(samples.latency_seconds[counts & ~poisson]),
        poisson=_tail(samples.latency_seconds[poisson]),
        late_p99_milliseconds=float(np.quantile(samples.late_seconds[counts], 0.99) * 1e3),
        growth=growth(settled.sum(axis=1)),
        process_growth=tuple(growth(settled[:, process]) for process in range(settled.shape[1])),
    )


def _tail(latency_seconds: NDArray[np.float64]) -> Tail:
    p50, p99 = (float(each) * 1e3 for each in np.quantile(latency_seconds, [0.5, 0.99]))
    return Tail(p50, p99)


def ideal_poisson_ratio(load: float, requests: int = 1_000_000, seed: int = 0) -> float:
    """Return p99 / p50 of a server without overhead or batches under Poisson arrivals: M/D/1, by Lindley's recursion.

    Args:
        load: Share of its capacity, below 1.
        requests: How many are simulated.
        seed: Of the simulation.
    """
    steps = np.cumsum(1.0 - np.random.default_rng(seed).exponential(1.0 / load, requests))
    waits = np.concatenate([[0.0], steps - np.minimum.accumulate(np.minimum(steps, 0.0))])
    p50, p99 = np.quantile(1.0 + waits, [0.5, 0.99])
    return float(p99 / p50)


def growth(sizes: NDArray[np.float64]) -> float:
    """Return how much a series grew from its first tenth to its last, relative; medians, so that one sample decides nothing."""
    edge = max(1, round(len(sizes) * EDGE_SHARE))
    before, after = np.median(sizes[:edge]), np.median(sizes[-edge:])
    return float(after / before - 1.0)


def by_window(samples: Samples, window_seconds: float) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Return the middles of windows, and p50 and p99 in milliseconds within each; windows without requests are left out."""
    windows = np.floor(samples.due_seconds / window_seconds).astype(int)
    middles, p50s, p99s = [], [], []
    for window in np.unique(windows):
        p50, p99 = np.quantile(samples.latency_seconds[windows == window], [0.5, 0.99]) * 1e3
        middles.append((window + 0.5) * window_seconds)
        p50s.append(float(p50))
        p99s.append(float(p99))
    return middles, p50s, p99s
