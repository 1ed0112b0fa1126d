"""What no forecast can know, as a factor of shape (n,) and mean about one; counting comes on top (see `counting`)."""

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import log_uniform
from modelscaler.forecast.learning.generated.filters import reverting
from modelscaler.forecast.learning.generated.grid import DAY, MINUTE, Grid

LARGEST_LOG_NOISE = 3.5


def faint(rng: np.random.Generator, grid: Grid) -> Floats:
    """Independent noise of 0.2 to 5 %."""
    return np.exp(log_uniform(rng, 0.002, 0.05) * rng.standard_normal(grid.steps))


def rough(rng: np.random.Generator, grid: Grid) -> Floats:
    """Independent log-normal noise of 5 to 60 %."""
    spread = log_uniform(rng, 0.05, 0.6)
    return np.exp(spread * rng.standard_normal(grid.steps) - spread**2 / 2)


def heavy(rng: np.random.Generator, grid: Grid) -> Floats:
    """Independent noise with heavy tails: Student's t of the logarithm."""
    noise = log_uniform(rng, 0.03, 0.3) * rng.standard_t(rng.uniform(2.2, 5.0), grid.steps)
    return np.exp(np.clip(noise, -LARGEST_LOG_NOISE, LARGEST_LOG_NOISE))


def volatile(rng: np.random.Generator, grid: Grid) -> Floats:
    """Independent noise that is faint at times and rough at others."""
    memory = log_uniform(rng, max(10 * MINUTE, 5 * grid.step_seconds), max(DAY, 20 * grid.step_seconds))
    spread = np.minimum(log_uniform(rng, 0.02, 0.25) * np.exp(0.8 * reverting(rng, grid, memory)), 1.0)
    return np.exp(spread * rng.standard_normal(grid.steps) - spread**2 / 2)


def lingering(rng: np.random.Generator, grid: Grid) -> Floats:
    """Noise that lasts some steps: an autoregression of the logarithm."""
    spread = log_uniform(rng, 0.03, 0.5)
    memory = log_uniform(rng, 0.7 * grid.step_seconds, max(10 * MINUTE, 3 * grid.step_seconds))
    return np.exp(spread * reverting(rng, grid, memory) - spread**2 / 2)
