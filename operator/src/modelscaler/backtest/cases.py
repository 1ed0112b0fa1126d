"""What is asked of every method: from which origins of a trace, and how far ahead."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.backtest.options import DEFAULT_MOST_ORIGINS
from modelscaler.backtest.trace import Ints, Trace

TEST_SHARE: Final = 0.4
REFIT_SHARES: Final = (0.6, 0.7, 0.8, 0.9)  # of a trace: what learns does so anew there, from all that came before
MAIN_HORIZON_SECONDS: Final = 600.0
COARSE_HORIZONS_SECONDS: Final = (60.0, 600.0, 1800.0)
FINE_HORIZONS_SECONDS: Final = (15.0, 60.0, 300.0, 600.0)
FINE_STEP_SECONDS: Final = 60.0  # steps below this are fine ones


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of a method.

    Attributes:
        trace: The load.
        origins: Indices to forecast from, increasing, all in the last TEST_SHARE of the trace and known, shape (m,).
        horizons: How far ahead in steps, increasing.
        every: Each so many-th possible origin is asked for; 1: all.
    """

    trace: Trace
    origins: Ints
    horizons: tuple[int, ...]
    every: int = 1

    @property
    def split(self) -> int:
        """Where the test section begins: the first index an origin may have."""
        return split_of(self.trace)

    def seconds(self, ahead: int) -> float:
        """Return a horizon in seconds."""
        return ahead * self.trace.step_seconds


def case_of(trace: Trace, horizons_seconds: Sequence[float] = (), most_origins: int = DEFAULT_MOST_ORIGINS) -> Case:
    """Return what is asked of a trace.

    Args:
        trace: The load.
        horizons_seconds: How far ahead; none: the usual ones for its step.
        most_origins: Of a longer test section only each so many-th origin is asked for.
    """
    ahead = horizons(trace.step_seconds, horizons_seconds)
    possible = np.arange(split_of(trace), len(trace.rps) - ahead[0], dtype=np.int64)
    every = stride(len(possible), most_origins, trace.step_seconds)
    chosen = possible[::every]
    return Case(trace, chosen[np.isfinite(trace.rps[chosen])], ahead, every)


def split_of(trace: Trace) -> int:
    """Return the index where a trace's test section begins."""
    return math.ceil(len(trace.rps) * (1.0 - TEST_SHARE))


def horizons(step_seconds: float, asked_seconds: Sequence[float] = ()) -> tuple[int, ...]:
    """Return horizons in steps, increasing: whole steps that cover the seconds, at least one."""
    usual = FINE_HORIZONS_SECONDS if step_seconds < FINE_STEP_SECONDS else COARSE_HORIZONS_SECONDS
    return tuple(sorted({steps_of(seconds, step_seconds) for seconds in asked_seconds or usual}))


def steps_of(seconds: float, step_seconds: float) -> int:
    """Return how many steps cover a horizon; at least one."""
    return max(math.ceil(seconds / step_seconds - 1e-9), 1)


def stride(possible: int, most: int, step_seconds: float) -> int:
    """Return the least stride that asks for at most `most`, and that does not always hit the same minutes of an hour."""
    every = max(-(-possible // most), 1)
    per_hour = max(round(3600.0 / step_seconds), 1)
    while every > 1 and math.gcd(every, per_hour) > 1:
        every += 1
    return every
