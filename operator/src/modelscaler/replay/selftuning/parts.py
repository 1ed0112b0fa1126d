"""Which days of a history settings are chosen on, and on which newer ones they must hold. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from modelscaler.api.words import TuningReason
from modelscaler.backtest.trace import DAY_SECONDS, Trace
from modelscaler.domain import LoadWindow
from modelscaler.replay.load import Part
from modelscaler.replay.selftuning.jobs import TuningRefused

MOST_MISSING_SHARE: Final = 0.1
"""Of a part; across shorter gaps the load runs straight."""

ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of the newest history is replayed, both parts together, in days."""

    least_days: float = 2.0
    most_days: float = 7.0


USUAL_EXTENT: Final = Extent()


@dataclass(frozen=True, slots=True)
class Parts:
    """The two parts, and which share of both together is missing."""

    older: Part
    newer: Part
    missing_share: float

    @property
    def days(self) -> float:
        """Length of both together."""
        return self.newer.last_day - self.older.first_day


def trace_of(name: str, window: LoadWindow) -> Trace:
    """Return a window as a trace, with the times that `backtest/live.py` gives it."""
    start = window.end - timedelta(seconds=(len(window.rps) - 1) * window.step_seconds)
    return Trace(name, window.step_seconds, start, window.rps)


def parts_of(trace: Trace, extent: Extent, spared_days: float = 0.0) -> Parts | TuningRefused:
    """Return the two parts of a trace: halves of its newest days, of whole steps, as many as there are.

    Args:
        trace: The load, NaN where missing.
        extent: How long both together may be.
        spared_days: So many of the oldest days are left out, down to the least that both together may be.
    """
    known = np.flatnonzero(np.isfinite(trace.rps))
    there = (len(trace.rps) - int(known[0])) * trace.step_seconds / DAY_SECONDS if len(known) else 0.0
    if there < extent.least_days - ROUNDING:
        return TuningRefused(TuningReason.SHORT_HISTORY, f"there is less than {extent.least_days:g} days of history")
    half = min(max(there - spared_days, extent.least_days), extent.most_days) / 2.0
    steps = int(half * DAY_SECONDS / trace.step_seconds + ROUNDING)
    end = len(trace.rps)
    missing = [float(np.isnan(trace.rps[first : first + steps]).mean()) for first in (end - 2 * steps, end - steps)]
    for name, share in zip(("older", "newer"), missing, strict=True):
        if share > MOST_MISSING_SHARE:
            return TuningRefused(
                TuningReason.GAPS,
                f"{share:.1%} of the {name} {half:.3g} days of history are missing, expected {MOST_MISSING_SHARE:.0%} at most",
            )
    marks = [(end - count * steps) * trace.step_seconds / DAY_SECONDS for count in (2, 1, 0)]
    return Parts(Part(marks[0], marks[1]), Part(marks[1], marks[2]), sum(missing) / 2.0)
