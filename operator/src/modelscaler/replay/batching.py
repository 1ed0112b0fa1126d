"""One replica in one slot: how many requests wait, who waits too long. Pure.

A replica takes whatever waits, up to B, in batches of a n + b seconds. With x waiting when a batch starts it serves
min(x, B) / (a min(x, B) + b) requests a second, so x moves with what arrives less that, and rests at r b / (1 - r a) for a
rate r. One implicit Euler step takes it over a slot, however short batches are against slots.

Within a slot arrivals fluctuate besides: x is taken for normal about its mean, with the variance of a queue that forgets in
b / (1 - r a)^2 seconds, less what the counts of the slots themselves carry. What batches cut off at B leave behind of these
fluctuations is added to x. An arrival waits for the batch under way, found at a uniform point, then for its own: between
one and two batch times, which fluctuate with x (mean, size bias and variance as for a batch server with Poisson arrivals whose
batches are not cut off; `capacity/batching.py` solves the same queue exactly, and too slowly for this).

How close it comes to a simulation of every single request (six shapes of batches, 60 to 105 % of the throughput and bursts to
120 %, objectives of five and ten times a batch of one): the share of violating requests is within 20 % or 0.2 points of it
in 143 of 144 cases with eight replicas, in 138 with three and in 125 with one. A lone replica near its limit may be off by
half, and one with b far below a looks worse than it is. `tests/unit/replay/test_pool_against_requests.py` guards that.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from math import erfc, exp, pi, sqrt
from typing import NamedTuple

from modelscaler.domain import ReplicaCapacity

SELDOM = 1e-5
"""A share of requests below which they count as none."""


class Stay(NamedTuple):
    """How long arrivals stay: between `latest_seconds - batch_seconds` and `latest_seconds`, give or take a normal error.

    Attributes:
        latest_seconds: For whoever arrives when a batch has just begun.
        batch_seconds: Of a batch.
        spread_seconds: Standard deviation of the error.
        busy: Share of arrivals that find a batch under way.
    """

    latest_seconds: float
    batch_seconds: float
    spread_seconds: float
    busy: float

    def late_share(self, seconds: float) -> float:
        """Return what share of arrivals stays longer than that."""
        over, spread = self.latest_seconds - seconds, self.spread_seconds
        if over < -8.0 * spread:
            return 0.0
        if spread <= 0.0:
            return self.busy * min(max(over / self.batch_seconds, 0.0), 1.0)
        beyond = excess(-over / spread) - excess((self.batch_seconds - over) / spread)
        return self.busy * min(beyond * spread / self.batch_seconds, 1.0)

    def pressed_share(self, seconds: float) -> float:
        """Return what share of batches would end too late for the first in them."""
        over, spread = self.latest_seconds - seconds, self.spread_seconds
        if spread <= 0.0:
            return float(over > 0.0)
        return self.busy * 0.5 * erfc(-over / spread / sqrt(2.0))


def excess(z: float) -> float:
    """Return by how much a standard normal variable exceeds z on average."""
    if z > 8.0:
        return 0.0
    return exp(-0.5 * z * z) / sqrt(2.0 * pi) - 0.5 * z * erfc(z / sqrt(2.0))


@dataclass(frozen=True, slots=True)
class Speed:
    """A replica's batch of n takes `overhead_seconds + n * per_request_seconds`, n up to `most`.

    `largest_rps` is the throughput with full batches.
    """

    per_request_seconds: float
    overhead_seconds: float
    most: float
    largest_rps: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "largest_rps", self.most / self.batch_seconds(self.most))

    @classmethod
    def of(cls, capacity: ReplicaCapacity) -> "Speed":
        """Return the speed of a replica."""
        return cls(capacity.per_request_seconds, capacity.overhead_seconds, float(capacity.max_batch))

    def batch_seconds(self, requests: float) -> float:
        """Return how long a batch takes."""
        return self.overhead_seconds + requests * self.per_request_seconds

    def steady_waiting(self, rps: float) -> float:
        """Return how many wait when a batch starts, at a rate that lasts; inf where batches cannot take them all."""
        if rps >= self.largest_rps:
            return float("inf")
        return rps * self.overhead_seconds / (1.0 - rps * self.per_request_seconds)

    def after(self, waiting: float, rps: float, dispersion: float, seconds: float) -> float:
        """Return how many wait after a slot.

        Args:
            waiting: When batches start, at the beginning.
            rps: Arrivals per second.
            dispersion: Variance over mean of the arrivals within the slot; 1 is Poisson.
            seconds: Length of the slot.
        """
        come = waiting + rps * seconds
        part = self.overhead_seconds + seconds - self.per_request_seconds * come
        root = sqrt(part * part + 4.0 * self.per_request_seconds * self.overhead_seconds * come)
        if part > 0.0:
            after = 2.0 * self.overhead_seconds * come / (root + part)
        else:
            after = (root - part) / (2.0 * self.per_request_seconds)
        if after > self.most:
            after = come - seconds * self.largest_rps
        return after + self._cut_off(max(after, 0.0), rps, dispersion, seconds)

    def stay(self, waiting: float, rps: float, dispersion: float, seconds: float) -> Stay:
        """Return how long those stay who arrive while so many wait; for the arguments see `after`."""
        batch = min(max(waiting, 1.0), self.most)
        took, load = self.batch_seconds(batch), min(rps * self.per_request_seconds, 1.0)
        spread, _ = self._spread(waiting, took, load, rps * dispersion, seconds)
        if waiting > self.most:
            per_request = 1.0 / self.largest_rps
            return Stay((waiting - self.most) * per_request + 2.0 * took, took, spread * per_request, 1.0)
        swing = self.per_request_seconds * spread
        later = self.per_request_seconds * dispersion + (1.0 + load) * swing * swing / took
        return Stay(2.0 * took + later, took, swing * sqrt(2.0 * (1.0 + load)), min(rps * took / batch, 1.0))

    def _cut_off(self, waiting: float, rps: float, dispersion: float, seconds: float) -> float:
        """Return what fluctuations above B leave behind in a slot, over what the mean leaves."""
        room = self.most - waiting
        if room * room > 16.0 * rps * dispersion * seconds / 3.0:  # beyond four times the largest deviation
            return 0.0
        took, load = self.batch_seconds(min(max(waiting, 1.0), self.most)), min(rps * self.per_request_seconds, 1.0)
        spread, memory = self._spread(waiting, took, load, rps * dispersion, seconds)
        if spread <= 0.0:
            return 0.0
        left = spread * excess(room / spread) - max(-room, 0.0)
        return left * self.overhead_seconds / (took * took) * seconds / (1.0 + seconds / memory)

    def _spread(
        self, waiting: float, took: float, load: float, variance_rate: float, seconds: float
    ) -> tuple[float, float]:
        """Return the standard deviation of x within a slot, and within how many seconds x forgets."""
        memory = took / max(1.0 - load, 1e-3) if waiting < self.most else 1000.0
        return sqrt(variance_rate / (1.0 + load) * memory / (1.0 + 3.0 * memory / seconds)), memory


@lru_cache(maxsize=4096)
def calm_rps(speed: Speed, target_seconds: float, dispersion: float, slot_seconds: float) -> float:
    """Return the rate up to which next to nobody is late; 0 where somebody always is."""
    low, high = 0.0, speed.largest_rps
    for _ in range(24):
        middle = (low + high) / 2.0
        stay = speed.stay(speed.steady_waiting(middle), middle, dispersion, slot_seconds)
        low, high = (middle, high) if stay.late_share(target_seconds) < SELDOM else (low, middle)
    return low
