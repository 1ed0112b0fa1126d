"""Our policy: the planner that runs in the cluster, called as the controller calls it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from modelscaler.domain import (
    Absent,
    Observation,
    PolicySettings,
    PolicyState,
    PoolKey,
    PoolObservation,
    QuantileForecast,
    Reading,
    RouteObservation,
    SourceError,
    Value,
    Workload,
    Zero,
    known,
)
from modelscaler.planner.plan import plan
from modelscaler.planner.rising import Course
from modelscaler.planner.transition import next_step
from modelscaler.replay.foresight import Foresight
from modelscaler.replay.incidents import MetricsOutage
from modelscaler.replay.sight import Policy, PoolSight, Sight, Targets

TICK_SECONDS: Final = 15.0
RATE_WINDOW_SECONDS: Final = 30.0
LEAD_SECONDS: Final = TICK_SECONDS + RATE_WINDOW_SECONDS / 2.0
"""As the controller has it: one interval until the next decision, and half a window by which a rate lags behind."""


@dataclass(frozen=True, slots=True)
class Modelscaler:
    """The operator's own planner.

    Attributes:
        foresight: Its forecasts of the load; None: it has none.
        start_time: When the replay begins, UTC.
        policy: The settings that self-tuning chooses.
        lag_seconds: Age of the samples that forecasts are made of.
    """

    foresight: Foresight | None
    start_time: datetime
    policy: PolicySettings = field(default_factory=PolicySettings)
    lag_seconds: float = 5.0
    name: str = "modelscaler"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name; what is left to its default is left out."""
        chosen = {name: getattr(self.policy, name) for name in PolicySettings.__slots__}
        return {name: value for name, value in chosen.items() if value is not None}

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the planner as it begins, with `pool` in use."""
        return Planned(self, replace(workload, policy=self.policy), PolicyState(active=pool))


@dataclass(slots=True)
class Planned:
    """The planner in a run."""

    kind: Modelscaler
    workload: Workload
    state: PolicyState
    course: Course = field(default_factory=Course)
    interval_seconds: float = field(default=TICK_SECONDS)

    def decide(self, sight: Sight) -> Targets:
        """Return what the next step of the plan wants."""
        now = self.kind.start_time + timedelta(seconds=sight.seconds)
        seen = observation_of(sight, now, self.workload.objective.latency_seconds, self.workload.objective.percentile)
        if sight.route is not None:
            seen = replace(seen, route=RouteObservation(True, sight.route.side, sight.route.side_share))
        self.course = self.course.after(sight.seconds, known(seen.offered), RATE_WINDOW_SECONDS)
        seen = replace(seen, rise_rps_per_second=self.course.rise_rps_per_second)
        known_until = sight.seconds if sight.outage is None else sight.outage.from_seconds
        wanted, state = plan(self.workload, seen, self._forecast(known_until), self.state, LEAD_SECONDS)
        step = next_step(self.workload, seen, wanted, state)
        self.state = step.state
        replicas = {target.pool: target.replicas for target in step.pools if not target.delete}
        return Targets(replicas, step.serving or sight.serving, step.route, step.held)

    def _forecast(self, seconds: float) -> QuantileForecast | None:
        if self.kind.foresight is None:
            return None
        return self.kind.foresight.at(seconds, self.kind.lag_seconds)


def observation_of(sight: Sight, now: datetime, target_seconds: float, percentile: float) -> Observation:
    """Return what the controller would have read.

    The latency at the objective's percentile is only told as kept or missed: that is all the planner asks of it.
    """
    meter, unknown = sight.prometheus, None if sight.outage is None else _unanswered(sight.outage)
    missed = meter.violating_share(RATE_WINDOW_SECONDS) > 1.0 - percentile
    return Observation(
        now=now,
        offered=unknown or _reading(meter.offered_rps(RATE_WINDOW_SECONDS), now),
        queued=unknown or _reading(meter.queued(), now),
        latency=unknown or Value(target_seconds * (2.0 if missed else 0.5), now),
        answered=Absent(),
        waited=Absent(),
        pools=tuple(_pool(pool, sight.starts.get(pool.pool)) for pool in sight.pools),
        remembered_starts=tuple(sight.starts.items()),
        selected=None if sight.held else sight.serving,
        activator_ready=True,
        held=sight.held,
    )


def _unanswered(outage: MetricsOutage) -> Reading:
    return Absent() if outage.answer == "empty" else SourceError("Prometheus does not answer")


def _reading(value: float, now: datetime) -> Reading:
    return Value(value, now) if value > 0.0 else Zero(now)


def _pool(sight: PoolSight, start_seconds: float | None) -> PoolObservation:
    return PoolObservation(
        pool=sight.pool,
        replicas=sight.replicas,
        ready=sight.ready,
        starting=sight.starting - sight.unschedulable,
        unschedulable=sight.unschedulable,
        failure="Unschedulable" if sight.unschedulable else None,
        unready_seconds=sight.unready_seconds,
        budgets=sight.budgets,
        overdraft=sight.overdraft,
        start_seconds=start_seconds,
    )
