"""The workload of a replay that names none: one placement, a model, and a cheaper variant for few of the answers."""

from typing import Final

from modelscaler.domain import (
    DirectionRules,
    ForecastSettings,
    Objective,
    PlacementOption,
    PoolKey,
    ReplicaCapacity,
    VariantOption,
    Workload,
    WorkloadKey,
)

POOL: Final = PoolKey("cpu", "full")
FAST: Final = PoolKey("cpu", "fast")
MOST_REPLICAS: Final = 1000
USUAL_REPLICAS: Final = 8.0
"""A trace is scaled so that its mean load takes so many replicas."""

FULL_ACCURACY, FAST_ACCURACY = 0.95, 0.93
MOST_DEGRADED: Final = 0.02


def standard_workload(start_seconds: float, with_rung: bool) -> Workload:
    """Return a workload whose replica takes 30 ms for a batch and 10 ms more for each request in it, 16 at most.

    Args:
        start_seconds: From asked for to ready.
        with_rung: Whether replicas hold a variant that is 2.5 times as fast; at most 2 % of answers may be its own on average.
    """
    full = ReplicaCapacity(POOL, 0.010, 0.030, 16, "Spec")
    fast = ReplicaCapacity(FAST, 0.004, 0.012, 16, "Spec")
    floor = FULL_ACCURACY - MOST_DEGRADED * (FULL_ACCURACY - FAST_ACCURACY)
    return Workload(
        key=WorkloadKey("replay", "standard"),
        generation=1,
        variants=(VariantOption("full", FULL_ACCURACY), VariantOption("fast", FAST_ACCURACY))[: 1 + with_rung],
        placements=(PlacementOption("cpu", 1.0, start_seconds),),
        objective=Objective(0.99, 0.4, FAST_ACCURACY, floor if with_rung else None),
        capacities=(full, fast)[: 1 + with_rung],
        min_replicas=1,
        max_replicas=MOST_REPLICAS,
        max_hourly_cost=None,
        scale_up=DirectionRules(0.0),
        scale_down=DirectionRules(300.0),
        fallback=None,
        forecast=ForecastSettings(0.95, 1_209_600.0, 86_400.0, "Auto"),
        start_deadline_seconds=max(600.0, 2.0 * start_seconds),
        reflex=with_rung,
    )
