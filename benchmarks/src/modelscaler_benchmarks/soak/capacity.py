"""What a server can do at most, from several readings: one alone says little on a machine that others use."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

READINGS = 3
READING_SECONDS = 10.0
MAX_DRIFT = 0.15
"""Share by which capacity may move during a soak that claims to have been at a share of it."""


@dataclass(frozen=True)
class Capacity:
    """Readings of requests per second, closed loop.

    Attributes:
        readings_rps: One after the other.
    """

    readings_rps: tuple[float, ...]

    @property
    def rps(self) -> float:
        """Return the median."""
        return statistics.median(self.readings_rps)

    def __str__(self) -> str:
        """Return the median and what it lies between."""
        return f"{self.rps:.0f} ({min(self.readings_rps):.0f}–{max(self.readings_rps):.0f})"


def read_capacity(read_rps: Callable[[float], float], seconds: float) -> Capacity:
    """Take the readings.

    Args:
        read_rps: Offers load for so many seconds, and returns the requests per second that were answered.
        seconds: Of each reading.
    """
    return Capacity(tuple(read_rps(seconds) for _ in range(READINGS)))


def drift(before: Capacity, after: Capacity) -> float:
    """Return by what share capacity moved."""
    return after.rps / before.rps - 1.0


def drift_sentence(rate_rps: float, before: Capacity, after: Capacity) -> str:
    """Return what the load was a share of, when capacity moved too much for one share; else nothing.

    Args:
        rate_rps: That was offered in between.
        before: The soak.
        after: It.
    """
    moved = drift(before, after)
    if abs(moved) <= MAX_DRIFT:
        return ""
    least, most = sorted((rate_rps / before.rps, rate_rps / after.rps))
    return f" **Capacity moved by {moved:+.0%} meanwhile: the load was {least:.0%} to {most:.0%} of it.**"
