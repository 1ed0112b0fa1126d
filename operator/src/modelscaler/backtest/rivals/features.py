"""What a boosted model sees at an origin: the past at several resolutions, yesterday and last week, and the clock."""

from typing import Final

import numpy as np

from modelscaler.backtest.naive import trailing_mean
from modelscaler.backtest.rivals.anchor import DAYS_BACK
from modelscaler.backtest.shifting import earlier
from modelscaler.backtest.trace import DAY_SECONDS, Trace
from modelscaler.domain import Floats

LAGS: Final = (0, 1, 2, 3, 4, 5, 7, 9, 12, 18, 30)
MEANS_SECONDS: Final = (600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0, 604_800.0)
AROUND_SECONDS: Final = 1800.0
PHASE_DAYS: Final = 7
HOUR_SECONDS: Final = 3600.0
MONDAY: Final = 4  # 1970-01-01 was a Thursday


def load_features(trace: Trace, track: Floats, ahead: int) -> Floats:
    """Return features that are loads in rps, shape (features, n) by origin, NaN where unknown.

    Args:
        trace: The load.
        track: What came after each origin, shape (n,); only what was known at an origin is used there.
        ahead: The horizon in steps.
    """
    rps, day = trace.rps, trace.steps_per_day
    means = [trailing_mean(rps, steps) for steps in sorted({_steps(trace, seconds) for seconds in MEANS_SECONDS})]
    rows = [*(earlier(rps, lag) for lag in LAGS), *means]
    around = max(_steps(trace, AROUND_SECONDS), 1)
    for days in DAYS_BACK:
        back = days * day
        if back >= ahead:
            rows += [earlier(track, back), earlier(rps, back), earlier(trailing_mean(rps, around), back)]
        if back >= ahead + around:
            rows.append(earlier(trailing_mean(rps, 2 * around + 1), back - ahead - around))
    if day >= ahead:
        rows.append(_mean_of([earlier(track, days * day) for days in range(1, PHASE_DAYS + 1)]))
    rows += _same_phase(trace, track, ahead)
    return np.stack(rows)


def clock_features(trace: Trace, ahead: int) -> Floats:
    """Return features of the target's time, shape (features, n) by origin: of the day, the week and the hour."""
    start = trace.start.timestamp() + ahead * trace.step_seconds
    seconds = start + np.arange(len(trace.rps)) * trace.step_seconds
    of_day = seconds % DAY_SECONDS
    weekday = (seconds // DAY_SECONDS - MONDAY) % 7
    angle = 2.0 * np.pi * of_day / DAY_SECONDS
    hour = 2.0 * np.pi * of_day / HOUR_SECONDS
    rows = [of_day, weekday, weekday * DAY_SECONDS + of_day, np.sin(angle), np.cos(angle)]
    return np.stack([*rows, of_day % HOUR_SECONDS, of_day % (HOUR_SECONDS / 2), np.sin(hour), np.cos(hour)])


def _same_phase(trace: Trace, track: Floats, ahead: int) -> list[Floats]:
    """Return means of what came at the same minute of the last hours: jobs run by the clock."""
    rows = []
    for seconds in (HOUR_SECONDS / 2, HOUR_SECONDS):
        period = round(seconds / trace.step_seconds)
        if period >= max(ahead, 2):
            rows += [earlier(track, period), _mean_of([earlier(track, times * period) for times in range(1, 7)])]
    return rows


def _mean_of(rows: list[Floats]) -> Floats:
    stacked = np.stack(rows)
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _steps(trace: Trace, seconds: float) -> int:
    return max(round(seconds / trace.step_seconds), 1)
