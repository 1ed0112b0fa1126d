"""Forecasting as the controller uses it: give it readings, ask it for the whole fleet at once; it never blocks."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from modelscaler.api.words import ConditionReason
from modelscaler.domain import ForecastSettings, LoadWindow, QuantileForecast, WorkloadKey
from modelscaler.forecast.base import Forecaster, ForecastRequest
from modelscaler.forecast.baselines import BASELINES
from modelscaler.forecast.fitting import TrainingBudget
from modelscaler.forecast.health import TrainingState, judged
from modelscaler.forecast.learned import LearnedForecaster, LearnedModel
from modelscaler.forecast.rows import TrainingWindow
from modelscaler.forecast.schedule import TrainingSchedule
from modelscaler.forecast.store import LoadHistory
from modelscaler.forecast.tracked import TrackedSeries
from modelscaler.forecast.training import ProcessTrainer, Trainer, TrainingFailed, TrainingJob

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ForecastingSettings:
    """How the fleet's load is kept and forecast.

    `step_seconds` is the step of history and forecasts. `history_steps` bounds what is kept of each series, in steps (two
    weeks of minutes). After `stale_after_steps` without a known value a series is not forecast. A new model is trained every
    `retrain_seconds`, from `seed`; a training looks at `max_training_series` at most, and is ended after
    `max_training_seconds`.
    """

    step_seconds: float
    history_steps: int = 20_160
    stale_after_steps: int = 30
    retrain_seconds: float = 1800.0
    max_training_seconds: float = 300.0
    max_training_series: int = 256
    seed: int = 0
    budget: TrainingBudget = field(default_factory=TrainingBudget)


class Forecasting:
    """Keeps the history of every series, forecasts all in one batch, and retrains in the background."""

    def __init__(self, settings: ForecastingSettings, trainer: Trainer | None = None) -> None:
        """Start empty.

        Args:
            settings: How load is kept and forecast.
            trainer: Runs the trainings. None: a child process of this one; a replay brings one that trains at once.
        """
        self._settings = settings
        self._trainer: Trainer = trainer or ProcessTrainer(settings.max_training_seconds)
        self._schedule = TrainingSchedule(settings.retrain_seconds)
        self._series: dict[WorkloadKey, TrackedSeries] = {}
        self._model: LearnedModel | None = None
        self._running = False

    def start(self) -> None:
        """Allow trainings to start."""
        self._running = True

    def close(self) -> None:
        """End a training under way; nothing is left behind."""
        self._running = False
        self._trainer.close()

    def load_history(self, key: WorkloadKey, window: LoadWindow) -> None:
        """Merge history that was read from elsewhere; what was observed here stays."""
        self._tracked(key).history.load(window)

    def observe(self, key: WorkloadKey, at: datetime, rps: float | None) -> None:
        """Add a reading; None when the load is not known."""
        self._tracked(key).history.append(at, rps)

    def forget(self, key: WorkloadKey) -> None:
        """Drop everything about a series."""
        self._series.pop(key, None)

    def window(self, key: WorkloadKey) -> LoadWindow | None:
        """Return the history of a series within its lookback; None when there is none."""
        tracked = self._series.get(key)
        return tracked.window() if tracked else None

    def forecast(
        self, now: datetime, requests: Mapping[WorkloadKey, tuple[ForecastSettings, float]]
    ) -> dict[WorkloadKey, QuantileForecast | None]:
        """Forecast every series asked for, in one batch; never waits for training.

        Args:
            now: When the forecast is made.
            requests: Settings and horizon in seconds of each series.

        Returns:
            A forecast for each series; None where too little is known, or nothing new enough.
        """
        self.poll()
        asked: dict[WorkloadKey, ForecastRequest] = {}
        for key, (settings, horizon_seconds) in requests.items():
            tracked = self._tracked(key)
            tracked.ask(settings, horizon_seconds)
            tracked.judge(now)
            request = tracked.request(now, self._settings.stale_after_steps)
            tracked.served = None
            if request is not None:
                asked[key] = request
        self._train_when_due(now)
        answers = self._members(list(asked.values()), now)
        served = {
            key: self._note(tracked, tracked.serve(request, members, now))
            for (key, request), members in zip(asked.items(), answers, strict=True)
            if members and (tracked := self._series[key])
        }
        return {key: served.get(key) for key in requests}

    def healthy(self, key: WorkloadKey) -> tuple[bool, ConditionReason, str]:
        """Say whether forecasts of a series are as good as they can be, one word and one sentence why."""
        return judged(self._series.get(key), self._state(), self._settings.budget.min_history_steps)

    def poll(self) -> None:
        """Adopt what the training process has finished, if anything; never waits."""
        outcome = self._trainer.poll()
        if outcome is None:
            return
        self._schedule.ended(outcome)
        if isinstance(outcome, LearnedModel):
            self._adopt(outcome)
        elif isinstance(outcome, TrainingFailed):
            log.warning("training failed, baselines serve: %s", outcome.reason)
        else:
            log.info("no learned model yet: %s", outcome.reason)

    def _adopt(self, model: LearnedModel) -> None:
        log.info("adopted a model fitted to %d rows until %s", model.rows, model.fitted_until.isoformat())
        self._model = model
        for key, tracked in self._series.items():
            tracked.adopt(model.holdout.get(key))

    def _members(self, requests: Sequence[ForecastRequest], now: datetime) -> list[dict[str, QuantileForecast]]:
        forecasters: list[Forecaster] = list(BASELINES)
        if self._model is not None:
            forecasters.append(LearnedForecaster(self._model))
        by_name = {f.name: f.forecast(requests, now) for f in forecasters}
        return [
            {name: answer for name, answers in by_name.items() if (answer := answers[i]) is not None}
            for i in range(len(requests))
        ]

    def _note(self, tracked: TrackedSeries, served: QuantileForecast) -> QuantileForecast:
        if served.learned or not tracked.wants_learned:
            return served
        _, _, message = judged(tracked, self._state(), self._settings.budget.min_history_steps)
        tracked.served = replace(served, note=message)
        return tracked.served

    def _train_when_due(self, now: datetime) -> None:
        learners = {key: t for key, t in self._series.items() if t.wants_learned and len(t.history)}
        outgrown = self._model is not None and any(t.steps > self._model.longest_steps for t in learners.values())
        if not self._running or self._trainer.busy or not learners or not self._schedule.due(now, outgrown):
            return
        self._schedule.started(now)
        job = TrainingJob(self._training_windows(learners), now, self._settings.seed, self._settings.budget)
        self._trainer.submit(job)

    def _training_windows(self, learners: Mapping[WorkloadKey, TrackedSeries]) -> dict[WorkloadKey, TrainingWindow]:
        """Return what to learn from: of a large fleet another part at each training, since all of it costs memory and time."""
        rng = np.random.default_rng([self._settings.seed, self._schedule.trainings])
        keys = sorted(learners)
        chosen = [keys[i] for i in rng.permutation(len(keys))[: self._settings.max_training_series]]
        return {
            key: TrainingWindow(window, t.settings.season_seconds, t.horizon_seconds)
            for key in chosen
            if (t := learners[key]).settings is not None and (window := t.window()) is not None
        }

    def _state(self) -> TrainingState:
        return TrainingState(has_model=self._model is not None, failure=self._schedule.failure)

    def _tracked(self, key: WorkloadKey) -> TrackedSeries:
        if key not in self._series:
            tracked = TrackedSeries(LoadHistory(self._settings.step_seconds, self._settings.history_steps))
            tracked.adopt(self._model.holdout.get(key) if self._model else None)
            self._series[key] = tracked
        return self._series[key]
