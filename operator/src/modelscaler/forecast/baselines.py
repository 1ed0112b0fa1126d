"""Naive forecasters: a rule, and around it the errors it made itself over the last seasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist
from typing import Final

import numpy as np

from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import (
    LEVELS,
    TARGETS,
    ForecastRequest,
    Origin,
    assembled,
    ladder,
    origin_of,
)
from modelscaler.forecast.points import RULES, Rule
from modelscaler.forecast.series import Ints, Series, at

# Errors of one season alone would take a day that was busier throughout for the rule.
ERROR_SEASONS = 4
SHORTEST_ERROR_STEPS = 200
MOST_ERRORS = 800

# Before a series has errors of its own: as many made-up ones, normally distributed with this share of the load after one
# step and growing like a random walk. They fade out over the first hundred real ones.
PRIOR_ERRORS = 10
PRIOR_DEVIATION = 0.1
MOST_PRIOR_DEVIATION = 0.5
ERRORS_PER_PRIOR = 10

_NORMAL: Final = np.array([NormalDist().inv_cdf((i + 0.5) / PRIOR_ERRORS) for i in range(PRIOR_ERRORS)])


@dataclass(frozen=True, slots=True)
class NaiveForecaster:
    """A rule with quantiles from its own past errors, for the value and for the peak separately."""

    rule: Rule

    @property
    def name(self) -> str:
        """Name of the rule."""
        return self.rule.name

    @property
    def learned(self) -> bool:
        """A rule is not fitted."""
        return False

    def forecast(self, requests: Sequence[ForecastRequest], now: datetime) -> list[QuantileForecast | None]:
        """Answer each request in its place; None where the rule lacks the history it looks back on."""
        return [self._forecast(origin_of(request, now), now) for request in requests]

    def _forecast(self, origin: Origin | None, now: datetime) -> QuantileForecast | None:
        if origin is None:
            return None
        series, rungs = origin.series, ladder(origin.reach)
        last = np.array([series.last])
        quantiles = naive_quantiles(self.rule, series, rungs, known_until=series.last, origins=last)[:, :, 0]
        if not np.isfinite(quantiles).all():
            return None
        return assembled(origin, rungs, quantiles, now, self.name, self.learned)


BASELINES: Final = tuple(NaiveForecaster(rule) for rule in RULES)


def naive_quantiles(rule: Rule, series: Series, rungs: Sequence[int], known_until: int, origins: Ints) -> Floats:
    """Forecast with a rule whose errors are known up to an index.

    Args:
        rule: The rule.
        series: The series; the rule looks at it up to each origin.
        rungs: Horizons in steps.
        known_until: Errors of targets beyond this index are not looked at.
        origins: Indices that are forecast from, shape (m,).

    Returns:
        Quantiles of value and peak in rps, shape (targets, rungs, m, quantiles); NaN where the rule cannot tell.
    """
    floor = _floor(series, known_until)
    points = np.empty((TARGETS, len(rungs), len(origins)))
    offsets = np.empty((TARGETS, len(rungs), len(LEVELS)))
    for row, ahead in enumerate(rungs):
        past = error_origins(series, known_until - ahead)
        for target, track in enumerate((series.values, series.peaks(ahead))):
            points[target, row] = rule.points(series, track, origins, ahead)
            guess = rule.points(series, track, past, ahead)
            offsets[target, row] = error_quantiles((at(track, past + ahead) - guess) / (guess + floor), ahead)
    return np.maximum(points[..., None] + offsets[:, :, None] * (points[..., None] + floor), 0.0)


def error_origins(series: Series, last: int) -> Ints:
    """Return the origins whose errors are looked at: spread over the last seasons before `last`, at known values."""
    span = max(ERROR_SEASONS * series.season, SHORTEST_ERROR_STEPS)
    stride = -(-span // MOST_ERRORS)
    origins = np.arange(last, max(last - span, -1), -stride)[::-1]
    return origins[np.isfinite(series.values[origins])] if len(origins) else origins


def error_quantiles(errors: Floats, ahead: int) -> Floats:
    """Return quantiles of relative errors, shape (quantiles,), honest when few are known.

    The rank is that of split conformal prediction (Vovk et al. 2005), rounded away from the middle.
    """
    known = errors[np.isfinite(errors)]
    made_up = max(PRIOR_ERRORS - len(known) // ERRORS_PER_PRIOR, 0)
    if made_up:
        deviation = min(PRIOR_DEVIATION * np.sqrt(ahead), MOST_PRIOR_DEVIATION)
        # The widest first, so that those which stay longest guard the tails.
        widest = _NORMAL[np.argsort(-np.abs(_NORMAL), kind="stable")][:made_up]
        known = np.concatenate((known, np.maximum(deviation * widest, -1.0)))
    ordered = np.sort(known)
    count = len(ordered)
    upper = np.ceil((count + 1) * LEVELS) - 1
    lower = np.floor((count + 1) * LEVELS) - 1
    ranks = np.where(LEVELS > 0.5, upper, np.where(LEVELS < 0.5, lower, np.round((count - 1) * LEVELS)))
    quantiles: Floats = ordered[np.clip(ranks, 0, count - 1).astype(int)]
    return quantiles


def _floor(series: Series, known_until: int) -> float:
    """Return the load in rps that errors are measured against besides the guess itself: the mean of the last season.

    Errors are thus half relative, half absolute: noise grows with load, but not from nothing.
    """
    level = float(series.mean(np.array([known_until]), max(series.season, SHORTEST_ERROR_STEPS))[0])
    return max(level, 1e-9) if np.isfinite(level) else 1.0
