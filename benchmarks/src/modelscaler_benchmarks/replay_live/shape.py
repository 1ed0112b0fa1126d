"""The load that both get: a calm past, a calm lead, then ramps, a plateau, a fall and a burst. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats

STEP_SECONDS: Final = 0.5
PAST_STEP_SECONDS: Final = 5.0

POINTS: Final = (
    (0.0, 0.2), (0.1, 0.2), (0.28, 0.9), (0.48, 0.9), (0.52, 0.3), (0.72, 0.3), (0.73, 1.0), (0.8, 1.0), (0.81, 0.3),
    (0.88, 0.3), (0.96, 0.75), (1.0, 0.75),
)  # fmt: skip
"""(share of the round, share of the peak); straight between: a climb of a minute and a half, a fall, a burst, a steep climb."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A round of load.

    Attributes:
        seconds: Its length.
        peak_rps: Its highest rate.
        lead_seconds: Of its first rate before it begins: what was before the load is forgotten, and nothing counts yet.
    """

    seconds: float
    peak_rps: float
    lead_seconds: float

    @property
    def total_seconds(self) -> float:
        """Lead and round."""
        return self.lead_seconds + self.seconds

    def rates_rps(self) -> Floats:
        """Return the rate of each step of STEP_SECONDS, lead first, shape (steps,)."""
        steps = round(self.total_seconds / STEP_SECONDS)
        return self._at((np.arange(steps) + 0.5) * STEP_SECONDS - self.lead_seconds)

    def past_counts(self, seconds: float, seed: int) -> Floats:
        """Draw what arrived before, at the first rate, in steps of PAST_STEP_SECONDS.

        Args:
            seconds: How long before.
            seed: Of the generator.
        """
        steps = round(seconds / PAST_STEP_SECONDS)
        drawn = np.random.default_rng(seed).poisson(self.rates_rps()[0] * PAST_STEP_SECONDS, steps)
        counts: Floats = drawn.astype(np.float64)
        return counts

    def _at(self, seconds: NDArray[np.floating[Any]]) -> Floats:
        shares, levels = zip(*POINTS, strict=True)
        rates: Floats = self.peak_rps * np.interp(seconds / self.seconds, shares, levels)
        return rates


def counted(arrivals_seconds: Floats, from_seconds: float, to_seconds: float, step_seconds: float) -> Floats:
    """Return how many of the arrivals fall into each step between two times, shape (steps,)."""
    steps = round((to_seconds - from_seconds) / step_seconds)
    edges = from_seconds + np.arange(steps + 1) * step_seconds
    counts: Floats = np.diff(np.searchsorted(arrivals_seconds, edges)).astype(np.float64)
    return counts


def recorded_rps(parts: Sequence[Floats], step_seconds: float, to_step_seconds: float) -> Floats:
    """Return mean rates as a monitoring system has them: longer steps, counted back from the end; NaN where one is unknown.

    Args:
        parts: Counts in steps, one part after the other, NaN where nothing is known.
        step_seconds: Of the counts.
        to_step_seconds: Of the rates.
    """
    counts, every = np.concatenate(parts), round(to_step_seconds / step_seconds)
    whole = counts[len(counts) % every :]
    rates: Floats = whole.reshape(-1, every).sum(axis=1) / to_step_seconds
    return rates
