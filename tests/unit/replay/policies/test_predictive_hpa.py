"""The predictive autoscaler: its models on the cases of its own tests, and what it makes of them."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import CPU_INT8, single_pool
from meters import ToldMeter, sight
from modelscaler.replay.policies.holt_winters import HoltWinters, initial
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.policies.predictive_hpa import Linear, PredictiveHpa
from modelscaler.replay.sight import Policy


def after(model: Linear | HoltWinters, *values: float) -> float | None:
    forecast = None
    for value in values:
        forecast = model.forecast_after(value)
    return forecast


@pytest.mark.parametrize(("look_ahead_seconds", "expected"), [(9.0, 4.9), (19.0, 5.9), (24.0, 6.4)])
def test_the_line_is_prolonged_as_in_the_makers_cases(look_ahead_seconds: float, expected: float) -> None:
    # Their cases look 0, 10 and 15 s ahead from 9 s after the newest value; rounded up: 5, 6 and 7.
    assert after(Linear(look_ahead_seconds, 10.0, deque()), 1, 2, 3, 4) == pytest.approx(expected)


def test_the_line_runs_through_the_latest_values_only() -> None:
    assert after(Linear(15.0, 15.0, deque(maxlen=3)), 50, 1, 2, 3) == pytest.approx(4.0)


def test_the_line_says_nothing_when_there_is_one_value() -> None:
    assert after(Linear(15.0, 15.0, deque(maxlen=3)), 5) is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=12))
def test_the_line_is_that_of_least_squares(values: list[float]) -> None:
    line = np.polynomial.Polynomial.fit(np.arange(len(values)), values, 1)
    forecast = after(Linear(45.0, 15.0, deque()), *values)
    assert forecast == pytest.approx(float(line(len(values) + 2.0)), abs=1e-6)


def test_the_season_goes_on_as_in_the_makers_case() -> None:
    # [1, 3, 1] four times and 1: three is next (test_holt_winters.py, "Successful prediction, additive, 13 observations").
    assert after(HoltWinters(3, 9, 0.9, 0.9, 0.3), *[1, 3, 1] * 4, 1) == pytest.approx(3.0)


def test_it_says_nothing_before_two_seasons_and_ten_smoothed_values_have_passed() -> None:
    assert after(HoltWinters(3, 9, 0.9, 0.9, 0.3), *[1, 3, 1] * 3, 1, 3) is None
    assert after(HoltWinters(3, 9, 0.9, 0.9, 0.3), *[1, 3, 1] * 4) is not None
    assert after(HoltWinters(30, 9, 0.9, 0.9, 0.3), *[1.0] * 59) is None


def test_a_forecast_is_what_statsmodels_says() -> None:
    # ExponentialSmoothing(..., trend="add", seasonal="add", seasonal_periods=4, initialization_method="heuristic"), 0.15.0.
    values = [2, 3, 7, 5, 2, 4, 9, 5, 3, 5, 8, 6, 2, 5, 11, 7, 4]
    assert after(HoltWinters(4, 9, 0.5, 0.3, 0.4), *values) == pytest.approx(6.978155246310112, rel=1e-12)


def test_trend_and_season_are_found_when_there_is_nothing_else() -> None:
    begun = initial([10.0 + 0.5 * step + [0.0, 3.0, 0.0, -3.0][step % 4] for step in range(20)], 4)
    assert begun.trend == pytest.approx(0.5)
    assert begun.seasonal == pytest.approx([0.0, 3.0, 0.0, -3.0], abs=1e-9)


def test_a_forecast_follows_the_recursion_when_worked_by_hand() -> None:
    # A season of 2 in which only one value is off: level, trend and season before it are 5, 0 and (-1, 1).
    model = HoltWinters(2, 9, 0.5, 0.5, 0.5)
    assert after(model, *[4.0, 6.0] * 6) == pytest.approx(4.0)
    # 8 instead of 4: level 5 + (8 - 4) / 2 = 7, trend 1, season -1 + (8 - 4) / 2 = 1. Next: 7 + 1 + 1.
    assert after(model, 8.0) == pytest.approx(9.0)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=30, max_size=50), st.sampled_from([3, 4, 6, 12]))
def test_going_on_from_the_last_state_is_going_through_all_again(values: list[int], season: int) -> None:
    model, kept = HoltWinters(season, 3, 0.4, 0.2, 0.3), []
    for value in values:
        forecast = model.forecast_after(float(value))
        kept.append(float(value))
        if forecast is not None:
            state = initial(kept, season)
            for one in kept:
                state.take(one, 0.4, 0.2, 0.3)
            assert forecast == pytest.approx(state.next_value(), abs=1e-9)
            del kept[: max(len(kept) // season - 3, 0) * season]


def decided(policy: Policy, rps: float, current: int, seconds: float) -> int:
    each = 0.8 * carried_rps(single_pool(), CPU_INT8)
    return policy.decide(sight(ToldMeter(rps=rps * each), current, seconds=seconds)).replicas[CPU_INT8]


def test_the_larger_of_autoscaler_and_model_counts() -> None:
    policy = PredictiveHpa(look_ahead_seconds=30.0, stabilization_seconds=0.0).start(
        single_pool(max_replicas=50), CPU_INT8
    )
    assert decided(policy, 2.0, 2, 15.0) == 2
    assert decided(policy, 4.0, 2, 30.0) == 4
    # Wanted 2, 4, 6 at steps of 15 s: 10 half a minute on, but at most twice what there is.
    assert decided(policy, 6.0, 4, 45.0) == 8
    assert decided(policy, 8.0, 8, 60.0) == 12


def test_a_falling_line_takes_nothing_away_from_what_the_metric_wants() -> None:
    policy = PredictiveHpa(look_ahead_seconds=30.0, stabilization_seconds=0.0).start(single_pool(), CPU_INT8)
    assert [decided(policy, rps, 10, 15.0 * n) for n, rps in enumerate((10.0, 6.0, 4.0), 1)] == [10, 6, 4]


def test_bounds_are_kept_when_more_or_fewer_are_wanted() -> None:
    policy = PredictiveHpa(stabilization_seconds=0.0).start(single_pool(min_replicas=2, max_replicas=6), CPU_INT8)
    assert decided(policy, 50.0, 5, 15.0) == 6
    assert PredictiveHpa().start(single_pool(min_replicas=2), CPU_INT8).decide(
        sight(ToldMeter(rps=1.0), 1)
    ).replicas == {CPU_INT8: 2}


def test_the_largest_wish_of_the_window_holds_when_fewer_are_wanted() -> None:
    policy = PredictiveHpa(history=2).start(single_pool(), CPU_INT8)
    assert decided(policy, 4.0, 4, 15.0) == 4
    assert decided(policy, 1.0, 4, 300.0) == 4
    assert decided(policy, 1.0, 4, 330.0) == 1


def test_seasons_are_foretold_when_the_model_is_holt_winters() -> None:
    kind = PredictiveHpa(model="holt-winters", season=4, smoothing=(0.5, 0.1, 0.5), stabilization_seconds=0.0)
    policy = kind.start(single_pool(max_replicas=50), CPU_INT8)
    current = 1
    for step in range(24):
        current = decided(policy, [1.0, 1.0, 1.0, 4.0][step % 4], current, 15.0 * (step + 1))
    # The next step is the third of the season: one is wanted. The one after it wants four.
    current = [decided(policy, 1.0, current, 15.0 * (25 + step)) for step in range(3)][-1]
    assert current == 4
