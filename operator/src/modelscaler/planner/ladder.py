"""Which variants a pool's servers hold for bursts: the reflex's ladder. Pure."""

from modelscaler.capacity.latency import largest_rps
from modelscaler.domain import PoolKey, Workload


def ladder_of(workload: Workload, pool: PoolKey) -> tuple[str, ...]:
    """Return a pool's ladder by variant, the planned one first, then less accurate and faster ones, most accurate first.

    A rung is a variant of the same placement whose speed there is known, that is at or above the accuracy floor, and that is
    faster than every rung above it: else it would answer worse for nothing. The planned variant is alone where the reflex is
    off, and where its own speed or accuracy is not known.
    """
    speeds = {c.pool.variant: largest_rps(c) for c in workload.capacities if c.pool.placement == pool.placement}
    accuracies = {v.name: v.accuracy for v in workload.variants}
    rungs = [pool.variant]
    if not workload.reflex or pool.variant not in speeds or pool.variant not in accuracies:
        return tuple(rungs)
    lesser = [
        name
        for name in speeds
        if workload.objective.min_accuracy <= accuracies.get(name, -1.0) < accuracies[pool.variant]
    ]
    for name in sorted(lesser, key=lambda name: (-accuracies[name], name)):
        if speeds[name] > speeds[rungs[-1]]:
            rungs.append(name)
    return tuple(rungs)
