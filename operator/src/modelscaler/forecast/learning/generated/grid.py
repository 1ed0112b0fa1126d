"""The times of a generated series, on the clock of those who cause its load."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated.draws import chance
from modelscaler.forecast.panel import Ints

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0
WEEK: Final = 7 * DAY
EPOCH_WEEKDAY: Final = 3
"""1 January 1970 was a Thursday; Monday is 0."""

SUMMER_TIME_CHANCE = 0.1


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid of n steps.

    `begins` (n,) is when each step begins, in seconds of local standard time since 1970; `day` counts local days from the
    first one, `day_share` in [0, 1) is how much of the day is over and `weekday` is 0 on Mondays, each of shape (n,) and by
    the clock on the wall, which may change to or from summer time.
    """

    step_seconds: float
    begins: Floats
    day: Ints
    day_share: Floats
    weekday: Ints

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.begins)

    @property
    def span_seconds(self) -> float:
        """From the beginning of the first step to the end of the last."""
        return self.steps * self.step_seconds

    @property
    def days(self) -> int:
        """How many local days it touches."""
        return int(self.day.max()) + 1

    @property
    def edges(self) -> Floats:
        """The beginning of each step and the end of the last, shape (n + 1,)."""
        return np.append(self.begins, self.begins[-1] + self.step_seconds)


def grid_of(rng: np.random.Generator, step_seconds: float, steps: int, end: datetime) -> Grid:
    """Return the grid whose last step begins at `end`, in a random time zone."""
    zone_seconds = HOUR * rng.integers(-11, 14)
    last = end.timestamp() + zone_seconds
    begins = last - step_seconds * np.arange(steps - 1, -1, -1.0)
    wall = begins
    if chance(rng, SUMMER_TIME_CHANCE):
        change = HOUR if chance(rng, 0.5) else -HOUR
        wall = begins + change * (np.arange(steps) >= rng.integers(steps))
    since_1970 = np.floor(wall / DAY)
    weekday = (since_1970.astype(np.int64) + EPOCH_WEEKDAY) % 7
    day = (since_1970 - since_1970.min()).astype(np.int64)
    return Grid(step_seconds, begins, day, wall / DAY - since_1970, weekday)


def coefficient(step_seconds: float, memory_seconds: float) -> float:
    """Return by how much a memory fades within a step."""
    return math.exp(-step_seconds / memory_seconds)
