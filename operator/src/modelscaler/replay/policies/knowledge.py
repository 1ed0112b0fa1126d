"""What every policy is told of a replica, so that none loses for want of it."""

from functools import lru_cache
from typing import Final

import numpy as np

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import PoolKey, ReplicaCapacity, Workload
from modelscaler.replay.batching import Speed
from modelscaler.replay.case import capacity_of
from modelscaler.replay.load import SLOT_SECONDS
from modelscaler.replay.pool import Arriving, Pool, PoolSettings, Rung

MEASURED_SLOTS: Final = 1200
MEASURED_REPLICAS: Final = 8


def carried_rps(workload: Workload, pool: PoolKey) -> float:
    """Return the rate that a replica carries within the objective.

    Raises:
        ValueError: It carries none.
    """
    rps = sustainable_rps(capacity_of(workload, pool), workload.objective)
    if rps <= 0.0:
        raise ValueError(f"{pool}: even an idle replica misses the objective, expected one that can keep it")
    return rps


def carried_concurrency(workload: Workload, pool: PoolKey, share: float) -> float:
    """Return how many requests are in a replica on average at a share of the rate that it carries within the objective.

    As a load test of the simulated replicas measures it: several of them, Poisson arrivals at that rate, five minutes. Not the
    same share of the concurrency at the full rate: that rises so steeply towards the end that most shares of it mean overload.
    """
    rps = share * carried_rps(workload, pool)
    return _concurrency(capacity_of(workload, pool), rps, workload.objective.latency_seconds)


@lru_cache(maxsize=256)
def _concurrency(capacity: ReplicaCapacity, rps: float, target_seconds: float) -> float:
    settings = PoolSettings(
        pool=capacity.pool,
        planned=Rung(Speed.of(capacity), 1.0),
        fast=None,
        floor=None,
        target_seconds=target_seconds,
        queue_seconds=5.0,
        replica_hourly_cost=0.0,
        start_seconds=0.0,
    )
    mean = rps * MEASURED_REPLICAS * SLOT_SECONDS
    counts = np.random.default_rng(0).poisson(mean, MEASURED_SLOTS).astype(np.int64)
    waiting_seconds = 0.0
    pool = Pool(settings, [0.0] * MEASURED_REPLICAS)
    for some in counts.reshape(-1, 20):
        waiting_seconds += pool.advance(Arriving.of(some), MEASURED_REPLICAS, SLOT_SECONDS).waiting_seconds
    return waiting_seconds / (MEASURED_SLOTS * SLOT_SECONDS) / MEASURED_REPLICAS
