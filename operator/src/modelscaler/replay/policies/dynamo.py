"""NVIDIA Dynamo's planner: a slow loop that forecasts one interval of load, a fast one that watches the queue.

After ai-dynamo/dynamo, `components/src/dynamo/planner/core/`: `throughput_scaling.py` (`_throughput_agg`: the forecast number
of requests over the interval, over the rate of an engine at the objective, rounded up), `load_scaling.py` (`_advance_load_agg`,
`_scale_decision`: one more when every engine is predicted to miss the objective, one less when what a removal adds to the
queue stays within a share of it, nothing while a change is under way, never below the slow loop's number),
`load/predictors.py` and `config/defaults.py` as of November 2026 (commits 0c9050c, 0c6da1e, 260b6ae, 1ca6015).

What an engine does is a batching replica here, so tokens are requests and the rate at the objective is the one that all
policies are told. Of the predictors there are the constant and the Kalman filter; ARIMA and Prophet need packages that this
project does without. A first decision comes after a whole interval, as there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.batching import Speed
from modelscaler.replay.case import capacity_of
from modelscaler.replay.policies.filters import LocalLinear
from modelscaler.replay.sight import Policy, PoolSight, Sight, Targets

LOAD_SECONDS = 5.0
"""`load_adjustment_interval`."""


@dataclass(frozen=True, slots=True)
class Dynamo:
    """The planner with `optimization_target: sla`.

    Attributes:
        predictor: `load_predictor`; the makers' default is ARIMA.
        adjustment_seconds: `throughput_adjustment_interval`: 180 as shipped, 60 in newer examples.
        objective_share: The latency asked of an engine, as a share of the objective: what its users turn.
        load_scaling: `enable_load_scaling`: whether the fast loop runs.
        sensitivity: `load_scaling_down_sensitivity`, as a share.
        kalman_q_level: Variance of the level's steps.
        kalman_q_trend: Of the trend's.
        kalman_r: Of the measurement.
    """

    predictor: Literal["constant", "kalman"] = "kalman"
    adjustment_seconds: float = 180.0
    objective_share: float = 1.0
    load_scaling: bool = False
    sensitivity: float = 0.8
    kalman_q_level: float = 1.0
    kalman_q_trend: float = 0.1
    kalman_r: float = 10.0
    name: str = "dynamo"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {
            "predictor": self.predictor,
            "adjustment_seconds": self.adjustment_seconds,
            "objective_share": self.objective_share,
            "load_scaling": str(self.load_scaling),
        }

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        asked = workload.objective.latency_seconds * self.objective_share
        capacity = capacity_of(workload, pool)
        engine = Engine(Speed.of(capacity), rps_within(workload, pool, asked), asked, self.sensitivity)
        return _Planner(self, pool, engine, max(workload.min_replicas, 1), workload.max_replicas)


def rps_within(workload: Workload, pool: PoolKey, seconds: float) -> float:
    """Return the rate of a replica that keeps another latency than the objective's."""
    objective = workload.objective
    return sustainable_rps(capacity_of(workload, pool), replace(objective, latency_seconds=seconds))


@dataclass(frozen=True, slots=True)
class Engine:
    """A replica as the planner knows it.

    Attributes:
        speed: Of its batches.
        rps: That it carries within the objective.
        target_seconds: The objective.
        sensitivity: Share of the time left for queueing that a removal may use up.
    """

    speed: Speed
    rps: float
    target_seconds: float
    sensitivity: float

    def answer_seconds(self, waiting: float) -> float:
        """Return how long a new request takes when so many wait before it: full batches, then its own."""
        full, rest = divmod(waiting + 1.0, self.speed.most)
        return full * self.speed.batch_seconds(self.speed.most) + (self.speed.batch_seconds(rest) if rest else 0.0)

    def step(self, waiting: float, engines: int) -> int:
        """Return how many engines more or fewer the fast loop wants, when so many requests wait at each."""
        if self.answer_seconds(waiting) > self.target_seconds:
            return 1
        if engines < 2:
            return 0
        own = self.answer_seconds(0.0)
        added = self.answer_seconds(waiting * engines / (engines - 1)) - own
        return -1 if added < (self.target_seconds - own) * self.sensitivity else 0


@dataclass(slots=True)
class _Planner:
    kind: Dynamo
    pool: PoolKey
    engine: Engine
    least: int
    most: int
    level: LocalLinear = field(init=False)
    due_seconds: float = field(init=False)
    floor: int | None = None

    def __post_init__(self) -> None:
        self.level = LocalLinear(self.kind.kalman_q_level, self.kind.kalman_q_trend, self.kind.kalman_r)
        self.due_seconds = self.kind.adjustment_seconds

    @property
    def interval_seconds(self) -> float:
        return LOAD_SECONDS if self.kind.load_scaling else self.kind.adjustment_seconds

    def decide(self, sight: Sight) -> Targets:
        seen = sight.pool(self.pool)
        if sight.seconds >= self.due_seconds:
            self.due_seconds += self.kind.adjustment_seconds
            self.floor = self._slow(sight)
        wanted = self._wanted(seen, sight)
        return Targets({self.pool: min(max(wanted, self.least), self.most)}, self.pool)

    def _slow(self, sight: Sight) -> int | None:
        """Return the replicas for the next interval; None when no engine keeps the latency, as if its model were not ready."""
        seconds = self.kind.adjustment_seconds
        requests = sight.prometheus.offered_rps(seconds) * seconds
        if math.isnan(requests):
            return self.floor
        if self.kind.predictor == "kalman":
            requests = self.level.forecast_after(requests)
        return math.ceil(max(requests, 0.0) / seconds / self.engine.rps) if self.engine.rps > 0.0 else None

    def _wanted(self, seen: PoolSight, sight: Sight) -> int:
        if self.floor is None:
            return seen.replicas
        queued = sight.prometheus.queued()
        if math.isnan(queued):
            return max(seen.replicas, self.floor)
        if not self.kind.load_scaling:
            return self.floor
        if seen.starting or not seen.ready:
            return max(seen.replicas, self.floor)
        return max(seen.ready + self.engine.step(queued / seen.ready, seen.ready), self.floor)
