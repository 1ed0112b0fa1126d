"""Statistics by which loads differ, of one series each."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats

DAY_SECONDS: Final = 86_400.0
COARSE_SECONDS: Final = 600.0
"""Autocorrelation and change are those of means this long, or of the steps where these are longer."""

LEAST_PAIRS: Final = 100

Series = NDArray[np.float32] | Floats
Statistic = Callable[[Series, float], float]
"""Of rps of shape (n,), NaN where missing, and the step's seconds; NaN where it is not defined."""


def peak_over_mean(rps: Series, step_seconds: float) -> float:  # noqa: ARG001 - all of them are called alike
    """Return the largest value in units of the mean."""
    known = rps[np.isfinite(rps)]
    return _ratio(float(known.max(initial=0.0)), _mean(known))


def zeros(rps: Series, step_seconds: float) -> float:  # noqa: ARG001 - all of them are called alike
    """Return the share of known steps without a request."""
    known = rps[np.isfinite(rps)]
    return _ratio(float((known == 0.0).sum()), len(known))


def step_change(rps: Series, step_seconds: float) -> float:  # noqa: ARG001 - all of them are called alike
    """Return the mean change from a step to the next in units of the mean."""
    return _change(rps, 1)


def ten_minute_change(rps: Series, step_seconds: float) -> float:
    """Return the error of the last value ten minutes ahead (a step where that is longer), in units of the mean."""
    return _change(rps, max(round(COARSE_SECONDS / step_seconds), 1))


def daily_correlation(rps: Series, step_seconds: float) -> float:
    """Return the autocorrelation at one day."""
    return _autocorrelation(rps, step_seconds, DAY_SECONDS)


def weekly_correlation(rps: Series, step_seconds: float) -> float:
    """Return the autocorrelation at seven days."""
    return _autocorrelation(rps, step_seconds, 7 * DAY_SECONDS)


def missing(rps: Series, step_seconds: float) -> float:  # noqa: ARG001 - all of them are called alike
    """Return the share of steps that are not known."""
    return float(np.isnan(rps).mean())


def mean_rps(rps: Series, step_seconds: float) -> float:  # noqa: ARG001 - all of them are called alike
    """Return the mean of what is known, rps."""
    return _mean(rps[np.isfinite(rps)])


STATISTICS: Final[Mapping[str, Statistic]] = MappingProxyType(
    {
        "mean, rps": mean_rps,
        "peak / mean": peak_over_mean,
        "autocorrelation, 1 day": daily_correlation,
        "autocorrelation, 1 week": weekly_correlation,
        "steps that are zero": zeros,
        "change per step / mean": step_change,
        "change in 10 min / mean": ten_minute_change,
        "steps missing": missing,
    }
)


def _mean(known: Series) -> float:
    return float(known.mean(dtype=np.float64)) if len(known) else np.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else np.nan


def _change(rps: Series, steps: int) -> float:
    if len(rps) <= steps:
        return np.nan
    changes = np.abs(rps[steps:] - rps[:-steps])
    return _ratio(_mean(changes[np.isfinite(changes)]), _mean(rps[np.isfinite(rps)]))


def _autocorrelation(rps: Series, step_seconds: float, lag_seconds: float) -> float:
    together = max(round(COARSE_SECONDS / step_seconds), 1)
    means = coarse(rps, together)
    lag = round(lag_seconds / (together * step_seconds))
    if len(means) <= lag:
        return np.nan
    early, late = means[:-lag], means[lag:]
    known = np.isfinite(early) & np.isfinite(late)
    early, late = early[known], late[known]
    if len(early) < LEAST_PAIRS or min(np.ptp(early), np.ptp(late)) <= 1e-9 * (abs(early).max() + abs(late).max()):
        return np.nan
    return float(np.corrcoef(early, late)[0, 1])


def coarse(rps: Series, together: int) -> Floats:
    """Return means over as many steps each, of those that are known; NaN where none is."""
    whole = rps[len(rps) % together :].reshape(-1, together).astype(np.float64)
    known = np.isfinite(whole).sum(axis=1)
    return np.where(known > 0, np.nansum(whole, axis=1) / np.maximum(known, 1), np.nan)
