"""A strong simple forecast: a mix of rules, each trusted by its error of the last day."""

from typing import Final

import numpy as np

from modelscaler.backtest.naive import MEAN_SECONDS, mean_so_far, trailing_mean
from modelscaler.backtest.shifting import earlier
from modelscaler.backtest.trace import Trace
from modelscaler.domain import Floats

SHARPNESS: Final = 12.0
DAYS_BACK: Final = (1, 7)
MEANS_SECONDS: Final = (MEAN_SECONDS / 3, MEAN_SECONDS, 2 * MEAN_SECONDS, 4 * MEAN_SECONDS)
LEAST_SHARE_OF_LEVEL: Final = 0.003


def predictions(trace: Trace, track: Floats, ahead: int) -> Floats:
    """Return what simple rules say at every origin, shape (rules, n), NaN where one cannot tell.

    Args:
        trace: The load.
        track: What came after each origin, shape (n,); only what was known at an origin is used there.
        ahead: The horizon in steps.
    """
    rps = trace.rps
    means = [trailing_mean(rps, max(round(seconds / trace.step_seconds), 3)) for seconds in MEANS_SECONDS]
    rows = [rps, *means]
    for days in DAYS_BACK:
        back = days * trace.steps_per_day
        if back >= ahead:
            then, came = earlier(rps, back), earlier(track, back)
            level_then = earlier(means[1], back)
            rows += [came, np.maximum(rps + came - then, 0.0), np.maximum(means[1] + came - level_then, 0.0)]
            rows.append(means[1] * np.clip(_ratio(came, level_then), 0.0, 5.0))
    return np.stack(rows)


def anchored(trace: Trace, track: Floats, ahead: int) -> tuple[Floats, Floats]:
    """Return the mix and how far off the best of its rules was lately, both in rps and of shape (n,) by origin.

    Errors of the last day count, of targets observed by the origin; the mix is NaN where no rule can tell.
    """
    rows = predictions(trace, track, ahead)
    floor = LEAST_SHARE_OF_LEVEL * mean_so_far(trace.rps) + 1e-12
    day = max(trace.steps_per_day, 10)
    errors = np.stack([earlier(trailing_mean(np.abs(track - row), day), ahead) for row in rows]) + floor
    errors = np.where(np.isfinite(rows) & np.isfinite(errors), errors, np.inf)
    least = errors.min(axis=0)
    with np.errstate(invalid="ignore"):
        weights = np.where(np.isfinite(errors), np.exp(-SHARPNESS * (errors / least - 1.0)), 0.0)
    total = weights.sum(axis=0)
    mix = (weights * np.where(weights > 0.0, rows, 0.0)).sum(axis=0) / np.maximum(total, 1e-300)
    usual = trailing_mean(trace.rps, max(round(MEAN_SECONDS / trace.step_seconds), 3))
    return np.where(total > 0.0, mix, usual), np.where(np.isfinite(least), least, usual + floor)


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(under > 0.0, over / under, np.nan)
