"""Ray Serve's autoscaler: requests in the system over a target for each replica, acted on once it has been so for a while.

After ray-project/ray, `python/ray/serve/autoscaling_policy.py` (`_core_replica_queue_length_policy`,
`_apply_scaling_factors`, `_apply_delay_logic`, commit 00590c4) and `python/ray/serve/config.py` (defaults, commit 00239d4).
The control loop there runs every 0.1 s and counts its delays in ticks; here it runs every 5 s, and its delays are as long.

The target there is 2 requests; here it is the concurrency that a load test finds at a share of the rate that a replica carries
within the objective.
Scaling to zero is left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.policies.knowledge import carried_concurrency
from modelscaler.replay.sight import Policy, Sight, Targets

LOOP_SECONDS: Final = 5.0
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class RayServe:
    """`autoscaling_config`.

    Attributes:
        target: Share of the rate that a replica carries, at which it has `target_ongoing_requests` in it.
        look_back_seconds: `look_back_period_s`.
        up_delay_seconds: `upscale_delay_s`.
        down_delay_seconds: `downscale_delay_s`.
        up_factor: `upscaling_factor`: share of a wished increase that is made.
        down_factor: `downscaling_factor`: share of a wished decrease that is made.
    """

    target: float = 0.8
    look_back_seconds: float = 30.0
    up_delay_seconds: float = 30.0
    down_delay_seconds: float = 600.0
    up_factor: float = 1.0
    down_factor: float = 1.0
    name: str = "ray-serve"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {
            "target": self.target,
            "look_back_seconds": self.look_back_seconds,
            "up_delay_seconds": self.up_delay_seconds,
            "down_delay_seconds": self.down_delay_seconds,
        }

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        target = carried_concurrency(workload, pool, self.target)
        return _Deployment(self, pool, target, max(workload.min_replicas, 1), workload.max_replicas)

    def wanted(self, ongoing: float, target: float, running: int) -> int:
        """Return the replicas that so many ongoing requests want.

        Args:
            ongoing: Requests that run or wait.
            target: Of them for each replica.
            running: Replicas that serve.
        """
        desired = ongoing / target
        factor = self.up_factor if desired > running else self.down_factor
        scaled = math.ceil(running + factor * (desired - running) - ROUNDING)
        stuck = math.ceil(desired - ROUNDING) < running and scaled == running
        return scaled - 1 if stuck else scaled


@dataclass(slots=True)
class _Deployment:
    kind: RayServe
    pool: PoolKey
    target: float
    least: int
    most: int
    count: int = 0
    interval_seconds: float = field(default=LOOP_SECONDS)

    def decide(self, sight: Sight) -> Targets:
        seen = sight.pool(self.pool)
        ongoing = sight.meter.concurrency(self.kind.look_back_seconds)
        if not seen.ready or math.isnan(ongoing):
            return Targets({self.pool: seen.replicas}, self.pool)
        wanted = min(max(self.kind.wanted(ongoing, self.target, seen.ready), self.least), self.most)
        return Targets({self.pool: self._delayed(wanted, seen.replicas)}, self.pool)

    def _delayed(self, wanted: int, current: int) -> int:
        """Return what is wanted once it has been wanted, more or fewer, often enough in a row."""
        if wanted == current:
            self.count = 0
            return current
        sign = 1 if wanted > current else -1
        self.count = max(self.count, 0) + 1 if sign > 0 else min(self.count, 0) - 1
        delay = self.kind.up_delay_seconds if sign > 0 else self.kind.down_delay_seconds
        if sign * self.count <= int(delay / LOOP_SECONDS):
            return current
        self.count = 0
        return wanted
