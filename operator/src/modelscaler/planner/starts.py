"""How long replicas take to start, by what was measured. Pure."""

from collections.abc import Iterable, Mapping

from modelscaler.domain import PlacementOption, PoolKey

STARTS_KEPT = 20
"""So many of the last starts of a pool count."""

START_PERCENTILE = 0.9
"""Of them this one is planned for."""


def usual_start(took_seconds: Iterable[float]) -> float | None:
    """Return how long a start usually takes, of those that were seen; None where there were none."""
    return percentile(took_seconds, START_PERCENTILE)


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the nearest-rank percentile; None of nothing."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def measured_start(starts: Mapping[PoolKey, float], pool: PoolKey) -> float | None:
    """Return how many seconds replicas of a pool took, or of the slowest other variant of its placement; None: not known.

    A node, an image and weights of about the same size tell more of a variant that never started than its spec does.
    """
    own = starts.get(pool)
    return slowest_start(starts, pool.placement) if own is None else own


def longest_start(placements: Iterable[PlacementOption], starts: Mapping[PoolKey, float]) -> float:
    """Return how many seconds the slowest of some placements, one at least, takes: what was measured counts where it is slower.

    A faster one does not: what was begun as the spec says would no longer be asked for as soon as it was seen to start.
    """
    return max(max(p.start_seconds, slowest_start(starts, p.name) or 0.0) for p in placements)


def slowest_start(starts: Mapping[PoolKey, float], placement: str) -> float | None:
    """Return the longest start of a placement's pools, in seconds; None where none was measured."""
    return max((seconds for pool, seconds in starts.items() if pool.placement == placement), default=None)
