"""Bursts that nothing announces: each function returns additional load of shape (n,), in units of the level."""

import math

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, heights, log_uniform
from modelscaler.forecast.learning.generated.grid import DAY, HOUR, MINUTE, Grid
from modelscaler.forecast.learning.generated.pulses import boxes, decaying

MOST_BURSTS = 4000
GENERATIONS = 12


def bursts(rng: np.random.Generator, grid: Grid) -> Floats:
    """Independent bursts, an hour to days apart, mostly of 1.3 to some times the level."""
    starts = _arrivals(rng, grid, log_uniform(rng, 1 * HOUR, 4 * DAY))
    least = log_uniform(rng, 0.3, 2.0)
    return _shaped(rng, grid, starts, heights(rng, least, 30.0, rng.uniform(1.2, 3.0), len(starts)))


def flickers(rng: np.random.Generator, grid: Grid) -> Floats:
    """Many short bursts, seconds to a few minutes long and minutes apart."""
    starts = _arrivals(rng, grid, log_uniform(rng, 2 * MINUTE, 2 * HOUR))
    tall = heights(rng, log_uniform(rng, 0.3, 3.0), 40.0, rng.uniform(1.2, 3.0), len(starts))
    return boxes(grid, starts, rng.exponential(log_uniform(rng, 3.0, 3 * MINUTE), len(starts)), tall)


def eruptions(rng: np.random.Generator, grid: Grid) -> Floats:
    """Rare bursts of up to 150 times the level."""
    starts = _arrivals(rng, grid, log_uniform(rng, 12 * HOUR, 10 * DAY))
    return _shaped(
        rng, grid, starts, heights(rng, log_uniform(rng, 2.0, 15.0), 150.0, rng.uniform(0.6, 1.6), len(starts))
    )


def cascades(rng: np.random.Generator, grid: Grid) -> Floats:
    """Bursts that set off others: a Hawkes process, drawn generation by generation."""
    starts = _arrivals(rng, grid, log_uniform(rng, 6 * HOUR, 6 * DAY))
    children, delay_seconds = rng.uniform(0.4, 0.92), log_uniform(rng, 1 * MINUTE, 2 * HOUR)
    everyone, parents = [starts], starts
    for _ in range(GENERATIONS):
        parents = np.repeat(parents, rng.poisson(children, len(parents)))[:MOST_BURSTS]
        parents = parents + rng.exponential(delay_seconds, len(parents))
        everyone.append(parents)
    starts = np.concatenate(everyone)
    tall = heights(rng, log_uniform(rng, 0.3, 3.0), 60.0, rng.uniform(1.2, 2.5), len(starts))
    return _shaped(rng, grid, starts, tall)


def _arrivals(rng: np.random.Generator, grid: Grid, every_seconds: float) -> Floats:
    number = min(int(rng.poisson(grid.span_seconds / every_seconds)), MOST_BURSTS)
    return rng.uniform(grid.begins[0], grid.edges[-1], number)


def _shaped(rng: np.random.Generator, grid: Grid, starts: Floats, tall: Floats) -> Floats:
    """Give a series' bursts their shape: boxes, or decay from seconds to hours, with or without a rise."""
    lasting = log_uniform(rng, 20.0, 3 * HOUR)
    if chance(rng, 0.35):
        return boxes(grid, starts, lasting * np.exp(rng.normal(0.0, 0.6, len(starts))), tall)
    rise = lasting * rng.uniform(0.1, 0.6) if chance(rng, 0.4) else 0.0
    long = rng.random(len(starts)) < 0.3
    spread = math.exp(rng.uniform(0.3, 1.5))
    short_ones = decaying(grid, starts[~long], tall[~long], lasting, rise)
    return short_ones + decaying(grid, starts[long], tall[long], lasting * spread, rise)
