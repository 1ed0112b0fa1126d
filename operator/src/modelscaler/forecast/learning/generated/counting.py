"""How requests are counted: each function turns expected rps, shape (n,), into what a step of that length would show."""

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.filters import reverting
from modelscaler.forecast.learning.generated.grid import HOUR, Grid

MOST_REQUESTS = 1e15
"""In a step: what numpy can draw is not much more."""


def unnoticed(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:  # noqa: ARG001 - all of them are called alike
    """So many requests that counting adds no noise."""
    return rps


def poisson(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Independent requests."""
    return rng.poisson(np.clip(rps * grid.step_seconds, 0.0, MOST_REQUESTS)) / grid.step_seconds


def clumped(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Requests that come in clumps: a negative binomial, as a Poisson process whose rate is gamma-distributed."""
    shape = log_uniform(rng, 0.4, 60.0)
    return poisson(rng, grid, rps * rng.gamma(shape, 1.0 / shape, grid.steps))


def lastingly_clumped(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """The same with a rate whose randomness lasts some steps to an hour."""
    memory = log_uniform(rng, grid.step_seconds, max(HOUR, 2 * grid.step_seconds))
    spread = log_uniform(rng, 0.2, 1.3)
    return poisson(rng, grid, rps * np.exp(spread * reverting(rng, grid, memory) - spread**2 / 2))


def weighted(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Requests of unequal weight, say tokens: a compound Poisson process with gamma-distributed weights."""
    counts = poisson(rng, grid, rps) * grid.step_seconds
    shape = log_uniform(rng, 0.15, 3.0)
    weights = rng.gamma(np.maximum(counts, 1e-9) * shape, 1.0 / shape)
    return np.where(counts > 0.0, weights, 0.0) / grid.step_seconds


def averaged(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Counts as a rate over some steps, as PromQL's `rate` shows them when its range is longer than the step."""
    counted = poisson(rng, grid, rps) if chance(rng, 0.5) else clumped(rng, grid, rps)
    window = min(int(rng.integers(2, 7)), grid.steps)
    sums = np.cumsum(np.concatenate([np.full(window, counted[0]), counted]))
    return np.asarray(np.maximum(sums[window:] - sums[:-window], 0.0) / window)
