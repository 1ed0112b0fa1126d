"""The clairvoyant: what the whole load would have needed, known beforehand.

The unit of cost is the fewest replicas that carry the load at each tick: nobody who serves it all can pay less. Who must wait
for replicas to start pays more: a replica is asked for as long before it is needed as it takes to start, and one that will be
needed again sooner than that stays. That is the offline optimum, by looking ahead or by dynamic programming over replicas
that cost something to start: the two agree (Lin et al., "Dynamic right-sizing for power-proportional data centers", INFOCOM
2011, for the programme and the form of its solution: stay as you are within two bounds).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats, PoolKey, Workload
from modelscaler.replay.load import Load
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.sight import Policy, Sight, Targets

TICK_SECONDS: Final = 15.0
ROUNDING: Final = 1e-9


def fewest_replicas(load: Load, workload: Workload, pool: PoolKey, tick_seconds: float = TICK_SECONDS) -> Ints:
    """Return the fewest replicas of a pool that carry what arrives in each tick, shape (whole ticks,).

    Args:
        load: What arrives.
        workload: For its bounds, and for what a replica carries within the objective.
        pool: Which.
        tick_seconds: Length of a tick.
    """
    exact = load.measured_rps(tick_seconds) / carried_rps(workload, pool)
    replicas: Ints = np.ceil(exact - ROUNDING).astype(np.int64)
    return np.clip(replicas, workload.min_replicas, workload.max_replicas)


def clairvoyant_hourly_cost(load: Load, workload: Workload, pool: PoolKey, from_seconds: float = 0.0) -> float:
    """Return the mean price of the fewest replicas, from a time on: the unit that costs are multiples of."""
    needed = fewest_replicas(load, workload, pool)[round(from_seconds / TICK_SECONDS) :]
    return float(needed.mean()) * workload.placement(pool.placement).hourly_cost


def asked_ahead(needed: Ints, start_ticks: int) -> Ints:
    """Return how many must be asked for at each tick so that what is needed is ready, shape (ticks,).

    Args:
        needed: Replicas needed at each tick.
        start_ticks: From asked for to ready.
    """
    padded = np.concatenate([needed, np.zeros(start_ticks, dtype=np.int64)])
    most: Ints = np.lib.stride_tricks.sliding_window_view(padded, start_ticks + 1).max(axis=1)
    return most


def cheapest_sizes(needed: Ints, first: int, start_cost: float) -> Ints:
    """Return the sizes of least cost that are never below what is needed, shape (ticks,).

    Cost is a replica's for each tick plus `start_cost` for each that is added. The cost to go is convex in the replicas, so
    it is least to go up to a lower bound, down to an upper one, and else to stay; the bounds are found from the end.

    Args:
        needed: Replicas needed at each tick.
        first: Replicas before the first tick.
        start_cost: What adding a replica costs, in ticks of a replica.
    """
    most = max(int(needed.max(initial=0)), first)
    replicas: Floats = np.arange(most + 1, dtype=np.float64)
    bounds = np.empty((len(needed), 2), dtype=np.int64)
    to_go = np.zeros(most + 1)
    for tick in range(len(needed) - 1, -1, -1):
        cost = to_go + replicas
        cost[: needed[tick]] = np.inf
        low, high = int(np.argmin(cost + start_cost * replicas)), int(np.argmin(cost))
        bounds[tick] = low, high
        to_go = cost
        to_go[:low] = cost[low] + start_cost * (low - replicas[:low])
        to_go[high + 1 :] = cost[high]
    sizes, size = np.empty(len(needed), dtype=np.int64), first
    for tick, (low, high) in enumerate(bounds.tolist()):
        size = min(max(size, low), high)
        sizes[tick] = size
    return sizes


@dataclass(frozen=True, slots=True)
class Oracle:
    """Asks for what will be needed, in time.

    Attributes:
        load: What will arrive.
        spread: Start times are longer than the placement's by up to this share.
    """

    load: Load
    spread: float = 0.1
    name: str = "oracle"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """It has none that matter."""
        return {}

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        longest = workload.placement(pool.placement).start_seconds * (1.0 + self.spread)
        needed = fewest_replicas(self.load, workload, pool)
        return _Told(pool, asked_ahead(needed, math.ceil(longest / TICK_SECONDS) + 1))


@dataclass(frozen=True, slots=True)
class _Told:
    pool: PoolKey
    asked: Ints
    interval_seconds: float = field(default=TICK_SECONDS)

    def decide(self, sight: Sight) -> Targets:
        tick = min(int(sight.seconds / TICK_SECONDS), len(self.asked) - 1)
        return Targets({self.pool: int(self.asked[tick])}, self.pool)
