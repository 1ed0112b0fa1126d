from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import capacity
from modelscaler.capacity.latency import largest_rps, latency_seconds
from modelscaler.capacity.refine import (
    LARGEST_FACTOR,
    LARGEST_STEP,
    LEAST_BUSY,
    SMALLEST_FACTOR,
    LoadedWindow,
    Refinement,
    refined,
)

PROFILED = capacity()


def window(speed: float, busy: float = 0.7) -> LoadedWindow:
    """Return what a replica of that speed, relative to its profile, shows at a share of the profiled largest throughput."""
    rps = busy * largest_rps(PROFILED)
    return LoadedWindow(rps, latency_seconds(PROFILED, rps / speed, 0.99) / speed, 0.99)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.15])
def test_factor_comes_near_the_true_speed_when_windows_are_loaded(speed: float) -> None:
    known = Refinement()
    for _ in range(60):
        known = refined(known, PROFILED, window(speed))
    assert known.factor == pytest.approx(speed, rel=0.01)


@pytest.mark.parametrize(
    "idle",
    [
        window(0.8, busy=LEAST_BUSY - 0.01),
        window(0.8, busy=0.0),
        LoadedWindow(60.0, nan, 0.99),
        LoadedWindow(60.0, inf, 0.99),
        LoadedWindow(60.0, 0.0, 0.99),
        LoadedWindow(nan, 0.1, 0.99),
        LoadedWindow(10_000.0, 0.1, 0.99),
    ],
)
def test_nothing_is_learned_when_a_window_is_idle_overloaded_or_unknown(idle: LoadedWindow) -> None:
    assert refined(Refinement(), PROFILED, idle) == Refinement()


def test_uncertainty_falls_when_windows_agree_and_is_unlimited_before_any() -> None:
    known = refined(refined(Refinement(), PROFILED, window(0.8)), PROFILED, window(0.9))
    early = known.uncertainty
    for _ in range(40):
        known = refined(known, PROFILED, window(0.85))
    assert Refinement().uncertainty == inf
    assert 0.0 < known.uncertainty < early < inf


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 300.0), st.floats(1e-4, 60.0)), max_size=8))
def test_steps_and_factor_stay_within_bounds_whatever_is_measured(seen: list[tuple[float, float]]) -> None:
    known = Refinement()
    for rps, latency in seen:
        after = refined(known, PROFILED, LoadedWindow(rps, latency, 0.99))
        assert SMALLEST_FACTOR <= after.factor <= LARGEST_FACTOR
        assert abs(after.factor / known.factor - 1.0) <= LARGEST_STEP + 1e-9
        known = after
