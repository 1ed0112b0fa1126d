import numpy as np
import pytest

from builders import capacity
from modelscaler.capacity.latency import largest_rps, latency_seconds
from modelscaler_benchmarks.capacity.__main__ import LOADS, Compared, Round, compare, middle, table
from modelscaler_benchmarks.open_loop import Samples


def compared(load: float, measured: float, predicted: float | None = 0.045) -> Compared:
    return Compared(load, 100.0, 2000, 1, measured, predicted, 110.0, 0.001)


def test_table_says_by_how_much_predictions_are_off_in_the_middle_round_and_at_most() -> None:
    rounds = [
        Round(capacity(), tuple(compared(load, seconds) for load in LOADS), 90.0) for seconds in (0.04, 0.05, 0.09)
    ]
    row = table(rounds).splitlines()[-1]
    assert row == (
        "| 90% | 100 (100 to 100) | 45.0 (45.0 to 45.0) | 50.0 (40.0 to 90.0) | -10% (-50% to +12%) "
        "| +10% (+10% to +10%) | 6,000 (3) | 1.0 |"
    )


def test_table_says_that_the_model_expects_an_overload_when_it_does() -> None:
    rounds = [Round(capacity(), tuple(compared(load, 0.05, None) for load in LOADS), 90.0)]
    assert "inf (inf to inf)" in table(rounds)


def test_prediction_is_right_when_the_server_is_as_the_model_says() -> None:
    speed = capacity()
    rps = 0.6 * largest_rps(speed)
    stays = np.full(1000, latency_seconds(speed, rps, 0.99))
    late, status = np.full(1000, 0.002), np.full(1000, 200)
    samples = Samples(np.arange(1000.0), stays + late, late, status, status == 0)
    found = compare(speed, 0.6, rps, samples)
    assert found.latency_ratio == pytest.approx(1.0)
    assert found.sustained_rps == pytest.approx(rps)
    assert (found.requests, found.failures) == (1000, 0)
    assert found.late_seconds == pytest.approx(0.002)


def test_refused_requests_are_counted_apart_from_latencies() -> None:
    status = np.array([200, 503, 200])
    samples = Samples(np.arange(3.0), np.array([0.1, 9.0, 0.1]), np.zeros(3), status, status == 0)
    found = compare(capacity(), 0.3, 10.0, samples)
    assert found.failures == 1
    assert found.measured_seconds == pytest.approx(0.1)


def test_middle_of_profiles_lies_between_them() -> None:
    one, other = (
        capacity(per_request_ms=8.0, max_batch=8),
        capacity(per_request_ms=10.0, max_batch=16, tail_seconds=0.004),
    )
    between = middle((one, other))
    assert between.per_request_seconds == pytest.approx(0.009)
    assert between.tail_seconds == pytest.approx(0.002)
    assert between.max_batch == 16
