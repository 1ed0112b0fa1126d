"""What is asked, and what came."""

import numpy as np
import pytest

from backtests import daily_load, trace_of
from modelscaler.backtest.cases import case_of, horizons, stride
from modelscaler.backtest.targets import targets


@pytest.mark.parametrize(
    ("step_seconds", "expected"),
    [
        (10.0, (2, 6, 30, 60)),
        (15.0, (1, 4, 20, 40)),
        (60.0, (1, 10, 30)),
        (300.0, (1, 2, 6)),
        (1800.0, (1,)),
        (3600.0, (1,)),
    ],
)
def test_horizons_cover_the_usual_seconds_in_whole_steps(step_seconds: float, expected: tuple[int, ...]) -> None:
    assert horizons(step_seconds) == expected


def test_origins_are_all_known_values_of_the_last_two_fifths_that_have_something_to_forecast() -> None:
    rps = np.arange(100.0)
    rps[70] = np.nan

    case = case_of(trace_of(rps), [1200.0])

    assert case.horizons == (2,)
    assert list(case.origins) == [index for index in range(60, 98) if index != 70]


def test_stride_shares_no_divisor_with_an_hour_when_not_all_origins_are_asked_for() -> None:
    assert stride(214_000, 40_000, 10.0) == 7
    assert stride(40_000, 40_000, 10.0) == 1
    assert case_of(trace_of(daily_load()), most_origins=100).every > 1


def test_targets_are_the_value_and_the_maximum_until_it_when_gaps_are_few() -> None:
    rps = np.array([9.0, 1.0, np.nan, 3.0, 2.0, np.nan, np.nan, 5.0])

    value, peak = targets(rps, 4)

    np.testing.assert_array_equal(value[:4], [2.0, np.nan, np.nan, 5.0])
    np.testing.assert_array_equal(peak[:4], [3.0, np.nan, np.nan, np.nan])  # three, two, two and two of four known
    assert np.isnan(value[4:]).all()
    assert np.isnan(peak[4:]).all()


@pytest.mark.parametrize("ahead", [1, 2, 3, 5, 7, 30])
def test_peak_equals_the_plain_maximum_at_every_horizon(ahead: int) -> None:
    rps = np.random.default_rng(1).random(100)

    plain = [rps[origin + 1 : origin + ahead + 1].max() for origin in range(100 - ahead)]

    np.testing.assert_array_equal(targets(rps, ahead)[1, : 100 - ahead], plain)


def test_targets_are_unknown_when_a_trace_is_shorter_than_the_horizon() -> None:
    assert np.isnan(targets(np.ones(3), 5)).all()
