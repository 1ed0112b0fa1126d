"""Generated loads and requests for tests of forecasting, and a trainer that trains at once."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from modelscaler.domain import Floats, ForecastSettings, LoadWindow, WorkloadKey
from modelscaler.forecast.jobs import GROWN, Outcome, Trained, TrainingFailed, TrainingJob, TrainingRefused
from modelscaler.forecast.network import HEADS, MEDIAN, QUANTILE_COUNT, Network, shapes
from modelscaler.forecast.networks import features

START = datetime(2026, 3, 2, tzinfo=UTC)
KEY = WorkloadKey("shop", "ranker")
SEASON_STEPS = 120
STEP_SECONDS = 2.0
SEASON_SECONDS = SEASON_STEPS * STEP_SECONDS
HORIZON_SECONDS = 16.0


def seasonal_load(steps: int, seed: int = 0, season: int = SEASON_STEPS, noise: float = 0.06) -> Floats:
    """Return days with two humps and a sharp scheduled peak, of varying height, in rps; `noise` is relative."""
    rng = np.random.default_rng(seed)
    day, phase = np.divmod(np.arange(steps) / season, 1.0)
    height = 1.0 + 0.15 * np.sin(1.7 * (day + phase)) + 0.03 * rng.standard_normal(int(day.max()) + 1)[day.astype(int)]
    humps = 20.0 + 25.0 * np.exp(-(((phase - 0.4) / 0.09) ** 2)) + 15.0 * np.exp(-(((phase - 0.75) / 0.1) ** 2))
    peak = 40.0 * ((phase > 0.55) & (phase < 0.6))
    load: Floats = np.maximum(height * (humps + peak) * (1.0 + noise * rng.standard_normal(steps)), 0.0)
    return load


def random_walk(steps: int, seed: int = 0) -> Floats:
    """Return a load that nobody can forecast better than by its last value, in rps."""
    rng = np.random.default_rng(seed)
    walk: Floats = 50.0 * np.exp(np.cumsum(0.02 * rng.standard_normal(steps)))
    return walk


def window_of(rps: Floats, step_seconds: float = STEP_SECONDS, start: datetime = START) -> LoadWindow:
    """Return a window whose first value belongs to `start`."""
    return LoadWindow(
        step_seconds, start + timedelta(seconds=step_seconds * (len(rps) - 1)), np.asarray(rps, dtype=float)
    )


def time_of(step: int, step_seconds: float = STEP_SECONDS) -> datetime:
    """Return the time of a step of a load that starts at `START`."""
    return START + timedelta(seconds=step * step_seconds)


def settings(model: Literal["Auto", "Baselines", "Boosted"] = "Auto") -> ForecastSettings:
    """Return settings for loads with the season of `seasonal_load`."""
    return ForecastSettings(0.95, 14 * SEASON_SECONDS, SEASON_SECONDS, model)


def network(off: float = 0.0, width: int = 8) -> Network:
    """Return a network that says the anchor, or what is `off` typical errors (squashed) above it."""
    weights = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes(features(), width, 1).items()}
    weights["exit.bias"].reshape(HEADS, QUANTILE_COUNT)[:, MEDIAN] = off
    return Network(weights, {})


class InstantTrainer:
    """Trains when asked and has the outcome at the next poll: a network that is `off`; `fails` makes it fail instead.

    Trees of single series it does not grow, nor are they among its `jobs`.
    """

    def __init__(self, off: float = 0.0) -> None:
        self.off = off
        self.fails = False
        self.jobs: list[TrainingJob] = []
        self.closed = False
        self._outcome: Outcome | None = None

    @property
    def busy(self) -> bool:
        return self._outcome is not None

    def submit(self, job: TrainingJob) -> None:
        if job.kind == GROWN:
            self._outcome = TrainingRefused("grows no trees")
            return
        self.jobs.append(job)
        self._outcome = TrainingFailed("killed") if self.fails else Trained(network(self.off), 1.0, 1000)

    def poll(self) -> Outcome | None:
        outcome, self._outcome = self._outcome, None
        return outcome

    def close(self) -> None:
        self.closed = True
