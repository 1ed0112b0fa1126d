"""The predictive HorizontalPodAutoscaler: an autoscaler, and a model of what that autoscaler has wanted.

After jthomperoo/predictive-horizontal-pod-autoscaler, `internal/controllers/predictivehorizontalpodautoscaler_controller.go`
(`processModels`, commit 9872904), `internal/scalebehavior/scalebehavior.go` (decision type maximum; the largest wish of the
window, doubling at most, commit 464a741), `algorithms/linear_regression/linear_regression.py` (commit 04adb9e) and
`internal/prediction/holtwinters/holtwinters.go` (commit 5662a3b). The models see the replicas that the metric alone wants,
not the load, and Holt-Winters looks one step ahead only.

That version hands Holt-Winters its stored values newest first, for it sorts them so when it drops old ones; here they come in
the order that its documentation means. Its example's season of six steps is the default.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.policies.holt_winters import HoltWinters
from modelscaler.replay.policies.hpa import SYNC_SECONDS, for_average_value
from modelscaler.replay.policies.hpa_behavior import Window
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.sight import Policy, Sight, Targets

LEAST_UP: Final = 4
ROUNDING: Final = 1e-6


class Model(Protocol):
    """Tells replicas from earlier ones."""

    def forecast_after(self, value: float) -> float | None:
        """Take the newest number of replicas, and return what it expects; None where it cannot tell."""
        ...


@dataclass(slots=True)
class Linear:
    """A straight line through the latest values, by least squares, prolonged.

    Attributes:
        look_ahead_seconds: By so much.
        step_seconds: Between values.
        kept: The latest values.
    """

    look_ahead_seconds: float
    step_seconds: float
    kept: deque[float]

    def forecast_after(self, value: float) -> float | None:
        """Take a value, and return the line's value so far ahead; None after the first."""
        self.kept.append(value)
        count = len(self.kept)
        if count < 2:
            return None
        middle, mean = (count - 1) / 2.0, sum(self.kept) / count
        across = sum((index - middle) * each for index, each in enumerate(self.kept))
        slope = across * 12.0 / (count * (count * count - 1.0))
        return mean + slope * (middle + self.look_ahead_seconds / self.step_seconds)


@dataclass(frozen=True, slots=True)
class PredictiveHpa:
    """An autoscaler with one model.

    Attributes:
        model: Which.
        target: Share of what a replica carries within the objective.
        look_ahead_seconds: Linear: `lookAhead`.
        history: Linear: `historySize`.
        season: Holt-Winters: `seasonalPeriods`.
        stored_seasons: Holt-Winters: `storedSeasons`.
        smoothing: Holt-Winters: alpha, beta and gamma.
        window_seconds: Over which the metric is averaged.
        stabilization_seconds: Window for going down.
    """

    model: Literal["linear", "holt-winters"] = "linear"
    target: float = 0.8
    look_ahead_seconds: float = 10.0
    history: int = 6
    season: int = 6
    stored_seasons: int = 4
    smoothing: tuple[float, float, float] = (0.9, 0.9, 0.9)
    window_seconds: float = 60.0
    stabilization_seconds: float = 300.0
    name: str = "predictive-hpa"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name, of the model in use."""
        mine: dict[str, float | str] = {"model": self.model, "target": self.target}
        if self.model == "linear":
            return mine | {"look_ahead_seconds": self.look_ahead_seconds, "history": self.history}
        return mine | {"season": self.season, "smoothing": ", ".join(f"{each:g}" for each in self.smoothing)}

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        return _Predictive(
            pool=pool,
            target=self.target * carried_rps(workload, pool),
            window_seconds=self.window_seconds,
            least=max(workload.min_replicas, 1),
            most=workload.max_replicas,
            model=self._model(),
            highest=Window(self.stabilization_seconds, 1),
        )

    def _model(self) -> Model:
        if self.model == "linear":
            return Linear(self.look_ahead_seconds, SYNC_SECONDS, deque(maxlen=self.history))
        return HoltWinters(self.season, self.stored_seasons, *self.smoothing)


@dataclass(slots=True)
class _Predictive:
    pool: PoolKey
    target: float
    window_seconds: float
    least: int
    most: int
    model: Model
    highest: Window
    interval_seconds: float = field(default=SYNC_SECONDS)

    def decide(self, sight: Sight) -> Targets:
        current = sight.pool(self.pool).replicas
        value = sight.prometheus.offered_rps(self.window_seconds)
        if math.isnan(value):
            return Targets({self.pool: current}, self.pool)
        wanted = for_average_value(value, self.target, current)
        predicted = self.model.forecast_after(float(wanted))
        if predicted is not None:
            wanted = max(wanted, math.ceil(predicted - ROUNDING))
        return Targets({self.pool: self._limited(sight.seconds, current, wanted)}, self.pool)

    def _limited(self, seconds: float, current: int, wanted: int) -> int:
        stable = min(max(current, wanted), self.highest.extreme(seconds, wanted))
        self.highest.note(seconds, wanted)
        if stable > current:
            stable = min(stable, max(2 * current, LEAST_UP))
        return min(max(stable, self.least), self.most)
