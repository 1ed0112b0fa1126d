"""What batches take and the line through it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

CAP_TOLERANCE = 1.05
"""The smallest batch within 5 % of the best time per request is the cap: larger ones only add waiting."""


@dataclass(frozen=True)
class LinearCost:
    """Cost of a batch: overhead_seconds + per_request_seconds * requests.

    Attributes:
        per_request_seconds: Slope, seconds per request.
        overhead_seconds: Intercept, seconds per batch; not negative.
        r2: Share of the variance that the line explains.
    """

    per_request_seconds: float
    overhead_seconds: float
    r2: float

    def seconds(self, requests: float) -> float:
        """Return what a batch of so many requests takes; nothing for none."""
        return self.overhead_seconds + self.per_request_seconds * requests if requests > 0 else 0.0


def run_queue_seconds() -> float:
    """Return for how long this thread has been ready to run while others had the cores; 0 where the kernel does not tell.

    Wall time less this is what something takes on a machine that does nothing else.
    """
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def batch_seconds(run: Callable[[int], object], sizes: Sequence[int], repeats: int) -> dict[int, float]:
    """Return the median CPU seconds of this thread that `run(size)` takes, by size.

    CPU time, not wall time: a throttled or shared core does not distort it.

    Args:
        run: Runs one batch of the given size.
        sizes: Batch sizes; interleaved, so that a slow moment of the machine hits all alike.
        repeats: Runs per size.
    """
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(repeats):
        for size in sizes:
            start = time.thread_time()
            run(size)
            taken[size].append(time.thread_time() - start)
    return {size: median(seconds) for size, seconds in taken.items()}


def fit_linear_cost(seconds: Mapping[int, float]) -> LinearCost:
    """Fit the cost line by least squares on relative error, so that small batches count as much as large ones.

    Args:
        seconds: By batch size, at least two sizes.
    """
    sizes, measured = np.array(list(seconds), dtype=float), np.array(list(seconds.values()))
    design = np.stack([sizes, np.ones_like(sizes)], axis=1)
    (slope, intercept), *_ = np.linalg.lstsq(design / measured[:, None], np.ones_like(sizes), rcond=None)
    if intercept < 0:
        # A batch cannot cost less than its rows: the line through the origin, by the same relative error.
        ratio = sizes / measured
        slope, intercept = float(ratio.sum() / (ratio @ ratio)), 0.0
    elif slope < 0:
        # More rows do not cost less: a constant, by the same relative error.
        inverse = 1 / measured
        slope, intercept = 0.0, float(inverse.sum() / (inverse @ inverse))
    residual = measured - (slope * sizes + intercept)
    spread = measured - measured.mean()
    variance = float(spread @ spread)
    explained = 1.0 - float(residual @ residual) / variance if variance > 0 else 1.0
    return LinearCost(float(slope), float(intercept), explained)


def batch_cap(seconds: Mapping[int, float]) -> int:
    """Return the smallest measured batch size whose time per request is within CAP_TOLERANCE of the best."""
    per_request = {size: taken / size for size, taken in seconds.items()}
    best = min(per_request.values())
    return min(size for size, taken in per_request.items() if taken <= CAP_TOLERANCE * best)
