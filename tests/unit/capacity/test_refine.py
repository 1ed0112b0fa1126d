from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import capacity, objective
from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
from modelscaler.capacity.refine import (
    LARGEST_FACTOR,
    LARGEST_STEP,
    LEAST_BUSY,
    SMALLEST_FACTOR,
    LoadedWindow,
    Refinement,
    SaturatedWindow,
    recalled,
    refined,
    saturated,
    sped_up,
)

PROFILED = capacity()
OBJECTIVE = objective()
MANY = 10_000.0
UNTOUCHED = Refinement()


def window(speed: float, busy: float = 0.7) -> LoadedWindow:
    """Return what a replica of that speed, relative to its profile, shows at a share of the profiled largest throughput."""
    rps = busy * largest_rps(PROFILED)
    return LoadedWindow(rps, latency_seconds(PROFILED, rps / speed, 0.99) / speed, MANY)


def learned(*windows: LoadedWindow, known: Refinement = UNTOUCHED) -> Refinement:
    for one in windows:
        known = refined(known, PROFILED, OBJECTIVE, one)
    return known


@pytest.mark.parametrize(("speed", "busy"), [(0.6, 0.55), (0.8, 0.6), (1.0, 0.7), (1.15, 0.7)])
def test_factor_comes_near_the_true_speed_when_windows_are_loaded(speed: float, busy: float) -> None:
    assert learned(*[window(speed, busy)] * 60).factor == pytest.approx(speed, rel=0.01)


def test_factor_comes_back_when_a_slow_replica_is_fast_again() -> None:
    slow = learned(*[window(0.6, busy=0.5)] * 60)
    # As busy as a slow replica may be, a fast one is half idle by its profile: it counts all the same.
    assert learned(*[window(1.0, busy=0.4)] * 60, known=slow).factor > slow.factor + 0.05


@pytest.mark.parametrize(
    "idle",
    [
        window(0.8, busy=LEAST_BUSY - 0.01),
        window(0.8, busy=0.0),
        LoadedWindow(60.0, nan, MANY),
        LoadedWindow(60.0, inf, MANY),
        LoadedWindow(60.0, 0.0, MANY),
        LoadedWindow(nan, 0.1, MANY),
        LoadedWindow(10_000.0, 0.1, MANY),
        LoadedWindow(60.0, 0.1, 0.0),
    ],
)
def test_nothing_is_learned_when_a_window_is_idle_overloaded_or_unknown(idle: LoadedWindow) -> None:
    assert learned(idle) == UNTOUCHED


def test_window_counts_when_a_tight_objective_is_missed_at_a_low_load() -> None:
    tight = objective(latency_seconds=0.03)
    rps = 0.8 * sustainable_rps(PROFILED, tight)
    assert rps < LEAST_BUSY * largest_rps(PROFILED)
    missed = LoadedWindow(rps, 1.1 * tight.latency_seconds, MANY)
    met = LoadedWindow(rps, 0.99 * tight.latency_seconds, MANY)
    assert refined(UNTOUCHED, PROFILED, tight, missed).factor < 1.0
    assert refined(UNTOUCHED, PROFILED, tight, met) == UNTOUCHED


def test_replica_is_not_faster_when_the_window_may_only_show_a_slower_one() -> None:
    faster, slower = (replace(window(speed), shows_faster=False) for speed in (1.2, 0.8))
    assert learned(faster) == UNTOUCHED
    assert learned(slower).factor < 1.0


def test_window_counts_less_when_few_requests_were_answered() -> None:
    few = replace(window(0.8), requests=100.0)
    assert learned(window(0.8)).factor < learned(few).factor < 1.0


def test_window_counts_more_when_it_missed_an_objective_that_would_have_been_kept() -> None:
    rps = 0.9 * sustainable_rps(PROFILED, OBJECTIVE)
    slower = [LoadedWindow(rps, times * OBJECTIVE.latency_seconds, MANY) for times in (0.97, 1.03)]
    kept, missed = (learned(one).weight for one in slower)
    assert missed > kept + 1.0


