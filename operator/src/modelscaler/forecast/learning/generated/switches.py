"""Load that is on or off, or repeats with a period that is not a day's: each function returns a factor of shape (n,)."""

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance, log_uniform
from modelscaler.forecast.learning.generated.grid import DAY, HOUR, MINUTE, Grid
from modelscaler.forecast.learning.generated.seasons import SATURDAY

MOST_SWITCHES = 20_000


def square_wave(rng: np.random.Generator, grid: Grid) -> Floats:
    """Batches: on for a fixed share of a period of 10 minutes to a day, off for the rest."""
    period = log_uniform(rng, max(10 * MINUTE, 4 * grid.step_seconds), max(DAY, 8 * grid.step_seconds))
    if chance(rng, 0.5):
        period = max(MINUTE * round(period / (10 * MINUTE)) * 10, 10 * MINUTE)
    phase = (grid.begins / period + rng.random()) % 1.0
    return np.where(phase < rng.uniform(0.1, 0.9), 1.0, _floor(rng))


def random_switch(rng: np.random.Generator, grid: Grid) -> Floats:
    """Batches that begin and end at random: on and off for exponential times of minutes to a day."""
    on_seconds, off_seconds = log_uniform(rng, 3 * MINUTE, DAY), log_uniform(rng, 3 * MINUTE, DAY)
    pairs = min(int(1.5 * grid.span_seconds / (on_seconds + off_seconds)) + 10, MOST_SWITCHES)
    waits = rng.exponential([on_seconds, off_seconds], (pairs, 2)).ravel()
    switched = np.searchsorted(np.cumsum(waits), grid.begins - grid.begins[0], side="right")
    return np.where((switched + rng.integers(2)) % 2 == 0, 1.0, _floor(rng))


def office_hours(rng: np.random.Generator, grid: Grid) -> Floats:
    """Work from about 8 to about 18, with soft edges and perhaps a lunch break, on weekdays only."""
    opens, closes = rng.normal(8.0, 1.0) / 24.0, rng.normal(17.5, 1.5) / 24.0
    softness = log_uniform(rng, 2.0, 90.0) / 1440.0
    open_now = _sigmoid((grid.day_share - opens) / softness) * _sigmoid((closes - grid.day_share) / softness)
    if chance(rng, 0.4):
        lunch = np.exp(-0.5 * ((grid.day_share - rng.normal(12.5, 0.5) / 24.0) / (0.5 / 24.0)) ** 2)
        open_now = open_now * (1.0 - rng.uniform(0.1, 0.6) * lunch)
    weekend = rng.uniform(0.0, 0.15) if chance(rng, 0.9) else 1.0
    open_now = open_now * np.where(grid.weekday >= SATURDAY, weekend, 1.0)
    floor = _floor(rng) * 0.3
    return np.asarray(floor + (1.0 - floor) * open_now)


def quiet(rng: np.random.Generator, grid: Grid) -> Floats:
    """Next to nothing: what is added to it is nearly all there is."""
    return np.full(grid.steps, 0.0 if chance(rng, 0.3) else log_uniform(rng, 0.01, 0.3))


def cycle(rng: np.random.Generator, grid: Grid) -> Floats:
    """A wave with a period of minutes to half a day: sine, saw or peaks, its period kept exactly or nearly."""
    period = log_uniform(rng, max(5 * MINUTE, 6 * grid.step_seconds), max(12 * HOUR, 12 * grid.step_seconds))
    turns = (grid.begins - grid.begins[0]) / period
    if chance(rng, 0.3):  # its phase wanders
        turns = turns + np.cumsum(rng.standard_normal(grid.steps)) * 0.05 * np.sqrt(grid.step_seconds / period)
    turns = turns + rng.random()
    wave = [np.sin(2.0 * np.pi * turns), 2.0 * (turns % 1.0) - 1.0, 1.0 - 2.0 * (turns % 1.0)][int(rng.integers(3))]
    return np.asarray(np.exp(log_uniform(rng, 0.1, 1.2) * wave))


def _floor(rng: np.random.Generator) -> float:
    """Return what is left of a load when it is off."""
    return 0.0 if chance(rng, 0.4) else log_uniform(rng, 0.005, 0.35)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -40.0, 40.0))))
