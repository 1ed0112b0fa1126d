"""Correct a stated speed by what loaded replicas show. Pure.

A profile is made once, on one replica. Noisy neighbours, other inputs and other processors make replicas slower or faster. The
factor kept here is the speed that explains the latency of loaded windows over the stated one: all times of the profile divided
by it. `windows.py` says which windows speak of one replica at all, `measured.py` what a plan counts on.

Where requests waited at every replica all through a window, what was answered is all that they can do: their speed is then no
matter of a model, and a slower one is believed sooner.
"""

from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log, sqrt

from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
from modelscaler.domain import Objective, ReplicaCapacity

LEAST_BUSY = 0.5
"""Share of the largest throughput below which a window says nothing: latency there hardly depends on the load. Where the
objective is so tight that replicas are never that busy, a window in which it is missed counts from this share of what a replica
is counted on for, and so does one that shows a slow replica to be faster than is known: what was believed of a bad minute could
else never be corrected, since more replicas are less busy."""
MOST_BUSY = 0.95
"""Beyond it a queue grows for as long as the window lasts, and its latency tells the window's length."""
FORGETTING = 0.9
"""What a window's weight is multiplied by with each later window: a half-life of about 7 windows."""
PRIOR_WEIGHT = 5.0
"""The profile counts as much as so many windows, at first."""
TAIL_REQUESTS = 20.0
"""A window with so many requests beyond the percentile counts in full, one with fewer by their share of it."""
MISSED = 4.0
"""So many times a window counts that missed an objective which, by what is known, replicas would have kept: users wait."""
LARGEST_STEP = 0.05
LARGEST_SURPRISE = 0.2
"""A window's own factor counts as at most this far from what is known, in logarithms: one burst moves little."""
LEAST_KEPT = 0.25
"""A replica is never counted on for less than this share of the rate it is stated for."""
LARGEST_DROP = 0.3
"""So much a window in which replicas answered all they could may lower the factor: what lasts shows in the next one, too."""
DROPPED_WEIGHT = 2.0
"""What was lowered like that counts as so many windows: those to come soon say more."""
FEWEST_REQUESTS = 30.0
"""With fewer answers a window does not tell a slow replica from a few large requests."""
SMALLEST_FACTOR, LARGEST_FACTOR = 0.5, 1.25
"""A slower replica is believed more readily than a faster one, which removes capacity."""


@dataclass(frozen=True, slots=True)
class LoadedWindow:
    """What one replica was asked and took, on average over the ready ones.

    Attributes:
        rps_per_replica: Offered.
        latency_seconds: From arrival to answer at the objective's percentile; NaN or inf: not known, the window is passed over.
        requests: Answered within the window, by all replicas.
        shows_faster: Whether it may show that a replica is faster, and not only that it is slower. It may not where later
            answers will be slower, since a queue grows, or where the latency is the least there may have been.
    """

    rps_per_replica: float
    latency_seconds: float
    requests: float
    shows_faster: bool = True


@dataclass(frozen=True, slots=True)
class SaturatedWindow:
    """What one replica answered, on average over the ready ones, while requests waited at each of them all the time.

    Attributes:
        busy: Seconds of work at the stated speed that was answered in a second: the replica's speed over the stated one.
        requests: Answered within the window, by all replicas.
    """

    busy: float
    requests: float


@dataclass(frozen=True, slots=True)
class Refinement:
    """What is known of a replica's speed, relative to the stated one.

    Attributes:
        factor: Speed over stated speed.
        weight: Of all windows, those of long ago less.
        mean_log: Weighted mean of the logarithm of each window's own factor.
        square_log: Weighted sum of its squared distances from the mean.
    """

    factor: float = 1.0
    weight: float = PRIOR_WEIGHT
    mean_log: float = 0.0
    square_log: float = 0.0

    @property
    def is_brief(self) -> bool:
        """Whether hardly more than one window showed it, one in which replicas answered all they could."""
        return self.weight < PRIOR_WEIGHT

    @property
    def uncertainty(self) -> float:
        """Return the standard error of the factor's logarithm, about its relative error; inf before two windows' worth."""
        seen = self.weight - 1.0
        return sqrt(self.square_log / seen / self.weight) if self.square_log > 0.0 and seen > 0.0 else inf


def recalled(factor: float, uncertainty: float, *, is_brief: bool = False) -> Refinement:
    """Return a refinement that was written down: it counts twice what a mere profile does, or as little as it did."""
    weight = DROPPED_WEIGHT if is_brief else 2.0 * PRIOR_WEIGHT
    return Refinement(factor, weight, log(factor), _square_log(weight, uncertainty))


def sped_up(capacity: ReplicaCapacity, factor: float) -> ReplicaCapacity:
    """Return a replica that is `factor` times as fast in everything."""
    return replace(
        capacity,
        per_request_seconds=capacity.per_request_seconds / factor,
        overhead_seconds=capacity.overhead_seconds / factor,
        tail_seconds=capacity.tail_seconds / factor,
        source="Measured",
    )


