"""The queue model against a discrete-event simulation written without it, and against a published approximation."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import capacity, objective
from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
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


def test_latency_matches_normal_approximation_when_batches_are_large() -> None:
    """The queue as a normal variable: mean S(1 + rate a), valid where b is many times a and the limit does not bind."""
    speed = capacity(per_request_ms=0.5, overhead_seconds=0.02, max_batch=4096)

    for rho in (0.3, 0.5, 0.7):
        assert latency_seconds(speed, rho / 0.0005, 0.99) == pytest.approx(normal_p99(0.0005, 0.02, rho), rel=0.04)


def normal_p99(a: float, b: float, rho: float) -> float:
    """p99 = 2 S + a + (1 + rho) sigma^2 / S + z s for a batch of a n + b, rho = rate a and S = b / (1 - rho)."""
    cycle = b / (1.0 - rho)
    variance = a * a * (rho / a) * cycle / (1.0 - rho * rho)
    spread = math.sqrt(variance * 2.0 * (1.0 + rho))
    low, high = -5.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2.0
        overshoot = _loss(middle) - _loss(middle + cycle / spread)
        low, high = (middle, high) if overshoot > 0.01 * cycle / spread else (low, middle)
    return 2.0 * cycle + a + (1.0 + rho) * variance / cycle + low * spread


def _loss(z: float) -> float:
    normal = NormalDist()
    return normal.pdf(z) - z * (1.0 - normal.cdf(z))


def test_latency_is_one_batch_of_one_when_idle() -> None:
    assert latency_seconds(capacity(per_request_ms=10.0, overhead_seconds=0.002), 0.0, 0.99) == pytest.approx(0.012)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_latency_is_infinite_when_the_replica_cannot_keep_up(factor: float) -> None:
    speed = capacity()

    assert latency_seconds(speed, factor * largest_rps(speed), 0.99) == math.inf


def test_sustainable_rate_is_zero_when_even_an_idle_replica_is_too_slow() -> None:
    assert sustainable_rps(capacity(per_request_ms=10.0), objective(latency_seconds=0.011)) == 0.0


def test_sustainable_rate_stays_below_the_largest_throughput_when_the_objective_is_generous() -> None:
    speed = capacity()

    assert 0.99 * largest_rps(speed) < sustainable_rps(speed, objective(latency_seconds=60.0)) < largest_rps(speed)


@pytest.mark.parametrize(("percentile", "tails"), [(0.9, 0.5), (0.99, 1.0), (0.999, 1.5)])
def test_tail_is_added_at_its_percentile_whatever_the_load(percentile: float, tails: float) -> None:
    plain, tailed = capacity(), capacity(tail_seconds=0.006)

    for rate in (0.0, 20.0, 80.0):
        added = latency_seconds(tailed, rate, percentile) - latency_seconds(plain, rate, percentile)
        assert added == pytest.approx(tails * 0.006)


def test_all_times_scale_when_only_the_speed_differs() -> None:
    slow = capacity(per_request_ms=20.0, overhead_seconds=0.004, tail_seconds=0.012)
    fast = capacity(per_request_ms=10.0, overhead_seconds=0.002, tail_seconds=0.006)

    assert latency_seconds(slow, 20.0, 0.99) == pytest.approx(2.0 * latency_seconds(fast, 40.0, 0.99))
    assert sustainable_rps(slow, objective(0.4)) == pytest.approx(sustainable_rps(fast, objective(0.2)) / 2.0)


speeds = st.builds(
    capacity,
    per_request_ms=st.sampled_from([0.2, 1.0, 8.0, 30.0]),
    overhead_seconds=st.sampled_from([0.0, 0.002, 0.02]),
    max_batch=st.sampled_from([1, 8, 32]),
    tail_seconds=st.sampled_from([0.0, 0.004]),
)
fractions = st.floats(0.0, 0.999)
percentiles = st.sampled_from([0.5, 0.9, 0.99])


@settings(deadline=None)
@given(speeds, fractions, fractions, percentiles)
def test_latency_never_falls_when_load_rises(
    speed: ReplicaCapacity, one: float, other: float, percentile: float
) -> None:
    low, high = sorted((one, other))
    ceiling = largest_rps(speed)

    assert latency_seconds(speed, low * ceiling, percentile) <= latency_seconds(speed, high * ceiling, percentile) * (
        1 + 1e-9
    )


@settings(deadline=None)
@given(speeds, st.floats(0.001, 5.0), percentiles)
def test_sustainable_rate_just_meets_the_objective_when_it_can(
    speed: ReplicaCapacity, latency: float, percentile: float
) -> None:
    rate = sustainable_rps(speed, objective(latency, percentile))

    if rate == 0.0:
        assert latency_seconds(speed, 0.001 * largest_rps(speed), percentile) >= latency * (1 - 1e-9)
    else:
        assert latency_seconds(speed, rate, percentile) <= latency * (1 + 1e-6)
        assert latency_seconds(speed, min(rate * 1.01, largest_rps(speed)), percentile) > latency * (1 - 1e-6)