def test_one_burst_moves_the_factor_by_a_step_at_most() -> None:
    burst = LoadedWindow(60.0, 30.0, MANY)
    assert learned(burst).factor >= 1.0 - LARGEST_STEP


def test_uncertainty_falls_when_windows_agree_and_is_unlimited_before_any() -> None:
    two = learned(window(0.8), window(0.9))
    many = learned(*[window(0.85)] * 40, known=two)
    assert UNTOUCHED.uncertainty == inf
    assert 0.0 < many.uncertainty < two.uncertainty < inf


def test_recalled_refinement_is_as_uncertain_as_it_was_written_down() -> None:
    assert recalled(0.8, 0.03).factor == 0.8
    assert recalled(0.8, 0.03).uncertainty == pytest.approx(0.03)


def test_everything_is_faster_when_a_replica_is_sped_up() -> None:
    fast = sped_up(capacity(tail_seconds=0.004), 2.0)
    assert (fast.per_request_seconds, fast.overhead_seconds, fast.tail_seconds) == (0.005, 0.001, 0.002)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 300.0), st.floats(1e-4, 60.0), st.floats(0.0, 1e5), st.booleans()), max_size=8)
)
def test_steps_and_factor_stay_within_bounds_whatever_is_measured(
    seen: list[tuple[float, float, float, bool]],
) -> None:
    known = UNTOUCHED
    for rps, latency, requests, grows in seen:
        after = refined(known, PROFILED, OBJECTIVE, LoadedWindow(rps, latency, requests, grows))
        assert SMALLEST_FACTOR <= after.factor <= LARGEST_FACTOR
        assert abs(after.factor / known.factor - 1.0) <= LARGEST_STEP + 1e-9
        known = after


@settings(deadline=None)
@given(st.floats(0.3, 0.95), st.floats(1e-3, 5.0), st.floats(1.0, 3.0))
def test_slower_answers_never_make_a_replica_look_faster(busy: float, latency: float, times: float) -> None:
    rps = busy * largest_rps(PROFILED)
    one, other = (learned(LoadedWindow(rps, seconds, MANY)).factor for seconds in (latency, latency * times))
    assert other <= one + 1e-9 or latency * times <= OBJECTIVE.latency_seconds or one == 1.0


@pytest.mark.parametrize("speed", [0.3, 0.6, 0.9])
def test_slower_speed_is_believed_at_once_when_replicas_answered_all_they_could(speed: float) -> None:
    after = saturated(UNTOUCHED, SaturatedWindow(speed, MANY))
    assert after.factor == pytest.approx(speed)
    assert after.uncertainty == pytest.approx(0.01)


def test_few_answers_are_less_sure_when_replicas_answered_all_they_could() -> None:
    assert saturated(UNTOUCHED, SaturatedWindow(0.6, 25.0)).uncertainty == pytest.approx(0.2)


def test_speed_is_averaged_when_saturated_replicas_are_about_as_fast_as_is_known() -> None:
    known = recalled(0.8, 0.02)
    for seen in (0.79, 0.81, 1.2):
        after = saturated(known, SaturatedWindow(seen, MANY))
        assert after.factor != seen
        assert (after.factor < 0.8) == (seen < 0.8)
        assert after.factor == pytest.approx(0.8, rel=LARGEST_STEP)


def test_factor_is_bounded_when_hardly_anything_is_answered() -> None:
    assert saturated(UNTOUCHED, SaturatedWindow(1e-3, MANY)).factor == SMALLEST_FACTOR
    assert saturated(UNTOUCHED, SaturatedWindow(50.0, MANY)).factor <= LARGEST_FACTOR


def test_slow_latency_does_not_raise_a_factor_that_is_lower_than_it_may_show() -> None:
    known = recalled(0.3, 0.02)
    slow = LoadedWindow(0.3 * largest_rps(PROFILED), 100.0, MANY)
    assert refined(known, PROFILED, OBJECTIVE, slow) == known


def test_factor_comes_back_when_replicas_that_were_saturated_are_fast_again() -> None:
    known = saturated(UNTOUCHED, SaturatedWindow(0.3, MANY))
    assert learned(*[window(1.0, busy=0.5)] * 80, known=known).factor > 0.9
