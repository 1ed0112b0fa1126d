"""HorizontalPodAutoscaler v2, on requests per second as an external metric or on the share of time that replicas compute.

After kubernetes/kubernetes, `pkg/controller/podautoscaler/replica_calculator.go` (commit 0006726):
`GetExternalPerPodMetricReplicas` (AverageValue: the sum over the target, rounded up, unless it is within 10 % of what the
current replicas are for) and `GetResourceReplicas` (Utilization: pods that start count for nothing when that would take
replicas away, and as idle when it would add some). Every 15 s (`--horizontal-pod-autoscaler-sync-period`); no metric, no
change; how fast replicas change is in hpa_behavior.py.

A replica that batches computes almost all the time from rates far below what it carries, so Utilization is dear where batches
have a long fixed part. Scaling to zero is left out, as without its feature gate.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.policies.hpa_behavior import Behavior, Direction, Limits, RatePolicy
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.sight import Policy, PoolSight, Sight, Targets

SYNC_SECONDS: Final = 15.0
TOLERANCE: Final = 0.1
ROUNDING: Final = 1e-9


def for_average_value(total: float, target: float, current: int, tolerance: float = TOLERANCE) -> int:
    """Return the replicas that a sum wants at so much for each.

    Args:
        total: The metric over all replicas.
        target: Of it for each, above 0.
        current: Replicas now, those that start too.
        tolerance: Share by which the metric may be off before anything changes.
    """
    if current and abs(1.0 - total / (target * current)) <= tolerance:
        return current
    return math.ceil(total / target - ROUNDING)


def for_utilization(share: float, target: float, seen: PoolSight, tolerance: float = TOLERANCE) -> int:
    """Return the replicas that a mean over the ready ones wants.

    Args:
        share: Mean over ready replicas.
        target: What it shall be, above 0.
        seen: How many replicas there are, and how many are ready.
        tolerance: Share by which the metric may be off before anything changes.
    """
    current, ready = seen.replicas, seen.ready
    if not ready:
        return current
    ratio = share / target
    if seen.starting and ratio > 1.0:
        counted = ready + seen.starting
        diluted = ratio * ready / counted
        if abs(1.0 - diluted) <= tolerance:
            return current
        return max(math.ceil(diluted * counted - ROUNDING), current)
    if abs(1.0 - ratio) <= tolerance:
        return current
    return math.ceil(ratio * ready - ROUNDING)


def behavior_of(stabilization_seconds: float) -> Behavior:
    """Return the default behaviour with another stabilisation window for going down."""
    return Behavior(down=Direction(stabilization_seconds, (RatePolicy("Percent", 100),)))


@dataclass(frozen=True, slots=True)
class Hpa:
    """An autoscaler on one metric.

    Attributes:
        metric: "rps": offered requests per second, AverageValue; "busy": share of time spent computing, Utilization.
        target: Share of what a replica carries within the objective, or share of time; the default of Utilization is 0.8.
        window_seconds: Over which the metric is averaged: a rate over a minute, or one scrape of the metrics server.
        stabilization_seconds: Window for going down.
        name: The policy's name.
    """

    metric: Literal["rps", "busy"] = "rps"
    target: float = 0.8
    window_seconds: float = 60.0
    stabilization_seconds: float = 300.0
    name: str = "hpa"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {
            "metric": self.metric,
            "target": self.target,
            "window_seconds": self.window_seconds,
            "stabilization_seconds": self.stabilization_seconds,
        }

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        least = max(workload.min_replicas, 1)
        limits = Limits(behavior_of(self.stabilization_seconds), least, workload.max_replicas)
        each = self.target * carried_rps(workload, pool) if self.metric == "rps" else self.target
        return _Autoscaler(self, pool, each, limits)


@dataclass(slots=True)
class _Autoscaler:
    kind: Hpa
    pool: PoolKey
    target: float
    limits: Limits
    interval_seconds: float = field(default=SYNC_SECONDS)

    def decide(self, sight: Sight) -> Targets:
        seen = sight.pool(self.pool)
        wanted = self._wanted(sight, seen)
        if wanted is None:
            return Targets({self.pool: seen.replicas}, self.pool)
        return Targets({self.pool: self.limits.allowed(sight.seconds, seen.replicas, wanted)}, self.pool)

    def _wanted(self, sight: Sight, seen: PoolSight) -> int | None:
        """Return what the metric wants; None where nothing was measured."""
        rps = self.kind.metric == "rps"
        read = sight.prometheus.offered_rps if rps else sight.meter.busy_share
        value = read(self.kind.window_seconds)
        if math.isnan(value):
            return None
        return (
            for_average_value(value, self.target, seen.replicas) if rps else for_utilization(value, self.target, seen)
        )
