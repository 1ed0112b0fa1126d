"""What is replayed: a workload, its load, and how the simulated cluster behaves. Pure."""

from dataclasses import dataclass, field

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import PoolKey, ReplicaCapacity, Workload
from modelscaler.planner.ladder import ladder_of
from modelscaler.replay.batching import Speed
from modelscaler.replay.incidents import MetricsOutage, StockOut
from modelscaler.replay.load import Load
from modelscaler.replay.nodes import NodePool
from modelscaler.replay.pool import PoolSettings, Rung


@dataclass(frozen=True, slots=True)
class Cluster:
    """How the simulated cluster behaves.

    Attributes:
        lag_seconds: Age of the newest sample: scrape and evaluation.
        queue_seconds: Longest queue of a replica, in seconds of work.
        start_spread: Start times vary by up to this share, uniformly, either way.
        stock_outs: When what cannot be had.
        outages: When Prometheus cannot be asked.
        nodes: Of which placements nodes come when they are needed; those of others are always there.
    """

    lag_seconds: float = 5.0
    queue_seconds: float = 5.0
    start_spread: float = 0.1
    stock_outs: tuple[StockOut, ...] = ()
    outages: tuple[MetricsOutage, ...] = ()
    nodes: tuple[NodePool, ...] = ()

    def node_start_seconds(self, placement: str) -> float:
        """Return how long a new node of a placement takes; 0 where nodes are always there."""
        return next((pool.start_seconds for pool in self.nodes if pool.placement == placement), 0.0)


@dataclass(frozen=True, slots=True)
class Case:
    """One replay.

    Attributes:
        workload: What is scaled. `workload.reflex` gives every policy's replicas the ladder.
        pool: The pool that policies scale which choose replicas only; also what runs at first.
        load: What arrives.
        cluster: How the cluster behaves.
        seed: Of start times.
        run_in_seconds: How much of the load comes before what counts.
        told: What policies are told of it, where replicas are not as fast as their speeds say; None: the workload itself.
        saved_seconds: Of answers at the load's first rate, before the replay: so much accuracy its first replicas have saved.
    """

    workload: Workload
    pool: PoolKey
    load: Load
    cluster: Cluster = field(default_factory=Cluster)
    seed: int = 0
    run_in_seconds: float = 0.0
    told: Workload | None = None
    saved_seconds: float = 3600.0

    def settings(self, pool: PoolKey) -> PoolSettings:
        """Return what does not change of a pool."""
        workload = self.workload
        placement, planned = workload.placement(pool.placement), capacity_of(workload, pool)
        *_, last = ladder_of(workload, pool)
        fast = None if last == pool.variant else capacity_of(workload, PoolKey(pool.placement, last))
        return PoolSettings(
            pool=pool,
            planned=_rung(workload, planned),
            fast=_rung(workload, fast) if fast else None,
            floor=workload.objective.min_mean_accuracy,
            target_seconds=workload.objective.latency_seconds,
            queue_seconds=self.cluster.queue_seconds,
            replica_hourly_cost=placement.hourly_cost,
            start_seconds=placement.start_seconds,
        )


def capacity_of(workload: Workload, pool: PoolKey) -> ReplicaCapacity:
    """Return the capacity of a pool's replica.

    Raises:
        KeyError: The workload has no entry for it.
    """
    return {capacity.pool: capacity for capacity in workload.capacities}[pool]


class NoPoolError(ValueError):
    """No replica keeps the objective."""


def usual_pool(workload: Workload) -> PoolKey:
    """Return the pool that carries a load at the least price, among those of the most accurate variant.

    Raises:
        NoPoolError: No replica keeps the objective.
    """
    able = {c.pool: rps for c in workload.capacities if (rps := sustainable_rps(c, workload.objective)) > 0.0}
    if not able:
        raise NoPoolError(
            f"{workload.key}: no capacity entry keeps {workload.objective.latency_seconds:g} s, expected one at least that does"
        )
    best = max(workload.variant(pool.variant).accuracy for pool in able)
    accurate = [pool for pool in able if workload.variant(pool.variant).accuracy == best]
    return min(accurate, key=lambda pool: workload.placement(pool.placement).hourly_cost / able[pool])


def _rung(workload: Workload, capacity: ReplicaCapacity) -> Rung:
    return Rung(Speed.of(capacity), workload.variant(capacity.pool.variant).accuracy)
