"""Which replicas of a pool are not going to start. Pure."""

from modelscaler.domain import PoolObservation

UNSCHEDULABLE_GRACE_SECONDS = 10.0
"""A pod is unschedulable, or refused by a quota, for a moment while another leaves; after this it is believed.

Where replicas were seen to take longer from created to ready, an unschedulable one is waited for as long: nodes that come when
they are asked for, as a cluster autoscaler has it, are part of that time.
"""

LONGEST_NODE_GRACE_SECONDS = 300.0
"""No node takes longer; who was seen to take longer had waited for a node that was not to be had."""

FAILING_GRACE_SECONDS = 30.0
"""One crash or refused pull may be bad luck; a pod that still fails this long after its creation is believed."""

DARK_FACTOR = 2.0
"""A pool whose pods are known to start in s seconds and of which none is ready after this many times s has gone dark."""


def stuck_replicas(pool: PoolObservation, deadline_seconds: float) -> int:
    """Return how many replicas of a pool cannot run: not made, not placed, failing, or all of them silent for too long.

    Args:
        pool: What is seen of the pool.
        deadline_seconds: How long a pool that was never seen ready may take to start.
    """
    if _is_dark(pool, deadline_seconds):
        return pool.replicas
    unplaced = pool.unschedulable if pool.unready_seconds >= _node_grace_seconds(pool) else 0
    refused = pool.refused if pool.refused_seconds >= UNSCHEDULABLE_GRACE_SECONDS else 0
    # While others run, a replica that fails is a replica's trouble; when none runs, it is the pool's.
    failing = pool.failing if not pool.ready and pool.unready_seconds >= FAILING_GRACE_SECONDS else 0
    # A rollout adds a pod before it takes one away: only what is missing counts.
    return min(unplaced + refused + failing, max(pool.replicas - pool.ready, 0))


def _node_grace_seconds(pool: PoolObservation) -> float:
    return min(max(pool.start_seconds or 0.0, UNSCHEDULABLE_GRACE_SECONDS), LONGEST_NODE_GRACE_SECONDS)


def _is_dark(pool: PoolObservation, deadline_seconds: float) -> bool:
    if pool.ready or not pool.replicas:
        return False
    if pool.start_seconds is None:
        return pool.unready_seconds >= deadline_seconds
    patience = DARK_FACTOR * pool.start_seconds + UNSCHEDULABLE_GRACE_SECONDS
    return pool.unready_seconds >= min(patience, deadline_seconds)
