"""Keeps the stated quantiles honest: upper quantiles are moved online until they cover what they say."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.forecast.base import LEVELS, QUANTILES, TARGETS
from modelscaler.forecast.panel import Floats32

# Quantile tracking, the proportional part of conformal PID control (Angelopoulos et al., NeurIPS 2023), with a small step:
# .01 of the typical error costs next to nothing in loss; larger ones do, and moving the median costs most.
STEP: Final = 0.01
LEAST_OFFSET, MOST_OFFSET = -2.0, 20.0
COVERAGE_MEMORY: Final = 500
UPPER: Final = LEVELS > 0.5


@dataclass(slots=True)
class Calibration:
    """Corrections of B series at R horizons in units of the anchor's scale, shape (B, R, 2, quantiles), and recent coverage."""

    offsets: Floats32
    coverage: Floats32
    matured: Floats32

    @classmethod
    def of(cls, series: int, rungs: int) -> "Calibration":
        """Start without corrections."""
        shape = (series, rungs, TARGETS, len(QUANTILES))
        return cls(
            np.zeros(shape, dtype=np.float32),
            np.broadcast_to(LEVELS, shape).astype(np.float32),
            np.zeros((series, rungs), dtype=np.float32),
        )

    def learn(self, rung: int, actual: Floats32, served: Floats32, step: float = STEP) -> None:
        """Add an outcome of every series: `actual` (2, B), NaN where unknown; `served` (2, B, quantiles)."""
        known = (np.isfinite(actual) & np.isfinite(served).all(axis=-1)).T[..., None]
        covered = (actual[..., None] <= served).swapaxes(0, 1)
        moved = self.offsets[:, rung] + np.where(known, step * (LEVELS - covered), 0.0) * UPPER
        self.offsets[:, rung] = np.clip(moved, LEAST_OFFSET, MOST_OFFSET)
        self.coverage[:, rung] += np.where(known, covered - self.coverage[:, rung], 0.0) / COVERAGE_MEMORY
        self.matured[:, rung] += known.all(axis=(1, 2))

    def apply(self, rung: int, mix: Floats32, scale: Floats32) -> Floats32:
        """Return quantiles (2, B, quantiles) with the upper ones corrected; `scale` (2, B) in rps."""
        shift = self.offsets[:, rung].swapaxes(0, 1) * scale[..., None]
        moved = mix + np.where(UPPER, shift, 0.0)
        # Each level keeps what was learned for it: sorting would hand it to the next one, and both would run away.
        ordered: Floats32 = np.maximum.accumulate(np.maximum(moved, 0.0), axis=-1)
        return ordered
