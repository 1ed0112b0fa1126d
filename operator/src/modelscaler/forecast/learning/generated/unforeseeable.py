"""Loads in which there is nothing to learn, so that a model learns humility: shape (n,), in units of the level."""

import math

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.grid import Grid

LARGEST_LOG_CHANGE = 6.0


def random_walk(rng: np.random.Generator, grid: Grid) -> Floats:
    """A random walk of the load or of its logarithm; one that would fall below zero turns around."""
    over_all = log_uniform(rng, 0.3, 3.0)
    walk = np.cumsum(rng.standard_normal(grid.steps)) * over_all / math.sqrt(grid.steps)
    if chance(rng, 0.5):
        return np.exp(np.clip(walk, -LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE))
    return np.abs(1.0 + walk)


def independent(rng: np.random.Generator, grid: Grid) -> Floats:
    """The same distribution at every step: normal, log-normal, gamma, or uniform."""
    spread = log_uniform(rng, 0.02, 1.2)
    kind = int(rng.integers(4))
    if kind == 0:
        return np.maximum(1.0 + min(spread, 0.5) * rng.standard_normal(grid.steps), 0.0)
    if kind == 1:
        return np.exp(spread * rng.standard_normal(grid.steps) - spread**2 / 2)
    if kind == 2:
        return rng.gamma(1.0 / spread**2, spread**2, grid.steps)
    return rng.uniform(max(1.0 - spread, 0.0), 1.0 + spread, grid.steps)


def constant(rng: np.random.Generator, grid: Grid) -> Floats:  # noqa: ARG001 - all of them are called alike
    """The same value at every step."""
    return np.ones(grid.steps)


def nothing(rng: np.random.Generator, grid: Grid) -> Floats:  # noqa: ARG001 - all of them are called alike
    """No load at all."""
    return np.zeros(grid.steps)
