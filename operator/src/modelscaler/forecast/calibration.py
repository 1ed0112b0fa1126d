"""Keeps the stated quantiles honest: upper quantiles are moved online until they cover what they say."""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import LEVELS, QUANTILES, TARGETS, coherent

# Quantile tracking, the proportional part of conformal PID control (Angelopoulos et al., NeurIPS 2023), with a small step:
# .01 of the typical error costs next to nothing in loss; larger ones do, and moving the median costs most.
STEP = 0.01
LEAST_OFFSET, MOST_OFFSET = -2.0, 8.0
MOST_RUNGS = 16
COVERAGE_MEMORY = 500
SCALE_MEMORY = 200
UPPER: Final = LEVELS > 0.5


def _table(fill: float) -> Floats:
    return np.full((TARGETS, MOST_RUNGS, len(QUANTILES)), fill)


@dataclass(slots=True)
class Calibration:
    """Corrections of one series for each target, rung of the ladder and quantile, in units of the typical error.

    `scale_rps` of shape (targets, rungs) is that error: the mean distance of the median from what came; 0 until known.
    `coverage` is the recent share of outcomes at or below each quantile.
    """

    offsets: Floats = field(default_factory=lambda: _table(0.0))
    coverage: Floats = field(default_factory=lambda: _table(1.0) * LEVELS)
    scale_rps: Floats = field(default_factory=lambda: np.zeros((TARGETS, MOST_RUNGS)))
    matured: int = 0

    def learn(self, rung: int, actual: Floats, served: Floats) -> None:
        """Add an outcome: `actual` of shape (targets,), NaN where unknown; `served` (targets, quantiles)."""
        if rung >= MOST_RUNGS:
            return
        for target in np.flatnonzero(np.isfinite(actual)):
            covered = actual[target] <= served[target]
            distance = abs(actual[target] - served[target, QUANTILES.index(0.5)])
            scale = self.scale_rps[target, rung]
            self.scale_rps[target, rung] = scale + (distance - scale) / SCALE_MEMORY if scale > 0.0 else distance
            self.coverage[target, rung] += (covered - self.coverage[target, rung]) / COVERAGE_MEMORY
            moved = self.offsets[target, rung] + STEP * (LEVELS - covered) * UPPER
            self.offsets[target, rung] = np.clip(moved, LEAST_OFFSET, MOST_OFFSET)
        self.matured += 1

    def apply(self, forecast: QuantileForecast) -> QuantileForecast:
        """Return a forecast with its upper quantiles corrected; those at steps between rungs by interpolation."""
        shift_rps = self.offsets * self.scale_rps[:, :, None]
        rungs = 2.0 ** np.arange(MOST_RUNGS)
        ahead = np.arange(1, len(forecast.rps) + 1)
        moved = np.stack([forecast.rps, forecast.peak_rps])
        for target in range(TARGETS):
            for quantile in np.flatnonzero(UPPER):
                moved[target, :, quantile] += np.interp(ahead, rungs, shift_rps[target, :, quantile])
        floor = moved[:, :, QUANTILES.index(0.5), None]
        moved[:, :, UPPER] = np.maximum(moved[:, :, UPPER], floor)
        value, peak = coherent(moved)
        return replace(forecast, rps=value, peak_rps=peak)

    def worst_coverage(self, level: float, rungs: int) -> float:
        """Return the lowest recent coverage of a quantile of the peak over the first `rungs` rungs."""
        return float(self.coverage[1, :rungs, QUANTILES.index(level)].min())
