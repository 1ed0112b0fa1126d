"""Forecasting as the controller uses it: give it readings, ask it for the whole fleet at once; it never blocks."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from modelscaler.domain import ForecastSettings, LoadWindow, QuantileForecast, WorkloadKey
from modelscaler.forecast.abreast import Abreast
from modelscaler.forecast.cohort import Cohort
from modelscaler.forecast.fleet import Fleet
from modelscaler.forecast.health import Health, Learning, judged, standings
from modelscaler.forecast.serving import Tick, Warming, serve, warm
from modelscaler.forecast.training import ProcessTrainer, Trainer
from modelscaler.forecast.tuition import Lessons, Tuition

Requests: TypeAlias = Mapping[WorkloadKey, tuple[ForecastSettings, float]]


@dataclass(frozen=True, slots=True)
class ForecastingSettings:
    """How the fleet's load is kept and forecast.

    `step_seconds` is the step of history and forecasts. After `stale_after_steps` without a known value a series is not
    forecast. In one tick `warmed_at_once` new series are given the state that follows from their history, and as many again and
    again as `warming_seconds` leave time for. `lessons` say how the fleet is learned from. `weights` are used in the place of
    those that ship with the package; the folder `state` keeps what a restart shall not lose. Both may be None.
    """

    step_seconds: float
    stale_after_steps: int = 30
    warmed_at_once: int = 64
    warming_seconds: float = 4.0
    lessons: Lessons = field(default_factory=Lessons)
    weights: Path | None = None
    state: Path | None = None


class Forecasting:
    """Keeps the history of every series, forecasts all in one batch, and tunes a network in the background."""

    def __init__(
        self,
        settings: ForecastingSettings,
        trainer: Trainer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            settings: How load is kept and forecast.
            trainer: Runs the trainings. None: a child process of this one; a replay brings one that trains at once.
            monotonic: Tells seconds, to keep within `warming_seconds`.
        """
        self._settings = settings
        self._monotonic = monotonic
        trainer = trainer or ProcessTrainer(settings.state)
        self._tuition = Tuition(settings.lessons, trainer, settings.weights, settings.state)
        self._abreast = Abreast()
        self.fleet = Fleet(settings.step_seconds)
        self._served: dict[WorkloadKey, QuantileForecast] = {}
        self._running = False

    def start(self) -> None:
        """Allow trainings to start."""
        self._running = True

    def close(self) -> None:
        """End a training under way; nothing is left behind."""
        self._running = False
        self._tuition.close()
        self._abreast.close()

    def load_history(self, key: WorkloadKey, window: LoadWindow) -> None:
        """Merge history that was read from elsewhere; what was observed here stays."""
        self.fleet.load(key, window)

    def observe(self, key: WorkloadKey, at: datetime, rps: float | None) -> None:
        """Add a reading; None when the load is not known."""
        self.fleet.store.append(self.fleet.slot(key), at, rps)

    def forget(self, key: WorkloadKey) -> None:
        """Drop everything about a series."""
        self.fleet.forget(key)
        self._served.pop(key, None)

    def restart(self) -> None:
        """Drop the history of all series, and what was made of it; networks stay."""
        self.fleet = Fleet(self._settings.step_seconds)
        self._served = {}

    def window(self, key: WorkloadKey) -> LoadWindow | None:
        """Return the history of a series within its lookback; None when there is none."""
        return self.fleet.window(key)

    def has_own_trees(self, key: WorkloadKey) -> bool:
        """Tell whether trees serve a series that learned from it alone, as they do in small fleets."""
        return any(of == key for of, _ in self._tuition.grove.trees)

    def forecast(self, now: datetime, requests: Requests) -> dict[WorkloadKey, QuantileForecast | None]:
        """Forecast every series asked for, in one batch; never waits for training.

        Args:
            now: When the forecast is made.
            requests: Settings and horizon in seconds of each series.

        Returns:
            A forecast for each series; None where too little is known, or nothing new enough.
        """
        self.poll()
        for key, (settings, horizon_seconds) in requests.items():
            self.fleet.ask(key, settings, horizon_seconds)
        self._served = {}
        until = self._monotonic() + self._settings.warming_seconds
        warming = Warming(self._settings.warmed_at_once, until, self._monotonic)
        if self.fleet.store.last >= 0:
            if self._running:
                self._tuition.train_when_due(self.fleet, now)
            for cohort in self.fleet.in_use():
                networks, learning = self._tuition.networks(cohort.boosted), self._learning(cohort)
                stale, grove = self._settings.stale_after_steps, self._tuition.grove
                tick = Tick(now, self.fleet.store, networks, grove, stale, self._abreast, learning)
                self.fleet.set_clocks(cohort, now)
                warm(cohort, tick, warming)
                self._served |= serve(cohort, tick)
        return {key: self._served.get(key) for key in requests}

    def healthy(self, key: WorkloadKey) -> Health:
        """Say whether forecasts of a series are as good as they can be, one word and one sentence why."""
        cohort = self.fleet.cohort_of(key)
        if cohort is None or key not in self._served:
            return judged(None, Learning(False, None, None))
        row = cohort.rows[key]
        return judged(standings(cohort, slice(row, row + 1))[0], self._learning(cohort))

    def poll(self) -> None:
        """Adopt what the training process has finished, if anything; never waits."""
        self._tuition.poll(self.fleet)

    def _learning(self, cohort: Cohort) -> Learning:
        tuition, boosted = self._tuition, cohort.boosted
        return Learning(bool(tuition.networks(boosted)), tuition.trouble, tuition.failure(boosted))
