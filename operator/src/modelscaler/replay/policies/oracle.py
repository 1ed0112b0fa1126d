"""The clairvoyant: what the whole load would have needed, known beforehand.

The unit of cost is the fewest replicas of one pool, of the planned variant without a rung, that carry the load at each tick. It
is no optimum over placements and variants: who leans on a cheaper one can pay less. Who must wait for replicas to start pays
more: a replica is asked for as long before it is needed as it takes to start, and one that will be needed again sooner stays.
That is the offline optimum of that pool: a test holds it to the dynamic programme over replicas that cost something to start
(Lin et al., "Dynamic right-sizing for power-proportional data centers", INFOCOM 2011).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.domain import PoolKey, Workload
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


@dataclass(frozen=True, slots=True)
class Oracle:
    """Asks for what will be needed, in time.

    Attributes:
        load: What will arrive.
        spread: Start times are longer than the placement's by up to this share.
        node_seconds: What a new node takes before them.
    """

    load: Load
    spread: float = 0.1
    node_seconds: float = 0.0
    name: str = "oracle"

    @property
    def settings(self) -> Mapping[str, float | str]:
        """It has none that matter."""
        return {}

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return the policy for a run."""
        longest = self.node_seconds + workload.placement(pool.placement).start_seconds * (1.0 + self.spread)
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
