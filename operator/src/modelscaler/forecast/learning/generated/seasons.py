"""What repeats with the day and the week: each function returns a positive factor of shape (n,)."""

from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.filters import fading
from modelscaler.forecast.learning.generated.grid import DAY, MINUTE, Grid
from modelscaler.forecast.panel import Ints

SHARES: Final[Floats] = np.linspace(0.0, 1.0, 289)
"""Of a day: where a profile is known."""

DUSK: Final = 0.875
"""From this share of a day on, its factor passes over into the next day's."""

SATURDAY: Final = 5


def strong_daily(rng: np.random.Generator, grid: Grid) -> Floats:
    """A day that is 3 to 30 times as busy as its night."""
    return _daily(rng, grid, log_uniform(rng, 1.1, 3.4))


def mild_daily(rng: np.random.Generator, grid: Grid) -> Floats:
    """A day that is 1.1 to 4 times as busy as its night."""
    return _daily(rng, grid, log_uniform(rng, 0.1, 1.4))


def weekly(rng: np.random.Generator, grid: Grid) -> Floats:
    """A weekend of 0.2 to 1.4 times a weekday; the days of a week differ by a few per cent."""
    week = np.exp(rng.normal(0.0, 0.05, 7))
    week[SATURDAY:] *= rng.uniform(0.2, 1.4) * np.exp(rng.normal(0.0, 0.1, 2))
    shift = int(rng.integers(1, 7)) if chance(rng, 0.1) else 0  # not everyone's weekend begins on Saturday
    return across_days(grid, week[(_weekdays(grid) + shift) % 7])


def odd_days(rng: np.random.Generator, grid: Grid) -> Floats:
    """Holidays and other days unlike their neighbours: 0.3 to 0.7 or 1.2 to 2.2 times the load; the next day is normal."""
    factors = np.ones(grid.days + 1)
    odd = rng.random(grid.days + 1) < 1.0 / log_uniform(rng, 8.0, 60.0)
    low = rng.random(grid.days + 1) < 0.65
    factors[odd & low] = rng.uniform(0.3, 0.7, grid.days + 1)[odd & low]
    factors[odd & ~low] = rng.uniform(1.2, 2.2, grid.days + 1)[odd & ~low]
    return across_days(grid, factors)


def across_days(grid: Grid, factors: Floats) -> Floats:
    """Return a factor for every step from one per day, shape (days + 1,), that changes during the last hours of a day."""
    today, tomorrow = factors[grid.day], factors[grid.day + 1]
    late = np.clip((grid.day_share - DUSK) / (1.0 - DUSK), 0.0, 1.0)
    return np.asarray(today + (tomorrow - today) * late)


def _daily(rng: np.random.Generator, grid: Grid, depth: float) -> Floats:
    """Return a factor of mean one from a random shape; `depth` is the logarithm of day over night."""
    share = _share(rng, grid)
    shape = np.interp(share, SHARES, profile(rng))
    if chance(rng, 0.45):
        weekend = np.where(_weekdays(grid) >= SATURDAY, rng.uniform(0.2, 1.0), 0.0)
        shape = shape + across_days(grid, weekend) * (np.interp(share, SHARES, profile(rng)) - shape)
    strength = depth * np.exp(_drift(rng, grid, rng.uniform(0.0, 0.25)))
    factor = np.exp(strength * (shape - 1.0))
    if chance(rng, 0.5):  # as broad by day as by night, where the exponential makes peaks sharp
        night = np.exp(-strength)
        factor = night + (1.0 - night) * shape
    return np.asarray(factor / factor.mean())


def profile(rng: np.random.Generator) -> Floats:
    """Return a random smooth shape of a day between 0 and 1 at `SHARES`: one to three humps, perhaps a flat night."""
    humps = int(rng.integers(1, 4))
    centres = rng.uniform(0.0, 2.0 * np.pi, (humps, 1))
    sharpness = np.exp(rng.uniform(-0.5, 3.2 if chance(rng, 0.25) else 1.8, (humps, 1)))
    sizes = rng.uniform(0.35, 1.0, (humps, 1))
    shape = (sizes * np.exp(sharpness * (np.cos(2.0 * np.pi * SHARES - centres) - 1.0))).sum(axis=0)
    shape = (shape - shape.min()) / np.ptp(shape)
    if chance(rng, 0.25):
        quiet = rng.uniform(0.05, 0.4)
        shape = np.maximum(shape - quiet, 0.0) / (1.0 - quiet)
    return np.asarray(shape ** log_uniform(rng, 0.5, 2.0))


def _weekdays(grid: Grid) -> Ints:
    """Return the weekday of every day of the grid and of the one after, shape (days + 1,)."""
    return np.asarray((grid.weekday[0] - grid.day[0] + np.arange(grid.days + 1)) % 7)


def _share(rng: np.random.Generator, grid: Grid) -> Floats:
    """Return how much of the day's pattern is over at each step; sometimes days are a few minutes early or late."""
    if not chance(rng, 0.3):
        return grid.day_share
    late = rng.normal(0.0, rng.uniform(0.0, 20.0) * MINUTE / DAY, grid.days + 1)
    return np.asarray((grid.day_share + across_days(grid, late)) % 1.0)


def _drift(rng: np.random.Generator, grid: Grid, spread: float) -> Floats:
    """Return how the logarithm of a pattern's strength moves over days, shape (n,)."""
    return across_days(grid, fading(spread * 0.6 * rng.standard_normal(grid.days + 1), 0.8))
