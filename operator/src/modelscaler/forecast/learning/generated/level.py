"""How the level of a load moves, whatever the hour: each function returns a factor of shape (n,)."""

import math
from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.filters import reverting, smooth
from modelscaler.forecast.learning.generated.grid import DAY, HOUR, MINUTE, WEEK, Grid
from modelscaler.forecast.learning.generated.pulses import boxes

LARGEST_LOG_CHANGE = 3.0
MOST_EVENTS = 400
SCALES: Final = (1 * MINUTE, 8 * MINUTE, 1 * HOUR, 5 * HOUR, 1 * DAY)


def trend(rng: np.random.Generator, grid: Grid) -> Floats:
    """Growth or decline at a constant rate, some per cent a week."""
    weekly = rng.normal(0.0, 0.12)
    weeks = (grid.begins - grid.begins[-1]) / WEEK
    return np.asarray(np.exp(np.clip(weekly * weeks, -LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE)))


def wander(rng: np.random.Generator, grid: Grid) -> Floats:
    """A slow random walk of the logarithm, 2 to 40 % a day."""
    per_day = log_uniform(rng, 0.02, 0.4)
    steps = rng.standard_normal(grid.steps) * per_day * math.sqrt(grid.step_seconds / DAY)
    return np.exp(np.clip(np.cumsum(steps), -LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE))


def revert(rng: np.random.Generator, grid: Grid) -> Floats:
    """A level that strays and comes back, within minutes to days (Ornstein-Uhlenbeck of the logarithm)."""
    memory = log_uniform(rng, 5 * MINUTE, 3 * DAY)
    return np.exp(log_uniform(rng, 0.05, 0.8) * reverting(rng, grid, memory))


def restless(rng: np.random.Generator, grid: Grid) -> Floats:
    """A level that moves at every time scale at once, from a minute to a day, as pink noise does."""
    sizes = rng.dirichlet(np.full(len(SCALES), 2.0))
    moves = [math.sqrt(size) * reverting(rng, grid, scale) for size, scale in zip(sizes, SCALES, strict=True)]
    return np.asarray(np.exp(log_uniform(rng, 0.1, 0.8) * np.sum(moves, axis=0)))


def swell(rng: np.random.Generator, grid: Grid) -> Floats:
    """Smooth humps of some ten minutes to a few hours, at no fixed hour."""
    memory = log_uniform(rng, 3 * MINUTE, 1 * HOUR)
    return np.exp(log_uniform(rng, 0.1, 0.7) * smooth(rng, grid, memory))


def shifts(rng: np.random.Generator, grid: Grid) -> Floats:
    """Abrupt new levels that stay, hours to days apart: deploys, large clients that come and go."""
    number = _number(rng, grid, log_uniform(rng, 2 * HOUR, 8 * DAY))
    places = np.sort(rng.integers(0, grid.steps, number))
    levels = log_uniform(rng, 0.08, 0.7) * rng.standard_normal(number + 1)
    if chance(rng, 0.3):
        levels = np.clip(np.cumsum(levels), -LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE)
    return np.exp(levels[np.searchsorted(places, np.arange(grid.steps), side="right")])


def ramps(rng: np.random.Generator, grid: Grid) -> Floats:
    """A level that climbs and falls in straight lines between random points."""
    number = _number(rng, grid, log_uniform(rng, 3 * HOUR, 10 * DAY)) + 2
    places = np.sort(rng.uniform(0, grid.steps, number))
    levels = log_uniform(rng, 0.1, 0.7) * rng.standard_normal(number)
    return np.exp(np.interp(np.arange(grid.steps), places, levels))


def campaigns(rng: np.random.Generator, grid: Grid) -> Floats:
    """Times of 1.3 to 5 times the load, hours to days long, that end as abruptly as they began."""
    number = _number(rng, grid, log_uniform(rng, 1 * DAY, 15 * DAY))
    starts = rng.uniform(grid.begins[0], grid.edges[-1], number)
    durations = np.exp(rng.uniform(math.log(1 * HOUR), math.log(3 * DAY), number))
    return 1.0 + boxes(grid, starts, durations, rng.uniform(0.3, 4.0, number))


def _number(rng: np.random.Generator, grid: Grid, every_seconds: float) -> int:
    """Return how many events there are when one comes every so often."""
    return min(int(rng.poisson(grid.span_seconds / every_seconds)), MOST_EVENTS)
