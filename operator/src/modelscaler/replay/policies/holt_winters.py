"""Holt-Winters with an additive trend and season, as the predictive HorizontalPodAutoscaler has statsmodels compute it.

The component form of Hyndman and Athanasopoulos, *Forecasting: Principles and Practice*, 3rd ed., 8.3, with the initial state
of statsmodels' `initialization_method="heuristic"` (`statsmodels/tsa/exponential_smoothing/initialization.py`,
`_initialization_heuristic`, after Hyndman et al., *Forecasting with Exponential Smoothing*, 2.6). statsmodels' default there is
to estimate the initial state anew, by a search, each time; that matters little once a few seasons have passed, and is too slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelscaler.domain import Floats

TREND_POINTS: Final = 10
MOST_CYCLES: Final = 5


@dataclass(slots=True)
class Components:
    """Level, trend and season after some values.

    Attributes:
        level: Of the newest value.
        trend: Per step.
        seasonal: One for each step of the season.
        at: Where in the season the next value is.
    """

    level: float
    trend: float
    seasonal: list[float]
    at: int = 0

    def next_value(self) -> float:
        """Return the next value expected."""
        return self.level + self.trend + self.seasonal[self.at]

    def take(self, value: float, alpha: float, beta: float, gamma: float) -> None:
        """Take a value into account."""
        before, season = self.level + self.trend, self.seasonal[self.at]
        level = alpha * (value - season) + (1.0 - alpha) * before
        self.trend = beta * (level - self.level) + (1.0 - beta) * self.trend
        self.seasonal[self.at] = gamma * (value - before) + (1.0 - gamma) * season
        self.level = level
        self.at = (self.at + 1) % len(self.seasonal)


def needed(season: int) -> int:
    """Return how many values a first forecast needs."""
    return max(2 * season, TREND_POINTS + 2 * (season // 2))


def looked_at(values: int, season: int) -> int:
    """Return how many of the first values the initial state is made of."""
    cycles = max(min(MOST_CYCLES, values // season), -(-(TREND_POINTS + 2 * (season // 2)) // season))
    return min(values, cycles * season)


def initial(series: Sequence[float], season: int) -> Components:
    """Return the state before the first value.

    Args:
        series: At least `needed(season)` values.
        season: Length of the season in steps.
    """
    used = np.asarray(series[: looked_at(len(series), season)], dtype=np.float64)
    smooth = _centred_mean(used, season)
    first = season // 2
    detrended = np.full(-(-len(used) // season) * season, np.nan)
    detrended[first : first + len(smooth)] = used[first : first + len(smooth)] - smooth
    seasonal = np.nanmean(detrended.reshape(-1, season), axis=0)
    seasonal -= seasonal.mean()
    points = np.arange(1.0, TREND_POINTS + 1.0)
    trend, level = np.polynomial.polynomial.polyfit(points, smooth[:TREND_POINTS], 1)[::-1]
    return Components(float(level), float(trend), seasonal.tolist())


def _centred_mean(values: Floats, season: int) -> Floats:
    """Return the moving average over a season; over its two middle positions where the season is even."""
    mean = np.convolve(values, np.full(season, 1.0 / season), mode="valid")
    smooth: Floats = mean if season % 2 else (mean[1:] + mean[:-1]) / 2.0
    return smooth


@dataclass(slots=True)
class HoltWinters:
    """The model over a growing series of which the oldest seasons are forgotten.

    Between two forecasts the initial state seldom changes; only when it does is the whole series gone through again.

    Attributes:
        season: Length of the season in steps.
        stored_seasons: So many whole ones are kept, and what of the next has passed.
        alpha: Smoothing of the level.
        beta: Of the trend.
        gamma: Of the season.
    """

    season: int
    stored_seasons: int
    alpha: float
    beta: float
    gamma: float
    _series: list[float] = field(default_factory=list)
    _looked_at: int = 0
    _state: Components | None = None

    def forecast_after(self, value: float) -> float | None:
        """Take a value, and return the next one expected; None while there are too few."""
        self._series.append(value)
        if len(self._series) < needed(self.season):
            return None
        state = self._after(value)
        forecast = state.next_value()
        self._forget()
        return forecast

    def _after(self, value: float) -> Components:
        size = looked_at(len(self._series), self.season)
        if self._state is None or size != self._looked_at:
            self._state, self._looked_at = initial(self._series, self.season), size
            fresh: Sequence[float] = self._series
        else:
            fresh = (value,)
        for one in fresh:
            self._state.take(one, self.alpha, self.beta, self.gamma)
        return self._state

    def _forget(self) -> None:
        surplus = len(self._series) // self.season - self.stored_seasons
        if surplus > 0:
            del self._series[: surplus * self.season]
            self._state = None
