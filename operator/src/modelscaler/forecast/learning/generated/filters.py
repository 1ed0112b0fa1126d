"""Processes with memory, without a loop over time."""

import math

import numpy as np
from scipy.signal import lfilter

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.grid import Grid, coefficient

WARM_MEMORIES = 4


def fading(values: Floats, keep: float, start: float = 0.0) -> Floats:
    """Return y with y[t] = keep · y[t - 1] + values[t]; `start` is what stands for y[-1]."""
    filtered, _ = lfilter([1.0], [1.0, -keep], values, zi=[keep * start])
    return np.asarray(filtered)


def reverting(rng: np.random.Generator, grid: Grid, memory_seconds: float) -> Floats:
    """Return a stationary Ornstein-Uhlenbeck process of variance one, shape (n,)."""
    keep = coefficient(grid.step_seconds, memory_seconds)
    return fading(math.sqrt(1.0 - keep * keep) * rng.standard_normal(grid.steps), keep, rng.standard_normal())


def smooth(rng: np.random.Generator, grid: Grid, memory_seconds: float) -> Floats:
    """Return a stationary process of variance one that has no kinks: noise that faded twice, shape (n,)."""
    keep = coefficient(grid.step_seconds, memory_seconds)
    warm = math.ceil(WARM_MEMORIES * memory_seconds / grid.step_seconds)
    warm = min(warm, grid.steps)
    rough = fading(fading(rng.standard_normal(grid.steps + warm), keep), keep)
    variance = (1.0 + keep**2) / (1.0 - keep**2) ** 3
    return np.asarray(rough[warm:] / math.sqrt(variance))
