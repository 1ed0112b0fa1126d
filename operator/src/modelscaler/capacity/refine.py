"""Correct a profiled speed by what loaded replicas show. Pure.

A profile is made once, on one replica. Noisy neighbours, other inputs and other processors make replicas slower or faster; the
factor kept here is the measured over the profiled sustainable load. Nothing calls it yet: whoever does keeps the `Refinement`
from tick to tick and multiplies `sustainable_rps` by `factor`.
"""

from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log, sqrt

from modelscaler.capacity.latency import largest_rps, latency_seconds
from modelscaler.domain import ReplicaCapacity

LEAST_BUSY = 0.5
"""Share of the largest throughput below which a window says nothing: latency there hardly depends on the load."""
MOST_BUSY = 0.95
"""Beyond it a queue grows for as long as the window lasts, and its latency tells the window's length."""
FORGETTING = 0.9
"""What a window's weight is multiplied by with each later window: a half-life of about 7 windows."""
PRIOR_WEIGHT = 5.0
"""The profile counts as much as so many windows, at first."""
LARGEST_STEP = 0.05
SMALLEST_FACTOR, LARGEST_FACTOR = 0.5, 1.25
"""A slower replica is believed more readily than a faster one, which removes capacity."""


@dataclass(frozen=True, slots=True)
class LoadedWindow:
    """What one replica was asked and took, on average over the ready ones.

    Attributes:
        rps_per_replica: Offered.
        latency_seconds: A percentile of the time from arrival to answer; NaN or inf: not known, the window is passed over.
        percentile: Which, in (0, 1).
    """

    rps_per_replica: float
    latency_seconds: float
    percentile: float


@dataclass(frozen=True, slots=True)
class Refinement:
    """What is known of a replica's speed, relative to its profile.

    Attributes:
        factor: To multiply the sustainable load with.
        weight: Of all windows, those of long ago less.
        mean_log: Weighted mean of the logarithm of each window's own factor.
        square_log: Weighted sum of its squared distances from the mean.
    """

    factor: float = 1.0
    weight: float = PRIOR_WEIGHT
    mean_log: float = 0.0
    square_log: float = 0.0

    @property
    def uncertainty(self) -> float:
        """Return the standard error of the factor's logarithm, about its relative error; inf before two windows' worth."""
        seen = self.weight - 1.0
        return sqrt(self.square_log / seen / self.weight) if self.square_log > 0.0 and seen > 0.0 else inf


def refined(known: Refinement, capacity: ReplicaCapacity, window: LoadedWindow) -> Refinement:
    """Return what is known after one more window; unchanged when it was not a loaded one.

    The window's own factor is the speed at which the latency model gives the measured latency: all times of the profile
    divided by it. It is averaged, in logarithms, with exponential forgetting, and the factor follows by at most LARGEST_STEP.
    """
    busy = window.rps_per_replica / largest_rps(capacity) if isfinite(window.rps_per_replica) else 0.0
    if not LEAST_BUSY <= busy <= MOST_BUSY or not isfinite(window.latency_seconds) or window.latency_seconds <= 0.0:
        return known
    seen = log(_speed(capacity, window))
    weight = FORGETTING * known.weight + 1.0
    off = seen - known.mean_log
    mean = known.mean_log + off / weight
    square = FORGETTING * known.square_log + off * (seen - mean)
    wanted = min(max(exp(mean), SMALLEST_FACTOR), LARGEST_FACTOR)
    factor = min(max(wanted, known.factor * (1.0 - LARGEST_STEP)), known.factor * (1.0 + LARGEST_STEP))
    return replace(known, factor=factor, weight=weight, mean_log=mean, square_log=square)


def _speed(capacity: ReplicaCapacity, window: LoadedWindow) -> float:
    """Return the speed, within the bounds of the factor, whose latency is nearest to the measured one, by bisection.

    A replica s times as fast at rate r is the profiled one at r / s with a clock s times as fast, so that one solved curve
    serves all speeds.
    """
    slow, fast = SMALLEST_FACTOR, LARGEST_FACTOR
    for _ in range(30):
        middle = sqrt(slow * fast)
        at = latency_seconds(capacity, window.rps_per_replica / middle, window.percentile) / middle
        slow, fast = (middle, fast) if at > window.latency_seconds else (slow, middle)
    return sqrt(slow * fast)
