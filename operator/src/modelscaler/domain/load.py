"""Load of the past, and what is forecast of it."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelscaler.domain.keys import Floats


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """Offered load on a regular grid, oldest first.

    `rps` has shape (n,), float64, NaN where nothing is known; the last value belongs to `end`.
    """

    step_seconds: float
    end: datetime
    rps: Floats

    @property
    def span_seconds(self) -> float:
        """Length of the window in seconds."""
        return self.step_seconds * len(self.rps)


@dataclass(frozen=True, slots=True)
class QuantileForecast:
    """Quantiles of offered load one step after `made_at`, two steps after, and so on.

    `rps` has shape (steps, quantiles), float64, not below zero, not decreasing along either `quantiles` axis.
    `peak_rps` has the same shape: quantiles of the *maximum* over all steps up to that one. `note` says why the forecast is
    whose it is; `shares` names the forecasters with a share worth naming, rounded to a tenth, the largest first. `usual_rps` is
    the mean of the last day, as far as it is known; 0 where nobody says.
    """

    made_at: datetime
    step_seconds: float
    quantiles: tuple[float, ...]
    rps: Floats
    peak_rps: Floats
    method: str
    learned: bool
    note: str = ""
    shares: tuple[tuple[str, float], ...] = ()
    usual_rps: float = 0.0

    def peak(self, quantile: float, horizon_seconds: float) -> float:
        """Return the `quantile` of the peak within `horizon_seconds`, interpolated between the quantiles at hand."""
        return self.peaks([quantile], horizon_seconds)[0]

    def peaks(self, quantiles: Iterable[float], horizon_seconds: float) -> list[float]:
        """Return several quantiles of the peak within `horizon_seconds`."""
        row: list[float] = self.peak_rps[self._index(horizon_seconds)].tolist()
        return [self._interpolated(row, quantile) for quantile in quantiles]

    def _interpolated(self, row: Sequence[float], quantile: float) -> float:
        at = bisect_left(self.quantiles, quantile)
        if at == len(self.quantiles) or at == 0 or self.quantiles[at] == quantile:
            return row[min(at, len(row) - 1)]
        below, above = self.quantiles[at - 1], self.quantiles[at]
        share = (quantile - below) / (above - below)
        return row[at - 1] + share * (row[at] - row[at - 1])

    def values(self, horizon_seconds: float) -> Floats:
        """Return the quantiles of the load `horizon_seconds` ahead, shape (quantiles,)."""
        row: Floats = self.rps[self._index(horizon_seconds)]
        return row

    def _index(self, horizon_seconds: float) -> int:
        return min(max(math.ceil(horizon_seconds / self.step_seconds) - 1, 0), len(self.peak_rps) - 1)