def refined(known: Refinement, capacity: ReplicaCapacity, objective: Objective, window: LoadedWindow) -> Refinement:
    """Return what is known after one more window; unchanged when it was not a loaded one.

    The window's own factor is the speed at which the latency model gives the measured latency. It is averaged, in logarithms,
    with exponential forgetting, and the factor follows by at most LARGEST_STEP.

    Args:
        known: So far.
        capacity: The stated speed.
        objective: Whose percentile the window's latency is of.
        window: The window.
    """
    if not _is_readable(known, capacity, window):
        return known
    shows_slower = _is_busy(known, capacity, objective, window)
    if not shows_slower and not _is_as_planned(known, capacity, objective, window):
        return known
    seen = log(_speed(capacity, objective.percentile, window))
    if not (window.shows_faster if seen >= log(known.factor) else shows_slower):
        return known
    share = min(window.requests * (1.0 - objective.percentile) / TAIL_REQUESTS, 1.0)
    if window.latency_seconds > objective.latency_seconds and _is_kept(known, capacity, objective, window):
        share *= MISSED
    weight = FORGETTING**share * known.weight + share
    off = min(max(seen - known.mean_log, -LARGEST_SURPRISE), LARGEST_SURPRISE)
    moved = off * share / weight
    square = FORGETTING**share * known.square_log + share * off * (off - moved)
    mean = known.mean_log + moved
    wanted = min(max(exp(mean), SMALLEST_FACTOR), LARGEST_FACTOR)
    factor = min(max(wanted, known.factor * (1.0 - LARGEST_STEP)), known.factor * (1.0 + LARGEST_STEP))
    return Refinement(factor, weight, mean, square)


def saturated(known: Refinement, window: SaturatedWindow) -> Refinement:
    """Return what is known after a window in which replicas answered all they could.

    A speed that is slower by more than LARGEST_STEP is believed at once, as far as LARGEST_DROP: users wait, and it is
    measured, not inferred. It never raises what is known: who of a ladder is faster than stated cannot be told from the sum.
    """
    if window.requests < FEWEST_REQUESTS or window.busy >= known.factor * (1.0 - LARGEST_STEP):
        return known
    factor = max(window.busy, known.factor * (1.0 - LARGEST_DROP), SMALLEST_FACTOR)
    if factor >= known.factor:
        return known
    doubt = max(1.0 / sqrt(window.requests), known.uncertainty if isfinite(known.uncertainty) else 0.0)
    return Refinement(factor, DROPPED_WEIGHT, log(factor), _square_log(DROPPED_WEIGHT, doubt))


def _square_log(weight: float, uncertainty: float) -> float:
    """Return the sum of squares that makes a refinement of that weight so uncertain."""
    return uncertainty**2 * weight * (weight - 1.0)


def _is_readable(known: Refinement, capacity: ReplicaCapacity, window: LoadedWindow) -> bool:
    """Tell whether a window's latency is that of a queue that does not grow."""
    rps, seconds = window.rps_per_replica, window.latency_seconds
    if not (isfinite(rps) and isfinite(seconds) and seconds > 0.0 and window.requests > 0.0):
        return False
    return rps <= MOST_BUSY * largest_rps(capacity) * max(known.factor, 1.0)


def _is_as_planned(known: Refinement, capacity: ReplicaCapacity, objective: Objective, window: LoadedWindow) -> bool:
    """Tell whether slow replicas are as busy as a plan lets them be: such a window says at most that they are faster."""
    counted_on = max(_counted_on(known, capacity, objective), LEAST_KEPT * sustainable_rps(capacity, objective))
    return known.factor < 1.0 and 0.0 < LEAST_BUSY * counted_on <= window.rps_per_replica


def _is_busy(known: Refinement, capacity: ReplicaCapacity, objective: Objective, window: LoadedWindow) -> bool:
    """Tell whether replicas were busy, or as busy as a tight objective that was missed lets them be."""
    rps = window.rps_per_replica
    if rps >= LEAST_BUSY * largest_rps(capacity) * known.factor:
        return True
    counted_on = _counted_on(known, capacity, objective)
    return window.latency_seconds > objective.latency_seconds and 0.0 < LEAST_BUSY * counted_on <= rps


def _counted_on(known: Refinement, capacity: ReplicaCapacity, objective: Objective) -> float:
    return sustainable_rps(sped_up(capacity, known.factor), objective)


def _is_kept(known: Refinement, capacity: ReplicaCapacity, objective: Objective, window: LoadedWindow) -> bool:
    """Tell whether replicas as fast as is known would keep the objective under the window's load."""
    return window.rps_per_replica <= _counted_on(known, capacity, objective)


def _speed(capacity: ReplicaCapacity, percentile: float, window: LoadedWindow) -> float:
    """Return the speed, within the bounds of the factor, whose latency is nearest to the measured one, by bisection.

    A replica s times as fast at rate r is the stated one at r / s with a clock s times as fast.
    """
    slow, fast = SMALLEST_FACTOR, LARGEST_FACTOR
    for _ in range(30):
        middle = sqrt(slow * fast)
        at = latency_seconds(capacity, window.rps_per_replica / middle, percentile) / middle
        slow, fast = (middle, fast) if at > window.latency_seconds else (slow, middle)
    return sqrt(slow * fast)
