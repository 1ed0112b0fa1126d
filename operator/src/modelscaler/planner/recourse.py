"""How many answers cheaper variants of a ladder give, are expected to give, and may. Pure.

A replica that takes the cheaper variant for a part of the time carries up to `speedup` times what it carries otherwise. At a
load X above its own capacity C the cheaper variant must answer (X - C) speedup / (speedup - 1) requests per second: with the
share t of the time spent on it, C (1 - t) + speedup C t = X, and it answers speedup C t.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from modelscaler.domain import Observation, PoolKey, Workload

BUDGET_SECONDS = 60.0
"""A server saves up cheaper answers for so many seconds of nothing else (burst_seconds of its scheduler)."""

REFILL_SECONDS = 10_800.0
"""Of what servers may save only what they earn in this time is counted on: a burst some hours ago has spent what there was."""


@dataclass(frozen=True, slots=True)
class Rung:
    """The variant of a ladder that carries most, beside the planned one.

    Attributes:
        variant: Its name.
        speedup: What it carries per replica, in multiples of what the planned one does; above 1.
        allowed_share: Largest share of all answers that may be its own, in [0, 1].
    """

    variant: str
    speedup: float
    allowed_share: float


def allowed_share(accuracy: float, cheaper: float, floor: float | None) -> float:
    """Return the share of answers that may come from a cheaper variant.

    Args:
        accuracy: Of the planned variant, in [0, 1].
        cheaper: Accuracy of the other, below that.
        floor: What answers must reach on average; None: nothing is asked.
    """
    if floor is None:
        return 1.0
    return min(max((accuracy - floor) / (accuracy - cheaper), 0.0), 1.0)


def expected_share(loads_rps: Sequence[float], own_rps: float, speedup: float) -> float:
    """Return the expected share of answers by the cheaper variant.

    Args:
        loads_rps: Equally likely loads, rising, not below 0; none when nothing is expected. The share is the mean over time: a
            load that is higher counts no more, so that more load never means a smaller share.
        own_rps: What the replicas carry with the planned variant, above 0.
        speedup: Above 1.
    """
    above = bisect_right(loads_rps, own_rps)
    if above == len(loads_rps):
        return 0.0
    beyond = bisect_left(loads_rps, own_rps * speedup, above)  # from here on all answers are cheaper ones
    some = sum([1.0 - own_rps / load for load in loads_rps[above:beyond]])
    return (some * speedup / (speedup - 1.0) + len(loads_rps) - beyond) / len(loads_rps)


def bearable_multiple(rung: Rung, horizon_seconds: float, saved_share: float) -> float:
    """Return by what factor a load may exceed what replicas carry themselves, from now on until more of them could be ready.

    At r times what they carry they give (r - 1) speedup / (speedup - 1) cheaper answers in the time of one answer of their
    own, and r times the allowed share of that is nobody's loss. What is beyond is paid from what their servers have saved, at
    most BUDGET_SECONDS of nothing but cheaper answers, and has to last for the horizon.

    Args:
        rung: The cheaper variant.
        horizon_seconds: Until replicas that are asked for now could be ready, above 0.
        saved_share: How full their budgets are, in [0, 1].

    Returns:
        From 1 (nothing is saved) to the speedup (what the cheaper variant carries at all).
    """
    share = rung.allowed_share
    if share >= 1.0:
        return rung.speedup
    per_excess = rung.speedup / (rung.speedup - 1.0)
    saved_seconds = saved_share * min(BUDGET_SECONDS * rung.speedup, REFILL_SECONDS * share / (1.0 - share))
    bearable = (saved_seconds * (1.0 - share) / horizon_seconds + per_excess) / (per_excess - share)
    return min(bearable, rung.speedup)


def replicas_within(rung: Rung, loads_rps: Sequence[float], rps_per_replica: float, fewest: int, most: int) -> int:
    """Return the fewest replicas, from `fewest` to `most`, whose cheaper answers are expected to be no more than allowed.

    Args:
        rung: The cheaper variant.
        loads_rps: Equally likely loads, rising.
        rps_per_replica: What one replica carries with the planned variant.
        fewest: Returned when it suffices; at least 0.
        most: Returned when nothing less suffices: with so many what servers have saved lasts until more could be ready.
    """
    if fewest >= most or rung.allowed_share >= 1.0:
        return fewest

    def is_allowed(replicas: int) -> bool:
        return expected_share(loads_rps, max(replicas, 1e-9) * rps_per_replica, rung.speedup) <= rung.allowed_share

    if is_allowed(fewest):
        return fewest
    return fewest + 1 + bisect_left(range(fewest + 1, most), True, key=is_allowed)


def degraded_share(workload: Workload, seen: Observation, serving: PoolKey | None) -> float | None:
    """Return the share of the answers given lately that are less accurate than the serving pool's variant promises.

    None when there were none, it is not known who answers, or nothing serves.
    """
    accuracies = {variant.name: variant.accuracy for variant in workload.variants}
    rates = [(rate, accuracies[name]) for name, rate in seen.served if name in accuracies]
    total = sum(rate for rate, _ in rates)
    if serving is None or serving.variant not in accuracies or total <= 0.0:
        return None
    return sum(rate for rate, accuracy in rates if accuracy < accuracies[serving.variant]) / total
