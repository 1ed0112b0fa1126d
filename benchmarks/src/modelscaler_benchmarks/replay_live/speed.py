"""How fast the pods of a live run were while they could not keep up, beside the speed that they were measured with. Pure."""

from collections.abc import Sequence
from typing import Final

from modelscaler.capacity.latency import largest_rps
from modelscaler.domain import PoolKey, ReplicaCapacity
from modelscaler_benchmarks.replay_live.curve import STEP_SECONDS, Curve
from modelscaler_benchmarks.replay_live.manifest import FAST, FULL, PLACEMENT

LATE_SHARE: Final = 0.95
"""Where so many answers of a step are late, requests waited all through it, and what was answered is what pods can do."""


def speed_of(live: Curve, capacities: Sequence[ReplicaCapacity]) -> float | None:
    """Return the work that pods did in the steps in which nearly all answers were late, over what their speeds promise.

    Args:
        live: What happened.
        capacities: The measured speeds of both variants.

    Returns:
        None where there was no such step.
    """
    largest = {capacity.pool: largest_rps(capacity) for capacity in capacities}
    full, fast = (largest[PoolKey(PLACEMENT, variant)] for variant in (FULL, FAST))
    waited = (live.answered > 0.0) & (live.late >= LATE_SHARE * live.answered)
    if not waited.any():
        return None
    work = (live.answered - live.degraded) / full + live.degraded / fast
    return float(work[waited].sum() / (live.ready[waited].sum() * STEP_SECONDS))
