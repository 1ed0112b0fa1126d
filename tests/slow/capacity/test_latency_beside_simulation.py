"""The queue model against a discrete-event simulation written without it."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import pytest

from builders import capacity
from modelscaler.capacity.latency import largest_rps, latency_seconds
from modelscaler.domain import Floats, ReplicaCapacity

REQUESTS = 150_000
SPEEDS = {
    "a batch's fixed time far below the time per request": capacity(
        per_request_ms=8.0, overhead_seconds=0.0016, max_batch=8
    ),
    "the same with large batches": capacity(per_request_ms=8.0, overhead_seconds=0.0016, max_batch=32),
    "a third of it": capacity(per_request_ms=9.0, overhead_seconds=0.003, max_batch=16),
    "no fixed time": capacity(per_request_ms=10.0, overhead_seconds=0.0, max_batch=8),
    "ten times the time per request, batches that fill": capacity(
        per_request_ms=1.0, overhead_seconds=0.01, max_batch=16
    ),
    "accelerator-like: hundreds in a batch": capacity(per_request_ms=0.1, overhead_seconds=0.02, max_batch=512),
}


def arrivals(rate: float, shape: float = 1.0, requests: int = REQUESTS, seed: int = 7) -> Floats:
    """Times of arrivals with gamma gaps: Poisson for shape 1; a dispersion of 1 / shape over long intervals."""
    gaps = np.random.default_rng(seed).gamma(shape, 1.0 / (rate * shape), requests)
    return np.cumsum(gaps, dtype=np.float64)


def simulated(speed: ReplicaCapacity, at: Floats, delays: Sequence[float] = ()) -> Floats:
    """Sojourn times when a free replica takes everything queued, up to its largest batch; `delays` are the batches' in turn."""
    come: list[float] = at.tolist()
    left: list[float] = []
    late = iter(delays)
    now = 0.0
    while len(left) < len(come):
        first = len(left)
        now = max(now, come[first])
        batch = bisect_right(come, now, first, min(first + speed.max_batch, len(come))) - first
        now += speed.overhead_seconds + speed.per_request_seconds * batch + next(late, 0.0)
        left += [now] * batch
    return (np.array(left) - at)[len(at) // 50 :]


@pytest.mark.parametrize("speed", SPEEDS.values(), ids=SPEEDS.keys())
@pytest.mark.parametrize(("load", "tolerance"), [(0.3, 0.02), (0.6, 0.04), (0.75, 0.05), (0.9, 0.12)])
def test_latency_matches_simulation_when_arrivals_are_poisson(
    speed: ReplicaCapacity, load: float, tolerance: float
) -> None:
    rate = load * largest_rps(speed)
    stays = simulated(speed, arrivals(rate))

    for percentile in (0.5, 0.95, 0.99):
        # The tolerance is the simulation's own noise: its p99 at 90 % load moves by 3 % (one sigma) with the seed.
        assert latency_seconds(speed, rate, percentile) == pytest.approx(np.quantile(stays, percentile), rel=tolerance)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_latency_matches_simulation_when_a_busy_machine_holds_some_batches_up(load: float) -> None:
    """One batch in 33 takes 4 ms longer on average: what a profile finds is the mean overhead, and the tail of one alone."""
    generator = np.random.default_rng(11)
    delays = np.where(generator.random(REQUESTS) < 0.03, generator.exponential(0.004, REQUESTS), 0.0)
    plain = capacity(per_request_ms=0.82, overhead_seconds=0.0022, max_batch=32)
    profiled = capacity(
        per_request_ms=0.82,
        overhead_seconds=0.0022 + float(delays.mean()),
        max_batch=32,
        tail_seconds=float(np.quantile(delays, 0.99) - delays.mean()),
    )
    rate = load * largest_rps(profiled)
    stays = simulated(plain, arrivals(rate), delays.tolist())

    assert latency_seconds(profiled, rate, 0.99) == pytest.approx(np.quantile(stays, 0.99), rel=0.15)


@pytest.mark.parametrize("shape", [4.0, 2.0, 0.5])
@pytest.mark.parametrize("load", [0.4, 0.75])
def test_latency_matches_simulation_when_arrivals_are_dispersed(shape: float, load: float) -> None:
    for speed in (SPEEDS["a third of it"], SPEEDS["accelerator-like: hundreds in a batch"]):
        rate = load * largest_rps(speed)
        stays = simulated(speed, arrivals(rate, shape))

        assert latency_seconds(speed, rate, 0.99, 1.0 / shape) == pytest.approx(np.quantile(stays, 0.99), rel=0.2)
