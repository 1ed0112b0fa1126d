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


@pytest.mark.parametrize("speed", [0.75, 0.9])
def test_slower_speed_is_believed_at_once_when_replicas_answered_all_they_could(speed: float) -> None:
    after = saturated(UNTOUCHED, SaturatedWindow(speed, MANY))
    assert after.factor == pytest.approx(speed)
    assert after.uncertainty == pytest.approx(0.01)


def test_much_slower_speed_is_believed_only_when_it_lasts_and_within_bounds() -> None:
    factors = [1.0]
    known = UNTOUCHED
    for _ in range(4):
        known = saturated(known, SaturatedWindow(0.1, MANY))
        factors.append(known.factor)
    assert factors == pytest.approx([1.0, 0.7, SMALLEST_FACTOR, SMALLEST_FACTOR, SMALLEST_FACTOR])


def test_answers_are_less_sure_when_they_are_few_and_say_nothing_when_they_are_a_handful() -> None:
    assert saturated(UNTOUCHED, SaturatedWindow(0.8, 100.0)).uncertainty == pytest.approx(0.1)
    assert saturated(UNTOUCHED, SaturatedWindow(0.8, 20.0)) is UNTOUCHED


@pytest.mark.parametrize("seen", [0.77, 0.8, 1.2])
def test_nothing_is_learned_when_saturated_replicas_are_about_as_fast_as_is_known_or_faster(seen: float) -> None:
    known = recalled(0.8, 0.02)
    assert saturated(known, SaturatedWindow(seen, MANY)) is known


@pytest.mark.parametrize("latency_seconds", [0.05, 0.12, 0.6])
def test_factor_comes_back_when_more_replicas_are_less_busy(latency_seconds: float) -> None:
    """Replicas that are as fast as stated again, as busy as a plan that believes a lower speed lets them be."""
    promised = objective(latency_seconds=latency_seconds)
    known = saturated(saturated(UNTOUCHED, SaturatedWindow(0.1, MANY)), SaturatedWindow(0.1, MANY))
    for _ in range(120):
        counted = sustainable_rps(sped_up(PROFILED, known.factor), promised)
        rps = 0.7 * max(counted, 0.25 * sustainable_rps(PROFILED, promised))
        known = refined(known, PROFILED, promised, LoadedWindow(rps, latency_seconds_of(rps), MANY))
    assert known.factor > 0.9


def latency_seconds_of(rps: float) -> float:
    """Return the latency of a replica as fast as stated."""
    return latency_seconds(PROFILED, rps, 0.99)


def test_windows_that_are_not_busy_do_not_show_a_slow_replica_to_be_slower() -> None:
    known = recalled(0.8, 0.02)
    slow, fast = (LoadedWindow(0.39 * largest_rps(PROFILED), seconds, MANY) for seconds in (0.09, 0.03))
    assert slow.latency_seconds <= OBJECTIVE.latency_seconds
    assert refined(known, PROFILED, OBJECTIVE, slow) is known
    assert refined(known, PROFILED, OBJECTIVE, fast).factor > known.factor
