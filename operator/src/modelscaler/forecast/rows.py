"""Cuts series into what is learned from and what only scores, and makes rows of the former."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from modelscaler.domain import Floats, LoadWindow, WorkloadKey
from modelscaler.forecast.base import ForecastRequest
from modelscaler.forecast.features import Frame, past_of
from modelscaler.forecast.learned import SHORTEST_HISTORY_STEPS, frames
from modelscaler.forecast.series import Ints, Series, at

HOLDOUT_SHARE = 0.15
LONGEST_HOLDOUT_SEASONS = 1.5


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """One series to learn from: its history, the season that repeats and how far ahead it is forecast, in seconds."""

    window: LoadWindow
    season_seconds: float
    horizon_seconds: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A series cut in two: values up to index `cutoff` are learned from, those after it only score."""

    key: WorkloadKey
    series: Series
    end: datetime
    season_seconds: float
    step_seconds: float
    cutoff: int

    @property
    def cutoff_time(self) -> datetime:
        """When the last value was that is learned from."""
        return self.end - timedelta(seconds=(self.series.last - self.cutoff) * self.step_seconds)

    def frames(self, origins: Ints, ahead: int) -> tuple[Frame, Frame]:
        """Return the frames of both targets."""
        return frames(past_of(self.series, origins), ahead, self.end, self.season_seconds, self.step_seconds)

    def actual(self, origins: Ints, ahead: int) -> Floats:
        """Return what came, value and peak, shape (targets, m), NaN where unknown."""
        return np.stack([at(self.series.values, origins + ahead), at(self.series.peaks(ahead), origins + ahead)])


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to learn from: for each target a frame and squashed targets of shape (m,).

    `newest` is the index of the newest value that any row has seen, its target included.
    """

    frames: tuple[Frame, Frame]
    targets: tuple[Floats, Floats]
    newest: int


def prepare(key: WorkloadKey, training: TrainingWindow, now: datetime) -> Prepared | None:
    """Cut a series at `now`, and into what is learned from and what scores; None when nothing is known."""
    window = training.window
    late = max(0, math.ceil((window.end - now).total_seconds() / window.step_seconds - 1e-6))
    past = window.rps[: len(window.rps) - late]
    cut = LoadWindow(window.step_seconds, window.end - timedelta(seconds=late * window.step_seconds), past)
    known = ForecastRequest(cut, training.season_seconds, training.horizon_seconds).known
    if known is None:
        return None
    series, end = known
    holdout = min(HOLDOUT_SHARE * len(series.values), LONGEST_HOLDOUT_SEASONS * series.season)
    return Prepared(key, series, end, training.season_seconds, window.step_seconds, series.last - int(holdout))


def rows_of(prepared: Prepared, ahead: int, count: int, rng: np.random.Generator) -> Rows | None:
    """Return up to `count` rows for one horizon, with targets at the cutoff or before; None when there is none."""
    origins = np.arange(SHORTEST_HISTORY_STEPS // 2, prepared.cutoff - ahead + 1)
    chosen = np.sort(rng.permutation(usable(prepared, origins, ahead))[:count])
    if not len(chosen):
        return None
    seen, actual = prepared.frames(chosen, ahead), prepared.actual(chosen, ahead)
    targets = (seen[0].relative(actual[0]), seen[1].relative(actual[1]))
    return Rows(seen, targets, newest=int(chosen[-1]) + ahead)


def usable(prepared: Prepared, origins: Ints, ahead: int) -> Ints:
    """Return the origins at which the value and both targets are known."""
    known = np.isfinite(prepared.series.values[origins]) & np.isfinite(prepared.actual(origins, ahead)).all(axis=0)
    return origins[known]
