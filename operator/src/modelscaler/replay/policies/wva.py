"""llm-d's workload variant autoscaler: capacity against demand, the cheapest variant grows, the dearest shrinks.

After llm-d-incubation/workload-variant-autoscaler, commit 256df39: `internal/engines/saturation/engine.go`
(`applyUniversalThreshold`: required = demand / 0.85 - supply that is ready or on its way, spare = supply that is ready -
demand / 0.70), `internal/engines/pipeline/cost_aware_optimizer.go` (`CostAwareOptimizer`: what is required goes to the
variant of the lowest cost per capacity, rounded up; what is spare is taken from variants by falling cost, rounded down; the
cheapest keeps one replica when no other has any) and `internal/config/saturation_scaling.go` (the thresholds); every 30 s.

There capacity and demand are tokens in the cache of a language model, here requests a second: what a replica carries within
the objective, against what arrives and what waits. A variant there is a pool here. As it knows no accuracy, it gets the pools
whose variant alone reaches the mean that is asked for, and the planned one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.sight import Policy, Sight, Targets


@dataclass(frozen=True, slots=True)
class Wva:
    """The cost-aware optimizer behind the saturation analyzer.

    Attributes:
        scale_up_threshold: Utilisation above which replicas are added.
        scale_down_boundary: Utilisation below which they are removed.
        interval_seconds: `GLOBAL_OPT_INTERVAL`.
        window_seconds: Over which demand is measured.
    """

    scale_up_threshold: float = 0.85
    scale_down_boundary: float = 0.70
    interval_seconds: float = 30.0
    window_seconds: float = 60.0
    name: str = "wva"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name."""
        return {
            "scale_up_threshold": self.scale_up_threshold,
            "scale_down_boundary": self.scale_down_boundary,
            "interval_seconds": self.interval_seconds,
        }

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        return _Optimizer(self, pool, supplies(workload, pool), workload.min_replicas, workload.max_replicas)


@dataclass(frozen=True, slots=True)
class Supply:
    """What a replica of a pool brings.

    Attributes:
        pool: Which.
        rps: That it carries within the objective.
        hourly_cost: Its price.
        most: Replicas at most.
    """

    pool: PoolKey
    rps: float
    hourly_cost: float
    most: int


def supplies(workload: Workload, pool: PoolKey) -> tuple[Supply, ...]:
    """Return the pools that may be used: accurate enough on their own, or the planned one; cheapest capacity first."""
    objective = workload.objective
    least = max(objective.min_accuracy, objective.min_mean_accuracy or 0.0)
    found = []
    for capacity in workload.capacities:
        key, rps = capacity.pool, sustainable_rps(capacity, objective)
        if rps <= 0.0 or (key != pool and workload.variant(key.variant).accuracy < least):
            continue
        placement = workload.placement(key.placement)
        most = workload.max_replicas if placement.max_replicas is None else placement.max_replicas
        found.append(Supply(key, rps, placement.hourly_cost, most))
    return tuple(sorted(found, key=lambda supply: (supply.hourly_cost / supply.rps, supply.pool)))


def grown(
    supplies: Sequence[Supply], replicas: Mapping[PoolKey, int], required_rps: float, most: int
) -> dict[PoolKey, int]:
    """Add what is required to the cheapest capacity that has room, then to the next.

    Args:
        supplies: Cheapest capacity first.
        replicas: Of each pool now.
        required_rps: Above what is there or on its way.
        most: Replicas of all pools together.
    """
    targets = dict(replicas)
    for supply in supplies:
        now = targets.get(supply.pool, 0)
        room = min(supply.most - now, most - sum(targets.values()))
        more = min(math.ceil(required_rps / supply.rps - 1e-9), room)
        if more > 0:
            targets[supply.pool] = now + more
            required_rps -= more * supply.rps
    return targets


def shrunk(
    supplies: Sequence[Supply], replicas: Mapping[PoolKey, int], spare_rps: float, least: int
) -> dict[PoolKey, int]:
    """Take what is spare from the dearest replicas, whatever they bring for it; the last `least` stay."""
    targets = dict(replicas)
    for supply in sorted(supplies, key=lambda s: (-s.hourly_cost, s.rps, s.pool)):
        now = targets.get(supply.pool, 0)
        fewer = min(math.floor(spare_rps / supply.rps + 1e-9), now, sum(targets.values()) - max(least, 1))
        if fewer > 0:
            targets[supply.pool] = now - fewer
            spare_rps -= fewer * supply.rps
    return targets


@dataclass(frozen=True, slots=True)
class _Optimizer:
    kind: Wva
    pool: PoolKey
    supplies: tuple[Supply, ...]
    least: int
    most: int

    @property
    def interval_seconds(self) -> float:
        return self.kind.interval_seconds

    def decide(self, sight: Sight) -> Targets:
        now = {seen.pool: seen.replicas for seen in sight.pools}
        rps, queued = sight.prometheus.offered_rps(self.kind.window_seconds), sight.prometheus.queued()
        if not sight.seconds or math.isnan(rps):
            return Targets(now)
        demand = rps + queued / self.kind.interval_seconds
        ready = sum(supply.rps * sight.pool(supply.pool).ready for supply in self.supplies)
        coming = sum(supply.rps * sight.pool(supply.pool).replicas for supply in self.supplies)
        required, spare = demand / self.kind.scale_up_threshold - coming, ready - demand / self.kind.scale_down_boundary
        if required > 0.0:
            targets = grown(self.supplies, now, required, self.most)
        else:
            targets = shrunk(self.supplies, now, spare, self.least)
        return Targets({key: count for key, count in targets.items() if count or key == self.pool})
