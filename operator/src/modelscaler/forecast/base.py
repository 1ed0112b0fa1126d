"""What a forecaster is asked, what it answers, and the shape that every answer has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from modelscaler.domain import Floats, LoadWindow, QuantileForecast
from modelscaler.forecast.series import Series, series_of

QUANTILES: Final = (0.1, 0.5, 0.9, 0.95, 0.99)
LEVELS: Final[Floats] = np.array(QUANTILES)
VALUE, PEAK = 0, 1
TARGETS: Final = 2


@dataclass(frozen=True)
class ForecastRequest:
    """What to forecast. `window` may end in a gap; `allow_learned` False: only baselines may answer."""

    window: LoadWindow
    season_seconds: float
    horizon_seconds: float
    allow_learned: bool = True

    @cached_property
    def known(self) -> tuple[Series, datetime] | None:
        """The window up to its last known value, prepared once for all forecasters, and that value's time; None without any."""
        window = self.window
        known = np.flatnonzero(np.isfinite(window.rps))
        if not len(known):
            return None
        values = window.rps[: known[-1] + 1]
        end = window.end - timedelta(seconds=(len(window.rps) - len(values)) * window.step_seconds)
        return series_of(LoadWindow(window.step_seconds, end, values), self.season_seconds), end


class Forecaster(Protocol):
    """Forecasts many series at once, from what is in their windows and nothing else."""

    @property
    def name(self) -> str:
        """One word for people, logs and metrics."""
        ...

    @property
    def learned(self) -> bool:
        """Whether it was fitted to data rather than being a rule."""
        ...

    def forecast(self, requests: Sequence[ForecastRequest], now: datetime) -> list[QuantileForecast | None]:
        """Answer each request in its place; None where this forecaster cannot (say, too little history)."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a forecast starts: at the last known value of a series.

    `end` is the time of that value, `waited` the number of whole steps that have passed since, `steps` the number asked for
    from now on.
    """

    series: Series
    end: datetime
    step_seconds: float
    waited: int
    steps: int

    @property
    def reach(self) -> int:
        """How many steps beyond the last known value are needed."""
        return self.waited + self.steps

    @property
    def start(self) -> datetime:
        """The point of the grid that the steps asked for count from: now, to within a step."""
        return self.end + timedelta(seconds=self.waited * self.step_seconds)


def origin_of(request: ForecastRequest, now: datetime) -> Origin | None:
    """Return where a forecast starts; None when nothing is known."""
    if request.known is None:
        return None
    series, end = request.known
    step_seconds = request.window.step_seconds
    return Origin(
        series=series,
        end=end,
        step_seconds=step_seconds,
        waited=max(math.floor((now - end).total_seconds() / step_seconds), 0),
        steps=steps_within(request.horizon_seconds, step_seconds),
    )


def steps_within(horizon_seconds: float, step_seconds: float) -> int:
    """Return how many steps cover a horizon; at least one."""
    return max(math.ceil(horizon_seconds / step_seconds - 1e-9), 1)


def ladder(steps: int) -> tuple[int, ...]:
    """Return the horizons in steps that are forecast directly: powers of two until `steps` is covered.

    The rungs do not depend on the exact horizon, so what was learned at a rung stays valid when the horizon moves.
    """
    return tuple(2**power for power in range(math.ceil(math.log2(max(steps, 1))) + 1))


def assembled(
    origin: Origin, rungs: Sequence[int], at_rungs: Floats, now: datetime, method: str, learned: bool
) -> QuantileForecast:
    """Turn quantiles at rungs into a forecast for every step from now.

    Args:
        origin: Where the forecast starts.
        rungs: Increasing horizons in steps after the last known value, the last one not below `origin.reach`.
        at_rungs: Shape (targets, rungs, quantiles), rps.
        now: When the forecast is made.
        method: Name of what made it.
        learned: Whether a learned model made it.
    """
    ahead = np.arange(origin.waited + 1, origin.reach + 1)
    columns = at_rungs.transpose(0, 2, 1).reshape(-1, len(rungs))
    every = np.stack([np.interp(ahead, rungs, column) for column in columns])
    quantiles = every.reshape(TARGETS, len(QUANTILES), -1).transpose(0, 2, 1)
    value, peak = coherent(quantiles)
    return QuantileForecast(now, origin.step_seconds, QUANTILES, value, peak, method, learned)


def coherent(quantiles: Floats) -> Floats:
    """Make quantiles of shape (targets, steps, quantiles) possible.

    None is below zero, they do not cross (sorting never worsens their loss: Chernozhukov et al., Econometrica 2010), a
    peak is not below the value at its end, and the peak within a longer time is not below that within a shorter one.
    """
    value, peak = np.sort(np.maximum(quantiles, 0.0), axis=-1)
    return np.stack([value, np.maximum.accumulate(np.maximum(peak, value), axis=0)])


def pinball(actual: Floats, forecast: Floats) -> Floats:
    """Return the loss of quantile forecasts: `actual` of shape (...), `forecast` of shape (..., quantiles), in rps."""
    error = actual[..., None] - forecast
    return np.maximum(LEVELS * error, (LEVELS - 1.0) * error)
