"""The learned forecaster: boosted trees for each quantile, one model for all series, direct at a few horizons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats, QuantileForecast, WorkloadKey
from modelscaler.forecast.base import TARGETS, ForecastRequest, Origin, assembled, ladder, origin_of
from modelscaler.forecast.features import Frame, Past, frame, past_of
from modelscaler.forecast.threads import one_thread

NAME: Final = "learned"
SHORTEST_HISTORY_STEPS = 64


class Regressor(Protocol):
    """The part of a fitted scikit-learn regressor that is used."""

    def predict(self, features: Floats) -> NDArray[np.float64]:
        """Return one number for each row of shape (rows, features)."""
        ...


@dataclass(frozen=True, slots=True)
class HoldoutLosses:
    """Mean losses of one series over origins that no tree has seen: by forecaster, shape (targets, quantiles), rps."""

    origins: int
    losses: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class LearnedModel:
    """A fitted model with what was measured of it: the very model that was measured is the one that serves.

    `regressors` holds one for each target and quantile. `shift` of shape (targets, quantiles) corrects the squashed
    quantiles by what the holdout showed. It answers for `step_seconds` and up to `longest_steps` ahead. No value after
    `fitted_until` was used in fitting.
    """

    regressors: tuple[tuple[Regressor, ...], ...]
    shift: Floats
    step_seconds: float
    longest_steps: int
    fitted_until: datetime
    rows: int
    holdout: Mapping[WorkloadKey, HoldoutLosses] = field(default_factory=dict)

    def quantiles(self, frames: Sequence[Frame]) -> Floats:
        """Return quantiles in rps for the frames of the two targets, shape (targets, m, quantiles)."""
        with one_thread():
            squashed = [
                np.column_stack([regressor.predict(seen.features) for regressor in regressors])
                for seen, regressors in zip(frames, self.regressors, strict=True)
            ]
        return np.stack(
            [
                seen.absolute(np.sort(quantiles + shift, axis=-1))
                for seen, quantiles, shift in zip(frames, squashed, self.shift, strict=True)
            ]
        )


@dataclass(frozen=True, slots=True)
class LearnedForecaster:
    """Serves a learned model."""

    model: LearnedModel

    @property
    def name(self) -> str:
        """What it is called in methods and weights."""
        return NAME

    @property
    def learned(self) -> bool:
        """It was fitted to data."""
        return True

    def forecast(self, requests: Sequence[ForecastRequest], now: datetime) -> list[QuantileForecast | None]:
        """Answer each request in its place; None where the history is too short or the horizon beyond what was learned."""
        answers: list[QuantileForecast | None] = [None] * len(requests)
        usable = [(i, origin) for i, r in enumerate(requests) if (origin := self._origin(r, now)) is not None]
        if not usable:
            return answers
        described = [_described(origin, requests[i]) for i, origin in usable]
        quantiles = self.model.quantiles([joined([frames[t] for frames in described]) for t in range(TARGETS)])
        row = 0
        for i, origin in usable:
            rungs = ladder(origin.reach)
            answers[i] = assembled(origin, rungs, quantiles[:, row : row + len(rungs)], now, self.name, self.learned)
            row += len(rungs)
        return answers

    def _origin(self, request: ForecastRequest, now: datetime) -> Origin | None:
        origin = origin_of(request, now) if request.allow_learned else None
        if origin is None or origin.series.last + 1 < SHORTEST_HISTORY_STEPS:
            return None
        fits = abs(origin.step_seconds - self.model.step_seconds) < 1e-6 and origin.reach <= self.model.longest_steps
        return origin if fits else None


def _described(origin: Origin, request: ForecastRequest) -> list[Frame]:
    """Return the frames of both targets with one row for each rung."""
    past = past_of(origin.series, np.array([origin.series.last]))
    by_rung = [
        frames(past, rung, origin.end, request.season_seconds, origin.step_seconds) for rung in ladder(origin.reach)
    ]
    return [joined([pair[target] for pair in by_rung]) for target in range(TARGETS)]


def frames(past: Past, ahead: int, end: datetime, season_seconds: float, step_seconds: float) -> tuple[Frame, Frame]:
    """Return the frames of both targets for origins of a series whose last value is at `end`."""
    series, origins = past.series, past.origins
    ends = end.timestamp() + (origins + ahead - series.last) * step_seconds
    phases = np.asarray(ends / season_seconds % 1.0, dtype=np.float64)
    return frame(past, series.values, ahead, phases), frame(past, series.peaks(ahead), ahead, phases)


def joined(parts: Sequence[Frame]) -> Frame:
    """Return the rows of several frames below each other."""
    return Frame(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.anchor for part in parts]),
        np.concatenate([part.scale for part in parts]),
    )
