"""Guesses of what comes, for the value and for the window's peak alike: what forecasts are anchored to and measured against.

Every rule looks at a panel up to the origins and never beyond. All are computed together, because they share their parts.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.forecast.panel import Floats32, Ints, Panel

DAY_SECONDS: Final = 86_400.0
WEEK_DAYS: Final = 7
MEAN_SECONDS: Final = (600.0, 1_800.0, 7_200.0)
LEAST_MEAN_STEPS: Final = (3, 3, 12)
HALF_HOURS: Final = 8
HOURS: Final = 12
LEAST_PERIOD_STEPS: Final = 6
MOST_RATIO: Final = 10.0

VALUE_RULES: Final = (
    "last", "short", "mean", "long", "day", "week", "days",
    "last+day", "mean+day", "last+week", "mean+week", "last*day", "mean*day", "last*week", "mean*week",
    "mean+days", "half-hours", "hours",
)  # fmt: skip
RULES: Final = VALUE_RULES
NAIVE: Final = ("last", "mean", "day", "last+day")
NAIVE_COLUMNS: Final = tuple(RULES.index(name) for name in NAIVE)


@dataclass(frozen=True, slots=True)
class Lags:
    """What was at the same phase of earlier periods, for one track: each of shape (B, G), `days` (7, B, G).

    `half_hours` and `hours` are means over the last ones, `most_half_hours` and `most_hours` maxima.
    """

    days: Floats32
    half_hours: Floats32
    hours: Floats32
    most_half_hours: Floats32
    most_hours: Floats32


@dataclass(frozen=True, slots=True)
class Guesses:
    """Guesses of all rules at origins, for one horizon.

    `points` has shape (2, rules, B, G), rps, NaN where a rule lacks the history that it looks back on; `lags` those of the
    value and of the peak.
    """

    points: Floats32
    lags: tuple[Lags, Lags]


def guesses(panel: Panel, origins: Ints, ahead: int) -> Guesses:
    """Return the guesses of every rule for the value at origin + `ahead` and for the maximum on the way there.

    Args:
        panel: The series.
        origins: Columns that are forecast from, shape (G,).
        ahead: The horizon in steps.
    """
    value_lags = _lags(panel, origins, ahead, peak=False)
    peak_lags = _lags(panel, origins, ahead, peak=True) if ahead > 1 else value_lags
    levels = [panel.value(origins, 0), *means(panel, origins, 0)]
    value = _points(panel, origins, levels, value_lags, levels)
    peaks = [panel.peak(origins, 0, ahead), *_peak_means(panel, origins, ahead)] if ahead > 1 else levels
    peak = _points(panel, origins, levels, peak_lags, peaks) if ahead > 1 else value
    return Guesses(np.stack([value, peak]), (value_lags, peak_lags))


def means(panel: Panel, origins: Ints, back: int) -> list[Floats32]:
    """Return the means of the last 10 minutes, 30 minutes and 2 hours, or as many steps as make sense of a longer step."""
    return [panel.mean(origins, back, length) for length in mean_lengths(panel)]


def mean_lengths(panel: Panel) -> list[int]:
    """Return the lengths of the recent means in steps."""
    return [max(panel.steps(s), n) for s, n in zip(MEAN_SECONDS, LEAST_MEAN_STEPS, strict=True)]


def _peak_means(panel: Panel, origins: Ints, ahead: int) -> list[Floats32]:
    """Return means of the peaks of earlier windows of the same length, over stretches as long as those of the means."""
    found = []
    for length in mean_lengths(panel):
        windows = min(max(round(length / ahead), 1), 4)
        found.append(known_mean(np.stack([panel.peak(origins, k * ahead, ahead) for k in range(windows)])))
    return found


def _points(panel: Panel, origins: Ints, levels: list[Floats32], lags: Lags, here: list[Floats32]) -> Floats32:
    last, mean = levels[0], levels[2]
    day = panel.steps(DAY_SECONDS)
    mean_length = mean_lengths(panel)[1]
    daily, weekly = lags.days[0], lags.days[WEEK_DAYS - 1]
    bases = []
    for back, then in ((day, daily), (WEEK_DAYS * day, weekly)):
        last_then = panel.value(origins, back)
        mean_then = panel.mean(origins, back, mean_length)
        bases.append((last_then, mean_then, then))
    added = [
        np.maximum(now + then - before, 0.0) for one, many, then in bases for now, before in ((last, one), (mean, many))
    ]
    scaled = [now * _ratio(then, before) for one, many, then in bases for now, before in ((last, one), (mean, many))]
    days = known_mean(lags.days)
    means_then = known_mean(np.stack([panel.mean(origins, k * day, mean_length) for k in range(1, WEEK_DAYS + 1)]))
    many = np.maximum(mean + days - means_then, 0.0)
    return np.stack([*here, daily, weekly, days, *added, *scaled, many, lags.half_hours, lags.hours]).astype(np.float32)


def _lags(panel: Panel, origins: Ints, ahead: int, peak: bool) -> Lags:
    day = panel.steps(DAY_SECONDS)
    days = np.stack([_seen(panel, origins, ahead, k * day, peak) for k in range(1, WEEK_DAYS + 1)])
    half_hours = _phases(panel, origins, ahead, panel.steps(1800.0), HALF_HOURS, peak)
    hours = _phases(panel, origins, ahead, panel.steps(3600.0), HOURS, peak)
    return Lags(days, known_mean(half_hours), known_mean(hours), known_most(half_hours), known_most(hours))


def _phases(panel: Panel, origins: Ints, ahead: int, period: int, count: int, peak: bool) -> Floats32:
    """Return what was at the same phase of the last periods, (count, B, G); NaN where a period is too short to have phases."""
    if period < LEAST_PERIOD_STEPS or period < ahead:
        return np.full((1, panel.series, len(origins)), np.nan, dtype=np.float32)
    return np.stack([_seen(panel, origins, ahead, k * period, peak) for k in range(1, count + 1)])


def _seen(panel: Panel, origins: Ints, ahead: int, period: int, peak: bool) -> Floats32:
    """Return what was forecast now, `period` steps earlier; NaN where that is not known at the origin."""
    back = period - ahead
    if back < 0:
        return np.full((panel.series, len(origins)), np.nan, dtype=np.float32)
    if peak and ahead > 1:
        return panel.peak(origins, back, ahead)
    found = panel.value(origins, back)
    gaps = np.isnan(found)
    if gaps.any():
        found = np.where(gaps, panel.mean(origins, max(back - 1, 0), 3), found)
    return found


def _ratio(then: Floats32, before: Floats32) -> Floats32:
    ratio = then / np.where(before > 0, before, np.nan)
    return np.minimum(ratio, np.float32(MOST_RATIO))


def known_mean(stack: Floats32) -> Floats32:
    """Return the mean of what is known along the first axis; NaN where nothing is."""
    known = np.isfinite(stack)
    count = known.sum(axis=0)
    total = np.where(known, stack, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.float32(np.nan)).astype(np.float32)


def known_most(stack: Floats32) -> Floats32:
    """Return the maximum of what is known along the first axis; NaN where nothing is."""
    most = np.where(np.isfinite(stack), stack, -np.inf).max(axis=0)
    return np.where(np.isfinite(most), most, np.float32(np.nan))
