"""Knative's pod autoscaler (KPA): a stable window, and a panic window ten times as short.

After knative/serving, `pkg/autoscaler/scaling/autoscaler.go` (`Scale`, commit 00a4a55), `pkg/autoscaler/config/config.go`
(defaults, commit 01e2d38), `pkg/reconciler/autoscaling/resources/target.go` (commit 03121e2: the target is a pod's total times
the target utilisation) and `pkg/autoscaler/aggregation/max/timewindow.go`; every 2 s. Ready pods are what the rates of change
and the panic threshold are measured by, so while pods start the panic lasts.

A pod's total is there what the user states, here what a replica carries within the objective in requests per second. The target
concurrency is what a load test finds at the target utilisation of that rate. Its own scrapes are a second old, here as old as
all policies' are. Scaling to zero is left out: the
simulated cluster has no activator that would hold the requests.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.policies.hpa_behavior import Window
from modelscaler.replay.policies.knowledge import carried_concurrency, carried_rps
from modelscaler.replay.sight import Policy, Sight, Targets

TICK_SECONDS: Final = 2.0
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Knative:
    """A revision's autoscaler.

    Attributes:
        metric: What is scaled on.
        utilization: `target-utilization-percentage`, as a share.
        stable_seconds: `stable-window`.
        panic_share: `panic-window-percentage`, as a share.
        panic_threshold: `panic-threshold-percentage`, as a share.
        up_rate: `max-scale-up-rate`: at most so many times the ready pods.
        down_rate: `max-scale-down-rate`: at least the ready pods over that.
        down_delay_seconds: `scale-down-delay`.
    """

    metric: Literal["concurrency", "rps"] = "concurrency"
    utilization: float = 0.7
    stable_seconds: float = 60.0
    panic_share: float = 0.1
    panic_threshold: float = 2.0
    up_rate: float = 1000.0
    down_rate: float = 2.0
    down_delay_seconds: float = 0.0
    name: str = "knative"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {
            "metric": self.metric,
            "utilization": self.utilization,
            "stable_seconds": self.stable_seconds,
            "down_delay_seconds": self.down_delay_seconds,
        }

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        if self.metric == "rps":
            target = self.utilization * carried_rps(workload, pool)
        else:
            target = carried_concurrency(workload, pool, self.utilization)
        return _Revision(self, pool, max(workload.min_replicas, 1), workload.max_replicas, Scaler(self, target))


@dataclass(slots=True)
class Scaler:
    """What the autoscaler remembers, and the pods that it wants.

    Attributes:
        kind: Its settings.
        target: Of the metric for each pod.
        panic_since: When the panic threshold was last exceeded; None: no panic.
        panic_pods: Most pods wanted since the panic began.
    """

    kind: Knative
    target: float
    panic_since: float | None = None
    panic_pods: int = 0
    _delayed: Window | None = field(init=False)

    def __post_init__(self) -> None:
        delay = self.kind.down_delay_seconds
        self._delayed = Window(delay, 1) if delay > 0.0 else None

    def begin(self, seconds: float, ready: int) -> None:
        """Begin in panic where more than one pod is ready, so that nothing is removed before much was measured."""
        self.panic_since = seconds if ready > 1 else None
        self.panic_pods = ready

    def scale(self, seconds: float, ready: int, stable: float, panic: float) -> int:
        """Return the pods wanted.

        Args:
            seconds: The time.
            ready: Pods that serve.
            stable: The metric over the stable window, of all pods together.
            panic: The same over the panic window.
        """
        pods = max(ready, 1)
        most, least = math.ceil(self.kind.up_rate * pods - ROUNDING), math.floor(pods / self.kind.down_rate)
        for_stable, for_panic = (math.ceil(value / self.target - ROUNDING) for value in (stable, panic))
        self._panic(seconds, for_panic / pods >= self.kind.panic_threshold)
        wanted = min(max(for_stable, least), most)
        if self.panic_since is not None:
            self.panic_pods = max(wanted, min(max(for_panic, least), most), self.panic_pods)
            wanted = self.panic_pods
        if self._delayed is None:
            return wanted
        self._delayed.note(seconds, wanted)
        return self._delayed.extreme(seconds, wanted)

    def _panic(self, seconds: float, over: bool) -> None:
        if over:
            self.panic_since = seconds
        elif self.panic_since is not None and self.panic_since + self.kind.stable_seconds < seconds:
            self.panic_since, self.panic_pods = None, 0


@dataclass(slots=True)
class _Revision:
    kind: Knative
    pool: PoolKey
    least: int
    most: int
    scaler: Scaler
    begun: bool = False
    interval_seconds: float = field(default=TICK_SECONDS)

    def decide(self, sight: Sight) -> Targets:
        seen, kind = sight.pool(self.pool), self.kind
        if not self.begun:
            self.begun = True
            self.scaler.begin(sight.seconds, seen.ready)
        read = sight.meter.offered_rps if kind.metric == "rps" else sight.meter.concurrency
        stable, panic = read(kind.stable_seconds), read(kind.stable_seconds * kind.panic_share)
        if math.isnan(stable) or math.isnan(panic):
            return Targets({self.pool: seen.replicas}, self.pool)
        wanted = self.scaler.scale(sight.seconds, seen.ready, stable, panic)
        return Targets({self.pool: min(max(wanted, self.least), self.most)}, self.pool)
