"""A rise of the load is followed when it is more than noise, whatever the noise of this load is."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscaler.planner.rising import FOLLOWED_SECONDS, LEAST_SECONDS, Course

TICK_SECONDS = 15.0
WINDOW_SECONDS = 30.0
WARM_UP = 2 * int(LEAST_SECONDS / TICK_SECONDS)


def followed(loads: Iterable[float | None], course: Course | None = None, at: float = 0.0) -> list[Course]:
    """Return the course after each reading."""
    courses = [course or Course()]
    for load in loads:
        at += TICK_SECONDS
        courses.append(courses[-1].after(at, load, WINDOW_SECONDS))
    return courses[1:]


def measured(rng: np.random.Generator, per_minute: np.ndarray, dispersion: float = 1.0) -> list[float]:
    """Return rates over half a minute, every quarter of one, of counts that vary `dispersion` times as much as Poisson's."""
    counts = dispersion * rng.poisson(np.repeat(per_minute, 4) / 4.0 / dispersion)
    return [float(a + b) / WINDOW_SECONDS for a, b in pairwise(counts)]


def test_rise_is_what_a_ramp_has_beyond_noise() -> None:
    ramp = [1000.0 + 10.0 * TICK_SECONDS * step for step in range(40)]
    found = followed(ramp)[-1].rise_rps_per_second

    assert 7.0 < found < 10.0, "ten requests a second more each second, less four standard deviations"


def test_nothing_rises_when_load_is_level_and_arrivals_are_poisson() -> None:
    loads = measured(np.random.default_rng(0), np.full(2000, 3000.0))
    rises = [course.rise_rps_per_second > 0.0 for course in followed(loads)]

    assert sum(rises) == 0, "one of 30,000 is beyond 4 standard deviations"


def test_noise_is_learned_when_the_load_varies_more_than_poisson() -> None:
    rng = np.random.default_rng(0)
    courses = followed(measured(rng, np.full(600, 3000.0), dispersion=30.0))

    assert 15.0 < courses[-1].dispersion < 40.0
    assert np.mean([course.rise_rps_per_second > 0.0 for course in courses[WARM_UP:]]) < 0.003
    naive = [replaced.rise_rps_per_second > 0.0 for replaced in _without_learning(courses)]
    assert np.mean(naive) > 0.05, "as it would be if noise were taken for Poisson's"


def _without_learning(courses: list[Course]) -> list[Course]:
    """Return each course as it would have been, had its dispersion been 1."""
    return [
        Course(before.rates, 1.0, LEAST_SECONDS).after(after.rates[-1].at, after.rates[-1].rps, WINDOW_SECONDS)
        for before, after in pairwise(courses)
    ]


def test_a_spike_is_a_rise_when_the_hour_before_was_noisy() -> None:
    rng = np.random.default_rng(0)
    calm = followed(measured(rng, np.full(240, 3000.0), dispersion=30.0))[-1]
    spike = [50.0 + 5.0 * TICK_SECONDS * step for step in range(1, 6)]
    found = followed(spike, calm, calm.rates[-1].at)

    assert all(course.rise_rps_per_second > 0.0 for course in found)
    assert found[-1].dispersion < 2.0 * calm.dispersion, "what is far off counts as being just a rise"


def test_a_steady_ramp_is_not_taken_for_noise() -> None:
    ramp = [100.0 + 2.0 * TICK_SECONDS * step for step in range(200)]

    assert followed(ramp)[-1].dispersion == 1.0


@pytest.mark.parametrize("seconds", [5.0, 15.0, 60.0])
def test_nothing_rises_before_the_noise_is_known_however_often_it_is_read(seconds: float) -> None:
    course, at, first = Course(), 0.0, None
    while at < 3.0 * LEAST_SECONDS:
        at += seconds
        course = course.after(at, 1000.0 + 10.0 * at, WINDOW_SECONDS)
        first = first or (at if course.rise_rps_per_second > 0.0 else None)

    assert first is not None
    assert LEAST_SECONDS < first < LEAST_SECONDS + 4.0 * max(seconds, WINDOW_SECONDS)


def test_no_more_is_added_than_twice_what_has_risen_when_the_load_makes_a_step() -> None:
    level = [300.0] * WARM_UP
    step = followed([*level, 450.0, 600.0, 600.0, 600.0])[WARM_UP:]
    added = [course.rise_rps_per_second * FOLLOWED_SECONDS for course in step]

    assert 0.0 < added[0] <= 300.0
    assert added[1] == pytest.approx(600.0)
    assert added[2:] == [0.0, 0.0], "the step is over"


def test_nothing_rises_when_the_load_comes_back_after_it_was_gone_for_minutes() -> None:
    gone = followed([*[1000.0] * WARM_UP, 500.0, *[0.0] * 7, 500.0, 1000.0, 1000.0])[WARM_UP:]

    assert [course.rise_rps_per_second for course in gone] == [0.0] * len(gone)
    assert followed([*[1000.0] * WARM_UP, 500.0, 0.0, 500.0, 1500.0])[-1].rise_rps_per_second > 0.0


RISING = followed([1000.0 + 10.0 * TICK_SECONDS * step for step in range(40)])[-1]


def test_nothing_rises_when_a_reading_is_missing_and_until_there_are_enough_again() -> None:
    gone, first, second, third = followed([None, 9000.0, 9000.0, 9300.0], RISING, RISING.rates[-1].at)

    assert gone.rise_rps_per_second == first.rise_rps_per_second == second.rise_rps_per_second == 0.0
    assert third.rise_rps_per_second > 0.0
    assert gone.dispersion == RISING.dispersion


@pytest.mark.parametrize("seconds", [-100.0, 0.0, 91.0, 90_000.0])
def test_nothing_rises_when_readings_are_far_apart_or_the_clock_went_back(seconds: float) -> None:
    found = RISING.after(RISING.rates[-1].at + seconds, 90_000.0, WINDOW_SECONDS)

    assert found.rise_rps_per_second == 0.0
    assert found.rates[-1].rps == 90_000.0
    assert all(earlier.at < later.at for earlier, later in pairwise(found.rates))


@pytest.mark.parametrize("seconds", [14.9, 15.1, 60.1])
def test_rise_is_found_when_ticks_come_a_little_early_or_late(seconds: float) -> None:
    course = Course()
    for step in range(40):
        course = course.after(step * seconds, 1000.0 + 10.0 * seconds * step, WINDOW_SECONDS)

    assert course.rise_rps_per_second > 7.0


def test_rates_next_to_nothing_are_no_trouble() -> None:
    assert followed([5e-324] * 10)[-1].learned_seconds == followed([0.0] * 10)[-1].learned_seconds == 0.0


RATES = st.floats(0.0, 1e6) | st.none()


@given(st.lists(st.tuples(st.floats(0.1, 90.0), RATES), max_size=40), st.floats(0.0, 1e6), st.floats(0.0, 1e6))
def test_a_course_is_short_and_a_higher_reading_never_rises_less(
    readings: list[tuple[float, float | None]], one: float, other: float
) -> None:
    course, at = Course(), 0.0
    for seconds, load in readings:
        at += seconds
        course = course.after(at, load, WINDOW_SECONDS)
    low, high = sorted((one, other))
    less, more = (course.after(at + TICK_SECONDS, load, WINDOW_SECONDS) for load in (low, high))

    assert 0.0 <= less.rise_rps_per_second <= more.rise_rps_per_second < np.inf
    assert less.dispersion >= 1.0
    assert all(at + TICK_SECONDS - 180.0 <= rate.at for rate in less.rates)
