"""The queue model against a published approximation, at its limits, and what must hold of it at any load."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import capacity, objective
from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
from modelscaler.domain import ReplicaCapacity


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
