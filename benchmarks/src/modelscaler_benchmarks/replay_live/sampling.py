"""What is looked at in the cluster while the load runs, and how that becomes a curve. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from modelscaler.domain import Floats
from modelscaler_benchmarks.replay_live.curve import STEP_SECONDS, Curve
from modelscaler_benchmarks.replay_live.manifest import ARTIFACTS, FAST, HOURLY_COST, TARGET_MS
from modelscaler_demo.client import is_ready
from modelscaler_demo.load.tally import Second


@dataclass(frozen=True, slots=True)
class Sample:
    """The replicas at one moment.

    Attributes:
        at: Seconds since 1970.
        ready: Pods that serve.
        starting: Pods that are yet to serve.
        leaving: Pods on their way out: they answer what they have, and are not counted as asked for.
        reason: Why the last decision was what it was.
    """

    at: float
    ready: int
    starting: int
    leaving: int
    reason: str

    @property
    def asked(self) -> int:
        """Replicas asked for."""
        return self.ready + self.starting


def sample_of(at: float, pods: Sequence[Mapping[str, Any]], resource: Mapping[str, Any] | None) -> Sample:
    """Return what pods and a ModelDeployment say at a time."""
    ready = sum(is_ready(pod) for pod in pods)
    leaving = sum(bool(pod["metadata"].get("deletionTimestamp")) for pod in pods)
    decision = ((resource or {}).get("status") or {}).get("lastDecision") or {}
    return Sample(at, ready, len(pods) - ready - leaving, leaving, str(decision.get("reason", "")))


def start_seconds_of(pod: Mapping[str, Any]) -> float | None:
    """Return how long a pod took from created to ready, to the second; None while it is not."""
    ready = [c for c in pod.get("status", {}).get("conditions", ()) if c["type"] == "Ready" and c["status"] == "True"]
    if not ready:
        return None
    created, became = pod["metadata"]["creationTimestamp"], ready[0]["lastTransitionTime"]
    return (datetime.fromisoformat(became) - datetime.fromisoformat(created)).total_seconds()


def lived(seconds: Sequence[Second], samples: Sequence[Sample], began: float, lead_seconds: float, steps: int) -> Curve:
    """Return what happened as a curve.

    An answer counts when it came, not when it was asked for; what comes after the end counts in the last step.

    Args:
        seconds: What the load generator counted.
        samples: What was seen in the cluster.
        began: When the load began, in seconds since 1970.
        lead_seconds: Of the load, that are left out.
        steps: How many steps follow.
    """
    counted = np.zeros((5, steps))
    for second in seconds:
        step = int((second.second - lead_seconds) // STEP_SECONDS)
        if step >= 0:
            late = sum(latency > TARGET_MS for latency in second.latencies_ms)
            counts = (second.offered, second.ok, late, second.lost, second.versions.get(ARTIFACTS[FAST], 0))
            counted[:, min(step, steps - 1)] += counts
    offered, answered, late_ones, lost, degraded = counted
    at = np.array([sample.at for sample in samples]) - began - lead_seconds
    ready = _mean_of(at, [sample.ready for sample in samples], steps)
    starting = _mean_of(at, [sample.starting for sample in samples], steps)
    return Curve(offered, answered, late_ones, lost, degraded, ready, starting, (ready + starting) * HOURLY_COST)


def _mean_of(at: Floats, values: Sequence[int], steps: int) -> Floats:
    """Return the mean of what was seen in each step; where nothing was, what was seen last."""
    means, last = np.zeros(steps), float(values[0]) if values else 0.0
    seen = np.asarray(values, dtype=np.float64)
    place = np.floor(at / STEP_SECONDS)
    for step in range(steps):
        here = seen[place == step]
        last = float(here.mean()) if len(here) else last
        means[step] = last
    return means
