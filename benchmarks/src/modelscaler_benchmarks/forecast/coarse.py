"""A trace in means of ten minutes, as classical models are given it: finer steps are too many for them."""

from dataclasses import dataclass

import numpy as np

from modelscaler.backtest.naive import trailing_mean
from modelscaler.backtest.trace import DAY_SECONDS, Ints, Trace
from modelscaler.domain import Floats

COARSE_SECONDS = 600.0


@dataclass(frozen=True)
class Coarse:
    """Means of as many steps as make ten minutes, one step where it is longer, by the index at which each ends.

    Attributes:
        group: How many steps each mean is over.
        means: Shape (n,); gaps hold what was last known, 0 before anything was.
        step_seconds: Of the coarse grid.
    """

    group: int
    means: Floats
    step_seconds: float

    @property
    def day(self) -> int:
        """How many coarse steps a day has."""
        return round(DAY_SECONDS / self.step_seconds)

    def until(self, index: int, most: int) -> Ints:
        """Return the indices at which the last means end that end by `index`: increasing, at most `most`."""
        return np.arange(index, -1, -self.group)[:most][::-1]

    def ahead(self, steps: int, waited: int = 0) -> int:
        """Return which coarse step covers `steps` after an index that is `waited` steps after the last mean; at least 1."""
        return max(-(-(steps + waited) // self.group), 1)


def coarse(trace: Trace) -> Coarse:
    """Return a trace in coarse means."""
    group = max(round(COARSE_SECONDS / trace.step_seconds), 1)
    return Coarse(group, _held(trailing_mean(trace.rps, group)), group * trace.step_seconds)


def _held(values: Floats) -> Floats:
    known = np.isfinite(values)
    newest = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(newest >= 0, values[np.maximum(newest, 0)], 0.0)
