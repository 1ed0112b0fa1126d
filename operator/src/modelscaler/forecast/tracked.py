"""What is remembered of one series between ticks: its history, who forecasts it well, and what waits to be judged."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np

from modelscaler.domain import Floats, ForecastSettings, LoadWindow, QuantileForecast
from modelscaler.forecast.base import ForecastRequest, ladder, origin_of, pinball, steps_within
from modelscaler.forecast.baselines import BASELINES
from modelscaler.forecast.calibration import Calibration
from modelscaler.forecast.holdout import baseline_losses, spread
from modelscaler.forecast.learned import NAME, HoldoutLosses
from modelscaler.forecast.maturing import Maturing, Outcome
from modelscaler.forecast.selection import LEAST_SHARE, LossWeights, mixed, shares
from modelscaler.forecast.series import Series, series_of
from modelscaler.forecast.store import LoadHistory, cell_of, complete_cell

BASELINE_NAMES = tuple(b.name for b in BASELINES)
SEED_ORIGINS = 100
LEAST_SEED_STEPS = 30


class TrackedSeries:
    """One series with everything that its forecasts depend on."""

    def __init__(self, history: LoadHistory) -> None:
        self.history = history
        self.settings: ForecastSettings | None = None
        self.horizon_seconds = 0.0
        self.served: QuantileForecast | None = None
        self.calibration = Calibration()
        self._maturing = Maturing()
        self._weights: LossWeights | None = None
        self._holdout: HoldoutLosses | None = None

    @property
    def wants_learned(self) -> bool:
        """Whether the user lets a learned model serve."""
        return self.settings is not None and self.settings.model == "Auto"

    @property
    def steps(self) -> int:
        """How many steps ahead it is forecast."""
        return steps_within(self.horizon_seconds, self.history.step_seconds)

    @property
    def known_steps(self) -> int:
        """How many steps of the history within the lookback are known."""
        window = self.window()
        return int(np.isfinite(window.rps).sum()) if window is not None else 0

    def ask(self, settings: ForecastSettings, horizon_seconds: float) -> None:
        """Remember what is asked for; another season starts the choice between forecasters anew."""
        if self.settings is None or self.settings.season_seconds != settings.season_seconds:
            self._weights = None
        self.settings, self.horizon_seconds = settings, horizon_seconds

    def request(self, now: datetime, stale_after_steps: int) -> ForecastRequest | None:
        """Return what to ask forecasters; None when nothing is known that is new enough to start from."""
        window = self.window()
        if window is None or self.settings is None:
            return None
        request = ForecastRequest(window, self.settings.season_seconds, self.horizon_seconds, self.wants_learned)
        origin = origin_of(request, now)
        return request if origin is not None and origin.waited <= stale_after_steps else None

    def window(self) -> LoadWindow | None:
        """Return the history within the lookback asked for; None when there is none."""
        window = self.history.window()
        if window is None or self.settings is None:
            return window
        newest = max(int(self.settings.lookback_seconds / window.step_seconds), 1)
        return LoadWindow(window.step_seconds, window.end, window.rps[-newest:])

    def judge(self, now: datetime) -> None:
        """Learn from the forecasts whose time has come."""
        complete = complete_cell(now, self.history.step_seconds)
        outcomes = self._maturing.matured(complete, self.history.cells)
        for outcome in outcomes:
            self.calibration.learn(outcome.rung, outcome.actual, outcome.served)
        losses = _losses([outcome for outcome in outcomes if np.isfinite(outcome.actual).all()])
        if self._weights is not None and losses:
            self._weights.learn(losses)

    def adopt(self, holdout: HoldoutLosses | None) -> None:
        """Start a new learned model with what was measured of it on this series; None when nothing was."""
        self._holdout = holdout
        if self._weights is not None:
            self._seed_learned(self._weights)

    def serve(
        self, request: ForecastRequest, members: Mapping[str, QuantileForecast], now: datetime
    ) -> QuantileForecast:
        """Mix what the forecasters say, correct it, and remember it to be judged; `members` is not empty."""
        weights = self._weights_for(request)
        names = list(members)
        mix = mixed([members[name] for name in names], weights.weights(names))
        served = self.calibration.apply(mix)
        origin = origin_of(request, now)
        if origin is not None:
            self._maturing.add(cell_of(origin.start, self.history.step_seconds), served, members)
        self.served = served
        return served

    def learned_share(self) -> float | None:
        """Return the learned model's share next to the baselines; None when it has not been judged on this series."""
        if self._weights is None or self._weights.loss(NAME) is None:
            return None
        return float(shares(self._weights.weights([*BASELINE_NAMES, NAME]))[-1])

    @property
    def learned_is_worse(self) -> bool:
        """Whether the learned model was judged and found worth no share."""
        share = self.learned_share()
        return share is not None and share < LEAST_SHARE

    def _weights_for(self, request: ForecastRequest) -> LossWeights:
        if self._weights is None:
            series = series_of(request.window, request.season_seconds)
            self._weights = LossWeights(series.season)
            self._weights.seed(*_seed(series, self.steps))
            self._seed_learned(self._weights)
        return self._weights

    def _seed_learned(self, weights: LossWeights) -> None:
        """Give the learned model a loss as much above or below the best baseline's as on the holdout."""
        weights.forget(NAME)
        best, holdout = weights.best(BASELINE_NAMES), self._holdout
        if best is None or holdout is None:
            return
        reference = np.min([holdout.losses[name] for name in BASELINE_NAMES if name in holdout.losses], axis=0)
        weights.seed({NAME: best * holdout.losses[NAME] / np.maximum(reference, 1e-12)}, holdout.origins)


def _seed(series: Series, steps: int) -> tuple[Mapping[str, Floats], int]:
    """Return the baselines' losses in a backtest over the newest third of what is known, and over how many origins."""
    span = min(len(series.values), max(series.season, 3 * LEAST_SEED_STEPS))
    rungs = ladder(steps)
    first = series.last - span // 3
    origins = spread(np.arange(first, series.last - rungs[-1] + 1), SEED_ORIGINS)
    origins = origins[np.isfinite(series.values[origins])]
    if span < LEAST_SEED_STEPS or not len(origins):
        return {}, 0
    return baseline_losses(series, rungs, first, origins), len(origins)


def _losses(outcomes: list[Outcome]) -> dict[str, Floats]:
    """Return the mean loss of each forecaster over outcomes, shape (targets, quantiles)."""
    names = {name for outcome in outcomes for name in outcome.members}
    return {
        name: np.mean([pinball(o.actual, o.members[name]) for o in outcomes if name in o.members], axis=0)
        for name in names
    }
