"""What every policy is told of a replica, so that none loses for want of it."""

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import PoolKey, Workload
from modelscaler.replay.batching import Speed
from modelscaler.replay.case import capacity_of


def carried_rps(workload: Workload, pool: PoolKey) -> float:
    """Return the rate that a replica carries within the objective.

    Raises:
        ValueError: It carries none.
    """
    rps = sustainable_rps(capacity_of(workload, pool), workload.objective)
    if rps <= 0.0:
        raise ValueError(f"{pool}: even an idle replica misses the objective, expected one that can keep it")
    return rps


def carried_concurrency(workload: Workload, pool: PoolKey) -> float:
    """Return how many requests are in a replica on average at the rate that it carries within the objective.

    By Little's law with the mean time that the simulated replica takes: a batch and a half (replay/batching.py).
    """
    rps, speed = carried_rps(workload, pool), Speed.of(capacity_of(workload, pool))
    batch = min(speed.waiting(0.0, rps), speed.most)
    return rps * 1.5 * speed.batch_seconds(batch)
