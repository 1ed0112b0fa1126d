"""A recorded load on a regular grid."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.backtest.stamps import StampStyle
from modelscaler.domain import Floats

Ints: TypeAlias = NDArray[np.int64]

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Trace:
    """A recorded load.

    Attributes:
        name: Of its file, without endings.
        step_seconds: Between two values.
        start: Time of the first value, UTC. Files that count seconds count from 1970.
        rps: Requests per second, shape (n,), NaN where missing.
        stamps: How its file writes times.
    """

    name: str
    step_seconds: float
    start: datetime
    rps: Floats
    stamps: StampStyle = field(default_factory=StampStyle)

    def time(self, index: int) -> datetime:
        """Return the time of a value, UTC."""
        return self.start + timedelta(seconds=index * self.step_seconds)

    def stamp(self, index: int) -> str:
        """Return the time of a value as the trace's file would write it."""
        return self.stamps.write(self.time(index))

    @property
    def steps_per_day(self) -> int:
        """How many steps a day has, at least one."""
        return max(round(DAY_SECONDS / self.step_seconds), 1)

    @property
    def days(self) -> float:
        """How many days it spans."""
        return len(self.rps) * self.step_seconds / DAY_SECONDS

    def day_numbers(self, indices: Ints) -> Ints:
        """Return which day since 1970 (UTC) each value falls on."""
        seconds = self.start.astimezone(UTC).timestamp() + indices * self.step_seconds
        days: Ints = np.floor_divide(seconds, DAY_SECONDS).astype(np.int64)
        return days
