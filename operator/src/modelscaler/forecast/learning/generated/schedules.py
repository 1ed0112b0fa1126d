"""Bursts that a clock sets off: each function returns additional load of shape (n,), in units of the level."""

from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.grid import DAY, HOUR, MINUTE, Grid
from modelscaler.forecast.learning.generated.pulses import boxes, decaying

MINUTES: Final[Floats] = np.array([5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 240.0, 360.0, 720.0, 1440.0])
WEIGHTS: Final[Floats] = np.array([0.06, 0.08, 0.11, 0.14, 0.22, 0.12, 0.06, 0.05, 0.04, 0.12])
"""How often jobs have each of these periods."""

LONGEST_SLOT_SECONDS: Final = 2 * HOUR
STEPS_BETWEEN: Final = 3
"""With fewer steps from one run to the next these are no bursts."""


def cron_jobs(rng: np.random.Generator, grid: Grid) -> Floats:
    """One to three jobs, each at a fixed minute of its period, always or with a chance, perhaps at some hours only."""
    added = np.zeros(grid.steps)
    for _ in range(1 + rng.binomial(2, 0.3)):
        period = _period(rng, grid, DAY)
        added += _shaped(rng, grid, _runs(rng, grid, period), period)
    return added


def irregular_jobs(rng: np.random.Generator, grid: Grid) -> Floats:
    """Jobs that come about every so often, but only at a fixed minute of a slot: the time since the last tells the next."""
    slot = _period(rng, grid, LONGEST_SLOT_SECONDS)
    mean_slots, spread = rng.uniform(1.5, 8.0), rng.uniform(0.05, 0.6)
    number = int(grid.span_seconds / slot / mean_slots * 1.5) + 8
    waits = np.maximum(np.rint(rng.gamma(1.0 / spread**2, mean_slots * spread**2, number)), 1.0)
    starts = _first(rng, grid, slot) + slot * (np.cumsum(waits) - waits[0])
    return _shaped(rng, grid, _late(rng, starts), slot)


def daily_window(rng: np.random.Generator, grid: Grid) -> Floats:
    """A job of an hour or several at the same time every day, or every weekday: a nightly batch, a backup."""
    midnight = grid.begins[0] - grid.begins[0] % DAY
    starts = midnight + DAY * np.arange(-1, grid.days + 1) + rng.uniform(0.0, DAY)
    starts = starts + rng.normal(0.0, rng.uniform(0.0, 5 * MINUTE), len(starts))
    lasting = log_uniform(rng, 0.3 * HOUR, 6 * HOUR) * np.exp(rng.normal(0.0, rng.uniform(0.0, 0.2), len(starts)))
    on = rng.random(len(starts)) < (1.0 if chance(rng, 0.6) else rng.uniform(0.5, 1.0))
    height = log_uniform(rng, 0.3, 4.0)
    return boxes(grid, starts, lasting, np.where(on, height, 0.0))


def _period(rng: np.random.Generator, grid: Grid, longest_seconds: float) -> float:
    """Return a period that the grid can show, as long as there is one; seconds."""
    periods = MINUTE * MINUTES
    shortest = STEPS_BETWEEN * grid.step_seconds
    longest = min(longest_seconds, grid.span_seconds)
    shown = (periods >= shortest) & (periods <= longest)
    if not shown.any():
        return max(shortest, float(periods[0]))
    return float(rng.choice(periods[shown], p=WEIGHTS[shown] / WEIGHTS[shown].sum()))


def _first(rng: np.random.Generator, grid: Grid, period_seconds: float) -> float:
    """Return the first run's time: at a whole minute of the period, often at its beginning."""
    minute = 0.0 if chance(rng, 0.4) else MINUTE * float(rng.integers(max(int(period_seconds / MINUTE), 1)))
    return float(grid.begins[0] - grid.begins[0] % period_seconds + minute)


def _runs(rng: np.random.Generator, grid: Grid, period_seconds: float) -> Floats:
    starts = _first(rng, grid, period_seconds) + period_seconds * np.arange(-1, grid.span_seconds // period_seconds + 1)
    if chance(rng, 0.35):
        starts = starts[rng.random(len(starts)) < rng.uniform(0.25, 0.95)]
    if chance(rng, 0.15) and period_seconds <= 2 * HOUR:
        from_seconds, hours = rng.uniform(0.0, DAY), rng.uniform(4.0, 16.0)
        starts = starts[(starts - from_seconds) % DAY < hours * HOUR]
    return _late(rng, starts)


def _late(rng: np.random.Generator, starts: Floats) -> Floats:
    """Let runs begin late by up to a random bound of 0 to 3 minutes."""
    bound = rng.uniform(0.0, 3 * MINUTE) if chance(rng, 0.6) else 0.0
    return starts + rng.uniform(0.0, bound, len(starts))


def _shaped(rng: np.random.Generator, grid: Grid, starts: Floats, period_seconds: float) -> Floats:
    """Give a job's runs their shape and height, the same every time but for some noise."""
    lasting = log_uniform(rng, 20.0, min(40 * MINUTE, 0.6 * period_seconds))
    tall = log_uniform(rng, 0.3, 8.0) * np.exp(rng.normal(0.0, rng.uniform(0.0, 0.35), len(starts)))
    if chance(rng, 0.4):
        return decaying(grid, starts, tall, lasting, lasting * rng.uniform(0.0, 0.5))
    return boxes(grid, starts, lasting * np.exp(rng.normal(0.0, rng.uniform(0.0, 0.3), len(starts))), tall)
