"""KEDA with its Prometheus scaler: a query's value handed to a HorizontalPodAutoscaler, and the way to zero and back.

After kedacore/keda, `pkg/scalers/prometheus_scaler.go` (commit 0805d72: the value is an external metric, AverageValue at the
threshold; what is empty, NaN or infinite is 0 unless `ignoreNullValues` is off, then it is an error),
`pkg/fallback/fallback.go` (commit 1a835eb: after more than `failureThreshold` errors in a row the value is made up as
threshold x fallback replicas), `pkg/scaling/executor/scale_scaledobjects.go` (commit 01305c8: every `pollingInterval` the
trigger is active when the value exceeds the activation threshold; from zero to one replica when it is, to zero when it has not
been for `cooldownPeriod`). The metric itself is read whenever the autoscaler asks, every 15 s, not when KEDA polls.

Zero is only used where the workload's own minimum is zero; the simulated cluster refuses what arrives then.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.policies.hpa import SYNC_SECONDS, behavior_of, for_average_value
from modelscaler.replay.policies.hpa_behavior import Limits
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.sight import Policy, Sight, Targets

ACTIVE_ABOVE: Final = 0.0
"""`activationThreshold`."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """`fallback`: after more than `failure_threshold` errors in a row, as many replicas."""

    failure_threshold: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Keda:
    """A ScaledObject with one Prometheus trigger.

    Attributes:
        threshold: Share of what a replica carries within the objective.
        window_seconds: Range of the query's rate; two minutes in its documentation.
        stabilization_seconds: Of the autoscaler that it makes, for going down.
        polling_seconds: `pollingInterval`.
        cooldown_seconds: `cooldownPeriod`.
        ignore_null_values: Whether nothing counts as zero.
        fallback: None: an error changes nothing.
    """

    threshold: float = 0.8
    window_seconds: float = 120.0
    stabilization_seconds: float = 300.0
    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    ignore_null_values: bool = True
    fallback: Fallback | None = None
    name: str = "keda"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {
            "threshold": self.threshold,
            "window_seconds": self.window_seconds,
            "stabilization_seconds": self.stabilization_seconds,
        }

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        limits = Limits(behavior_of(self.stabilization_seconds), max(workload.min_replicas, 1), workload.max_replicas)
        least = workload.min_replicas if workload.idling is None else 0
        return _ScaledObject(self, pool, self.threshold * carried_rps(workload, pool), limits, least)


@dataclass(slots=True)
class _ScaledObject:
    kind: Keda
    pool: PoolKey
    threshold: float
    limits: Limits
    least: int
    failures: int = 0
    active: bool = False
    active_seconds: float = 0.0
    polled_at: float = -math.inf
    interval_seconds: float = field(default=SYNC_SECONDS)

    def decide(self, sight: Sight) -> Targets:
        current, seconds = sight.pool(self.pool).replicas, sight.seconds
        value = self._query(sight)
        self._poll(seconds, value)
        if not current:
            return self._targets(max(self.least, 1) if self.active else 0)
        if not (self.least or self.active) and seconds - self.active_seconds > self.kind.cooldown_seconds:
            return self._targets(0)
        if value is None:
            value = self._made_up()
        if value is None:
            return self._targets(current)
        wanted = for_average_value(value, self.threshold, current)
        return self._targets(self.limits.allowed(seconds, current, wanted))

    def _targets(self, replicas: int) -> Targets:
        return Targets({self.pool: replicas}, self.pool)

    def _query(self, sight: Sight) -> float | None:
        """Return the query's value; None for an error."""
        value = sight.prometheus.offered_rps(self.kind.window_seconds)
        if math.isfinite(value):
            self.failures = 0
            return value
        answered = sight.outage is None or sight.outage.answer == "empty"
        if answered and self.kind.ignore_null_values:
            self.failures = 0
            return 0.0
        self.failures += 1
        return None

    def _made_up(self) -> float | None:
        fallback = self.kind.fallback
        if fallback is None or self.failures <= fallback.failure_threshold:
            return None
        return self.threshold * fallback.replicas

    def _poll(self, seconds: float, value: float | None) -> None:
        if seconds - self.polled_at < self.kind.polling_seconds:
            return
        self.polled_at = seconds
        self.active = value is not None and value > ACTIVE_ABOVE
        if self.active:
            self.active_seconds = seconds
