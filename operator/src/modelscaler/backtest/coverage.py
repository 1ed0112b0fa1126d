"""How often what came was at or below a quantile, day by day."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.backtest.trace import DAY_SECONDS, Ints
from modelscaler.domain import Floats

# The first and the last day of a test section are rarely whole; of less than this share of a day little can be said.
LEAST_DAY_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class DayCoverage:
    """Coverage of each day.

    Attributes:
        days: Days since 1970 (UTC), shape (d,).
        counts: Outcomes of each day, shape (d,).
        shares: Share of them at or below each quantile, shape (d, quantiles).
    """

    days: Ints
    counts: Ints
    shares: Floats

    @property
    def dates(self) -> list[str]:
        """The days as dates."""
        return [datetime.fromtimestamp(day * DAY_SECONDS, UTC).date().isoformat() for day in self.days]

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Which days have at least LEAST_DAY_SHARE of the outcomes of the fullest, shape (d,)."""
        whole: NDArray[np.bool_] = self.counts >= LEAST_DAY_SHARE * self.counts.max(initial=0)
        return whole

    def farthest(self, levels: Floats) -> Floats:
        """Return how far coverage is off on the worst whole day, shape (quantiles,), signed; NaN without a day."""
        if not len(self.days):
            return np.full(len(levels), np.nan)
        off = self.shares[self.whole] - levels
        farthest: Floats = off[np.abs(off).argmax(axis=0), np.arange(len(levels))]
        return farthest


def coverage_by_day(below: NDArray[np.bool_], days: Ints) -> DayCoverage:
    """Return the coverage of each day.

    Args:
        below: Whether what came was at or below each quantile, shape (m, quantiles).
        days: On which day each came, shape (m,).
    """
    found, place, counts = np.unique(days, return_inverse=True, return_counts=True)
    sums = np.zeros((len(found), below.shape[1]))
    np.add.at(sums, place, below)
    return DayCoverage(found, counts.astype(np.int64), sums / np.maximum(counts, 1)[:, None])
