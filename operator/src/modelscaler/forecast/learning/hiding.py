"""Hides groups of inputs at random while learning, so that the network can do without them.

A young series has no last week, an odd one no hours that mean anything: neither may leave the network lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from modelscaler.forecast.anchor import EXCESSES
from modelscaler.forecast.base import TARGETS
from modelscaler.forecast.calendar import HOUR_WAVES
from modelscaler.forecast.frames import BURSTS, LEVEL_SECONDS, MEAN_LENGTHS, PEAK_LENGTHS, SINGLE_STEPS
from modelscaler.forecast.rules import RULES

_LOADS: Final = SINGLE_STEPS + 1 + len(MEAN_LENGTHS) + len(LEVEL_SECONDS) + len(PEAK_LENGTHS)
_WEEK_LEVEL: Final = SINGLE_STEPS + len(MEAN_LENGTHS) + len(LEVEL_SECONDS)
_GUESSES: Final = _LOADS
_DOUBTS: Final = _GUESSES + TARGETS * len(RULES)
_RECORDS: Final = _DOUBTS + TARGETS * len(RULES)
_LAGS: Final = _RECORDS + TARGETS * len(EXCESSES) + 1
_LAGS_EACH: Final = 4  # the least and the most of the last days, the most of the last half hours and hours
_BURSTS: Final = _LAGS + TARGETS * _LAGS_EACH
_SHAPE: Final = _BURSTS + 2 * len(BURSTS)
_HOUR_WAVES: Final = _SHAPE + 8
_DAY_WAVES: Final = _HOUR_WAVES + 2 * HOUR_WAVES
_WEEK_WAVES: Final = _DAY_WAVES + 6
FEATURES: Final = _WEEK_WAVES + 5


def _of_rules(*words: str) -> list[int]:
    """Return the columns of guesses and doubts of the rules whose names have one of the words."""
    named = [number for number, name in enumerate(RULES) if any(word in name for word in words)]
    return [
        start + track * len(RULES) + number
        for start in (_GUESSES, _DOUBTS)
        for track in range(TARGETS)
        for number in named
    ]


def _of_lags(*places: int) -> list[int]:
    return [_LAGS + track * _LAGS_EACH + place for track in range(TARGETS) for place in places]


WEEK_AND_CALENDAR: Final = (_WEEK_LEVEL, *_of_rules("week"), *range(_DAY_WAVES, FEATURES))
DAYS: Final = (*_of_rules("day", "days", "week"), *_of_lags(0, 1))
SCHEDULES: Final = (
    *_of_rules("half-hours", "hours"),
    *_of_lags(2, 3),
    *range(_BURSTS, _SHAPE),
    *range(_HOUR_WAVES, _DAY_WAVES),
)


@dataclass(frozen=True, slots=True)
class Hiding:
    """How often, of all rows, each group of columns is hidden."""

    week_and_calendar: float = 0.0
    days: float = 0.0
    schedules: float = 0.0

    def applied(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Return features of shape (rows, features) with NaN in what is hidden."""
        groups: Sequence[tuple[tuple[int, ...], float]] = (
            (WEEK_AND_CALENDAR, self.week_and_calendar),
            (DAYS, self.days),
            (SCHEDULES, self.schedules),
        )
        for columns, share in groups:
            if share > 0.0:
                rows = torch.nonzero(torch.rand(len(features), generator=generator) < share)
                features[rows, torch.tensor(columns)] = torch.nan
        return features
