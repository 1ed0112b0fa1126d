"""The naive rules: simple guesses of what comes, for the value and for the peak alike.

A rule looks at the series up to an origin and never beyond. `track` is what is forecast: the values themselves, or at
each index the peak of the last `ahead` values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from modelscaler.domain import Floats
from modelscaler.forecast.series import Ints, Series, at

RulePoints: TypeAlias = Callable[[Series, Floats, Ints, int], Floats]

MEANS_PER_SEASON = 48  # the customary 30-minute mean, of a season of one day
SHORTEST_MEAN_STEPS = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """A naive rule: `points(series, track, origins, ahead)` is its guess of `track` at each origin + ahead, in rps."""

    name: str
    points: RulePoints


def mean_steps(series: Series) -> int:
    """Return the length of the recent mean in steps: 1/48 of the season (30 minutes of a day), at least three."""
    return max(series.season // MEANS_PER_SEASON, SHORTEST_MEAN_STEPS)


def last_value(series: Series, _track: Floats, origins: Ints, _ahead: int) -> Floats:
    """Guess that the last value stays."""
    return at(series.values, origins)


def recent_mean(series: Series, _track: Floats, origins: Ints, _ahead: int) -> Floats:
    """Guess the mean of the recent past."""
    return series.mean(origins, mean_steps(series))


def seasonal(series: Series, track: Floats, origins: Ints, ahead: int) -> Floats:
    """Guess what was one season before."""
    return series.near(track, origins + ahead - _back(series, ahead))


def last_and_change(series: Series, track: Floats, origins: Ints, ahead: int) -> Floats:
    """Guess the last value and the change that followed one season before."""
    change = seasonal(series, track, origins, ahead) - series.near(series.values, origins - _back(series, ahead))
    return np.maximum(at(series.values, origins) + change, 0.0)


def mean_and_change(series: Series, track: Floats, origins: Ints, ahead: int) -> Floats:
    """Guess the recent mean and the change that followed the same mean one season before."""
    length = mean_steps(series)
    before = series.mean(origins - _back(series, ahead), length)
    return np.maximum(series.mean(origins, length) + seasonal(series, track, origins, ahead) - before, 0.0)


def _back(series: Series, ahead: int) -> int:
    return series.season * -(-ahead // series.season)


LAST: Final = Rule("last", last_value)
MEAN: Final = Rule("mean", recent_mean)
SEASONAL: Final = Rule("seasonal", seasonal)
CHANGE: Final = Rule("change", last_and_change)
MEAN_CHANGE: Final = Rule("mean-change", mean_and_change)

RULES: Final = (LAST, MEAN, SEASONAL, CHANGE)
