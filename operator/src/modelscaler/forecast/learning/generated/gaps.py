"""What monitoring and outages do to a series: each function turns rps, shape (n,), into rps with zeros or NaN."""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.grid import DAY, HOUR, MINUTE, WEEK, Grid

Mask: TypeAlias = NDArray[np.bool_]
Spoiling: TypeAlias = Callable[[np.random.Generator, Grid, Floats], Floats]

MOST_STRETCHES = 200


def outages(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Nothing gets through for minutes to hours; sometimes what waited comes afterwards."""
    down = _stretches(rng, grid, log_uniform(rng, 12 * HOUR, 2 * WEEK), MINUTE, 6 * HOUR)
    if not chance(rng, 0.3):
        return np.where(down, 0.0, rps)
    late = max(round(log_uniform(rng, MINUTE, HOUR) / grid.step_seconds), 1)
    waited = np.zeros(grid.steps, dtype=bool)
    waited[late:] = down[:-late] if late < grid.steps else False
    return np.where(down, 0.0, np.where(waited, rng.uniform(1.3, 3.0) * rps, rps))


def frozen(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """The last value stays for minutes to a day: an exporter that hangs, a load test."""
    stuck = _stretches(rng, grid, log_uniform(rng, DAY, 2 * WEEK), 5 * MINUTE, DAY)
    stuck[0] = False
    return rps[np.maximum.accumulate(np.where(stuck, 0, np.arange(grid.steps)))]


def silent(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Zero for hours to weeks: not yet, or no longer, in use."""
    return np.where(_stretches(rng, grid, log_uniform(rng, 4 * DAY, 6 * WEEK), 2 * HOUR, WEEK), 0.0, rps)


def single_gaps(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Scrapes that are missing here and there."""
    return np.where(rng.random(grid.steps) < log_uniform(rng, 3e-4, 0.15), np.nan, rps)


def long_gaps(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """No monitoring for minutes to days."""
    return np.where(_stretches(rng, grid, log_uniform(rng, DAY, 3 * WEEK), 5 * MINUTE, 3 * DAY), np.nan, rps)


def regular_gaps(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """The same minutes are missing every hour or every day."""
    period = HOUR if chance(rng, 0.25) else DAY
    lost = log_uniform(rng, MINUTE / period, 0.06)
    return np.where((grid.begins / period + rng.random()) % 1.0 < lost, np.nan, rps)


def young(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """A series that began an hour before the end, or any time earlier."""
    age = log_uniform(rng, min(HOUR, grid.span_seconds), grid.span_seconds)
    known = max(round(age / grid.step_seconds), 1)
    return np.where(np.arange(grid.steps) < grid.steps - known, np.nan, rps)


def one_point(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:  # noqa: ARG001 - all of them are called alike
    """A series that has just begun."""
    return np.where(np.arange(grid.steps) < grid.steps - 1, np.nan, rps)


SPOILINGS: Final[tuple[tuple[Spoiling, float], ...]] = (
    (outages, 0.06),
    (frozen, 0.03),
    (silent, 0.04),
    (single_gaps, 0.15),
    (long_gaps, 0.10),
    (regular_gaps, 0.04),
    (young, 0.12),
    (one_point, 0.003),
)
"""Each with its chance in a series."""


def spoiled(rng: np.random.Generator, grid: Grid, rps: Floats) -> Floats:
    """Let happen to a series what happens to series, but for what would leave nothing of it."""
    for spoiling, probability in SPOILINGS:
        if chance(rng, probability):
            left = spoiling(rng, grid, rps)
            rps = left if np.isfinite(left).any() else rps
    return rps


def _stretches(
    rng: np.random.Generator, grid: Grid, every_seconds: float, shortest_seconds: float, longest_seconds: float
) -> Mask:
    """Return where random stretches are, at least one; their lengths are log-uniform."""
    number = 1 + min(int(rng.poisson(grid.span_seconds / every_seconds)), MOST_STRETCHES)
    lengths = np.exp(rng.uniform(np.log(shortest_seconds), np.log(longest_seconds), number)) / grid.step_seconds
    first = rng.integers(0, grid.steps, number)
    stop = np.minimum(first + np.maximum(np.rint(lengths), 1).astype(np.int64), grid.steps)
    changes = np.bincount(first, minlength=grid.steps + 1) - np.bincount(stop, minlength=grid.steps + 1)
    return np.cumsum(changes[:-1]) > 0
