"""Latency of one batching replica against its load, and the load it sustains within an objective. Pure.

The two are read off the same curve, in opposite directions, so they never contradict each other. A curve is solved once per
ratio of a batch's fixed time to the time per request (10 to 20 ms) and then cached, in units of the time per request: replicas
that differ in speed alone share it. Reading it takes microseconds.

On top of the queue comes what it knows nothing of: the network, the server's own turns and a busy machine make some requests
late that met no queue. It is added at its own percentile, as if the slowest requests of the one were those of the other, which
errs towards slow, most where the queue is long.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from math import log

import numpy as np

from modelscaler.capacity.batching import Load, percentile_of_sojourn
from modelscaler.domain import Objective, ReplicaCapacity

SOLVED_AT = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
"""Shares of the largest throughput at which the curve is solved, closest where it bends."""


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Latency over load. `busy` is the share of the largest throughput; between the points latency x (1 - busy) is linear.

    Latency grows like 1 / (1 - busy) in heavy traffic, so that product is smooth, and beyond the last point it is constant.
    """

    largest_rps: float
    busy: tuple[float, ...]
    scaled_seconds: tuple[float, ...]

    def seconds(self, rps: float) -> float:
        """Return the latency at `rps` requests per second; inf where the queue would grow without end."""
        busy = rps / self.largest_rps
        if busy >= 1.0:
            return float("inf")
        left = bisect_right(self.busy, busy) - 1
        if left + 1 == len(self.busy):
            return self.scaled_seconds[-1] / (1.0 - busy)
        return (self._slope(left) * (busy - self.busy[left]) + self.scaled_seconds[left]) / (1.0 - busy)

    def rps(self, seconds: float) -> float:
        """Return the largest load with a latency of at most `seconds`; 0 when even an idle replica is slower."""
        latencies = [scaled / (1.0 - busy) for scaled, busy in zip(self.scaled_seconds, self.busy, strict=True)]
        above = bisect_right(latencies, seconds)
        if above == 0:
            return 0.0
        if above == len(latencies):
            return self.largest_rps * (1.0 - self.scaled_seconds[-1] / seconds)
        return self.largest_rps * self._crossing(above - 1, seconds)

    def _crossing(self, left: int, seconds: float) -> float:
        """Return where the line between points `left` and `left` + 1 meets `seconds` x (1 - busy)."""
        slope = self._slope(left)
        start = self.scaled_seconds[left] - slope * self.busy[left]
        return (seconds - start) / (seconds + slope)

    def _slope(self, left: int) -> float:
        """Return how steep the line between points `left` and `left` + 1 is."""
        rise = self.scaled_seconds[left + 1] - self.scaled_seconds[left]
        return rise / (self.busy[left + 1] - self.busy[left])


def largest_rps(capacity: ReplicaCapacity) -> float:
    """Return the throughput of one replica with full batches, whatever the latency."""
    return capacity.max_batch / (capacity.overhead_seconds + capacity.max_batch * capacity.per_request_seconds)


def latency_seconds(
    capacity: ReplicaCapacity, rps_per_replica: float, percentile: float, dispersion: float = 1.0
) -> float:
    """Return a percentile of the time from arrival to answer at one replica.

    Args:
        capacity: speed of the replica.
        rps_per_replica: requests per second that reach it, not below 0.
        percentile: share of requests, in (0, 1).
        dispersion: variance over mean of the arrivals in an interval: 1 for Poisson, which is what a replica sees behind
            random balancing; about 1 / replicas behind round-robin; above 1 for bursts.

    Returns:
        Seconds; inf when the replica cannot keep up. The queue's part is within 3 % of a simulation for Poisson arrivals up to
        90 % load, also where the fixed time of a batch is below the time per request and where the batch limit binds; within
        15 % for a dispersion between 1/4 and 2.
    """
    unit = capacity.per_request_seconds
    queued = _curve_of(capacity, percentile, dispersion).seconds(rps_per_replica * unit) * unit
    return queued + _tail_seconds(capacity, percentile)


def sustainable_rps(capacity: ReplicaCapacity, objective: Objective) -> float:
    """Return the largest rate per replica that keeps the latency objective; 0 when an idle replica already misses it."""
    unit = capacity.per_request_seconds
    left_seconds = objective.latency_seconds - _tail_seconds(capacity, objective.percentile)
    return _curve_of(capacity, objective.percentile, 1.0).rps(left_seconds / unit) / unit


def _tail_seconds(capacity: ReplicaCapacity, percentile: float) -> float:
    """Return the tail without a queue at a percentile: taken to be exponential, and stated for the 99th."""
    return capacity.tail_seconds * log(1.0 - percentile) / log(0.01)


def _curve_of(capacity: ReplicaCapacity, percentile: float, dispersion: float) -> LatencyCurve:
    overhead = round(capacity.overhead_seconds / capacity.per_request_seconds, 9)
    return _curve(overhead, capacity.max_batch, percentile, dispersion)


@lru_cache(maxsize=32768)
def _curve(overhead: float, max_batch: int, percentile: float, dispersion: float) -> LatencyCurve:
    """Return the curve of a replica that needs one second per request and `overhead` seconds per batch."""
    largest = max_batch / (max_batch + overhead)
    solved = [
        percentile_of_sojourn(Load(busy * largest, overhead, max_batch, dispersion), percentile) for busy in SOLVED_AT
    ]
    # A busier replica is never faster: the running maximum removes what rounding and grouping leave of the contrary.
    latencies = np.maximum.accumulate([1.0 + overhead, *solved])
    busy = np.array([0.0, *SOLVED_AT])
    return LatencyCurve(largest, tuple(busy.tolist()), tuple((latencies * (1.0 - busy)).tolist()))
