"""How long replicas take to start, by what was measured. Pure."""

from collections.abc import Mapping

from modelscaler.domain import PoolKey


def measured_start(starts: Mapping[PoolKey, float], pool: PoolKey) -> float | None:
    """Return how many seconds replicas of a pool took, or of the slowest other variant of its placement; None: not known.

    A node, an image and weights of about the same size tell more of a variant that never started than its spec does.
    """
    own = starts.get(pool)
    return slowest_start(starts, pool.placement) if own is None else own


def slowest_start(starts: Mapping[PoolKey, float], placement: str) -> float | None:
    """Return the longest start of a placement's pools, in seconds; None where none was measured."""
    return max((seconds for pool, seconds in starts.items() if pool.placement == placement), default=None)
