"""Short-lived additional load, as the mean over each step of what happens in continuous time."""

from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.filters import fading
from modelscaler.forecast.learning.generated.grid import Grid, coefficient
from modelscaler.forecast.panel import Ints

NEGLIGIBLE: Final = 1e-6
"""Additional load, in units of the level, that nobody would notice."""


def boxes(grid: Grid, starts: Floats, durations: Floats, heights: Floats) -> Floats:
    """Return the sum of constant pulses, shape (n,).

    Args:
        grid: Where it is seen.
        starts: When each begins, seconds on the grid's clock, in any order, shape (k,).
        durations: How long each lasts, seconds, shape (k,).
        heights: Its load, in any unit, shape (k,).
    """
    if not len(starts):
        return np.zeros(grid.steps)
    times = np.concatenate([starts, starts + durations])
    order = np.argsort(times)
    times = times[order]
    running = np.cumsum(np.repeat([1, -1], len(starts))[order])
    level = np.where(running > 0, np.cumsum(np.concatenate([heights, -heights])[order]), 0.0)
    area = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times))])
    return _clean(np.diff(np.interp(grid.edges, times, area)) / grid.step_seconds)


def decaying(grid: Grid, starts: Floats, heights: Floats, decay_seconds: float, rise_seconds: float = 0.0) -> Floats:
    """Return the sum of pulses that decay exponentially, shape (n,).

    Args:
        grid: Where it is seen; pulses from before its first step are left out.
        starts: When each begins, seconds on the grid's clock, shape (k,).
        heights: What it starts from, in any unit, shape (k,).
        decay_seconds: After how long 1/e is left of it.
        rise_seconds: After how long all but 1/e of it is there; 0: at once.
    """
    step = grid.step_seconds
    place = np.floor((starts - grid.begins[0]) / step).astype(np.int64)
    seen = (place >= 0) & (place < grid.steps)
    place, tall = place[seen], heights[seen]
    left = np.exp(-(grid.begins[place] + step - starts[seen]) / decay_seconds)
    keep = coefficient(step, decay_seconds)
    at_end = fading(_summed(grid, place, tall * left), keep)
    before = np.concatenate([[0.0], at_end[:-1]])
    first = _summed(grid, place, tall * (1.0 - left))
    pulses = (before * (1.0 - keep) + first) * decay_seconds / step
    if rise_seconds > 0.0:
        late = coefficient(step, rise_seconds)
        pulses = fading((1.0 - late) * pulses, late)
    return _clean(pulses)


def _clean(pulses: Floats) -> Floats:
    """Return pulses without what is left of them when they are over, and without rounding errors."""
    return np.where(pulses > NEGLIGIBLE, pulses, 0.0)


def _summed(grid: Grid, place: Ints, amounts: Floats) -> Floats:
    return np.bincount(place, amounts, grid.steps).astype(np.float64)
