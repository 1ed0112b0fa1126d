"""Generated load is reproducible, possible, and of the kinds that it says."""

import time
from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated import (
    GeneratedPanel,
    bursts,
    counting,
    gaps,
    generate,
    level,
    limits,
    noise,
    schedules,
    seasons,
    switches,
)
from modelscaler.forecast.learning.generated.compose import LARGEST_RPS, load
from modelscaler.forecast.learning.generated.grid import HOUR, Grid, grid_of
from modelscaler.forecast.learning.generated.kinds import KINDS, PAIRED_SHARES
from modelscaler.forecast.learning.generated.pulses import boxes, decaying
from modelscaler.forecast.learning.generated.recipe import Counting, Ingredient
from modelscaler_benchmarks.generated_load.statistics import daily_correlation

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TEN_MINUTES = 600.0
FORTNIGHT = 2016
ALL_KINDS = [*KINDS, *PAIRED_SHARES]


def panel(seed: int = 0, series: int = 12, step_seconds: float = TEN_MINUTES, steps: int = FORTNIGHT) -> GeneratedPanel:
    """Generate a panel that ends on a Monday."""
    return generate(np.random.default_rng(seed), series, step_seconds, steps, MONDAY)


def grid(step_seconds: float = TEN_MINUTES, steps: int = FORTNIGHT, seed: int = 0) -> Grid:
    return grid_of(np.random.default_rng(seed), step_seconds, steps, MONDAY)


def loads(kind: str, number: int = 12) -> list[Floats]:
    """Return loads of a kind before gaps."""
    made = []
    for seed in range(number):
        rng = np.random.default_rng(seed)
        made.append(load(rng, grid_of(rng, TEN_MINUTES, FORTNIGHT, MONDAY), kind))
    return made


def test_numbers_are_the_same_when_the_seed_is() -> None:
    first, second = panel(seed=3), panel(seed=3)

    np.testing.assert_array_equal(first.rps, second.rps)
    assert first.kinds == second.kinds


def test_numbers_differ_when_the_seed_does() -> None:
    assert not np.array_equal(panel(seed=3).rps, panel(seed=4).rps, equal_nan=True)


def test_next_panel_differs_when_the_generator_goes_on() -> None:
    rng = np.random.default_rng(0)

    first, second = (generate(rng, 5, TEN_MINUTES, 300, MONDAY).rps for _ in range(2))

    assert not np.array_equal(first, second, equal_nan=True)


def test_series_stay_the_same_when_there_are_more_of_them() -> None:
    few, more = panel(series=5), panel(series=15)

    np.testing.assert_array_equal(few.rps, more.rps[:5])
    assert few.kinds == more.kinds[:5]


@pytest.mark.parametrize("steps", [1, 2, 7, 360])
@pytest.mark.parametrize("step_seconds", [10.0, 15.0, 60.0, 3600.0])
def test_loads_are_possible_when_steps_are_few_or_long(step_seconds: float, steps: int) -> None:
    made = panel(series=60, step_seconds=step_seconds, steps=steps)

    assert made.rps.shape == (60, steps)
    assert made.rps.dtype == np.float32
    assert len(made.kinds) == 60
    assert (made.step_seconds, made.end) == (step_seconds, MONDAY)
    known = made.rps[np.isfinite(made.rps)]
    assert not np.isinf(made.rps).any()
    assert known.min() >= 0.0
    assert known.max() <= LARGEST_RPS


def test_panel_is_empty_when_no_series_is_asked_for() -> None:
    assert panel(series=0).rps.shape == (0, FORTNIGHT)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_load_is_finite_when_nothing_spoils_it(kind: str) -> None:
    for rps in loads(kind):
        assert np.isfinite(rps).all()
        assert rps.min() >= 0.0


def test_days_resemble_each_other_when_the_kind_is_seasonal() -> None:
    correlations = [daily_correlation(rps, TEN_MINUTES) for rps in loads("seasonal", 20)]

    assert np.median(correlations) > 0.6
    assert np.mean([value > 0.3 for value in correlations]) >= 0.85


def test_daily_shape_repeats_exactly_when_days_neither_drift_nor_shift() -> None:
    shape = seasons.profile(np.random.default_rng(2))

    assert (shape.min(), shape.max()) == (0.0, pytest.approx(1.0))
    assert shape[0] == pytest.approx(shape[-1])


def test_weekends_have_a_factor_of_their_own_when_a_load_is_weekly() -> None:
    days = grid()

    factors = [seasons.weekly(np.random.default_rng(seed), days) for seed in range(40)]

    weekend, noon = days.weekday >= seasons.SATURDAY, np.abs(days.day_share - 0.5) < 0.3
    ratios = [factor[weekend & noon].mean() / factor[~weekend & noon].mean() for factor in factors]
    assert min(ratios) < 0.45
    assert max(ratios) > 1.15


def test_weekday_is_the_calendars_when_no_clock_changes() -> None:
    made = grid(HOUR, 24 * 9)

    local = [datetime.fromtimestamp(seconds, UTC) for seconds in made.begins]
    assert [int(day) for day in made.weekday] == [moment.weekday() for moment in local]
    np.testing.assert_allclose(made.day_share * 24.0, [moment.hour for moment in local], atol=1e-6)


def test_day_share_jumps_by_an_hour_when_summer_time_begins_or_ends() -> None:
    jumps = []

    for seed in range(80):
        hours = np.diff(grid(TEN_MINUTES, FORTNIGHT, seed).day_share * 24.0) % 24.0
        jumps += [round(value, 3) for value in hours if abs(value - 1.0 / 6.0) > 1e-3]
    assert {round(1.0 / 6.0 + 1.0, 3), round(24.0 + 1.0 / 6.0 - 1.0, 3)} == set(jumps)


def test_yesterday_tells_nothing_when_a_load_is_a_random_walk() -> None:
    # Its changes, not its level: the level of any walk resembles itself a day ago.
    correlations = [daily_correlation(np.diff(rps), TEN_MINUTES) for rps in loads("random walk", 30)]

    assert np.abs(np.nanmean(correlations)) < 0.02
    assert np.nanmax(np.abs(correlations)) < 0.25


def test_nothing_tells_anything_when_a_load_is_noise() -> None:
    for rps in loads("noise"):
        for lag in (1, 7, 144):
            assert abs(np.corrcoef(rps[:-lag], rps[lag:])[0, 1]) < 0.12


def test_values_repeat_when_the_kind_is_constant_or_idle() -> None:
    assert all(np.ptp(rps) == 0.0 and rps[0] > 0.0 for rps in loads("constant"))
    assert all((rps == 0.0).all() for rps in loads("idle"))


def test_sparse_loads_are_mostly_zero_whatever_the_step() -> None:
    for step_seconds in (10.0, 300.0):
        rng = np.random.default_rng(5)
        empty = [(load(rng, grid(step_seconds), "sparse") == 0.0).mean() for _ in range(20)]
        assert np.median(empty) > 0.5


def test_a_box_keeps_its_area_when_it_begins_and_ends_within_steps() -> None:
    seen = grid(60.0, 100)
    start = seen.begins[0] + 90.0

    added = boxes(seen, np.array([start, start]), np.array([75.0, 600.0]), np.array([4.0, 1.0]))

    assert added[0] == 0.0
    assert added[1] == pytest.approx((4.0 + 1.0) * 0.5)
    assert added.sum() * 60.0 == pytest.approx(4.0 * 75.0 + 600.0)


@pytest.mark.parametrize("rise_seconds", [0.0, 30.0])
def test_a_decaying_burst_keeps_its_area_when_it_is_seen_as_means_over_steps(rise_seconds: float) -> None:
    seen = grid(60.0, 500)

    added = decaying(seen, seen.begins[[3]] + 20.0, np.array([5.0]), 300.0, rise_seconds)

    assert (added[:3] == 0.0).all()
    assert added.sum() * 60.0 == pytest.approx(5.0 * 300.0, rel=1e-6)


def test_a_burst_is_not_seen_when_it_comes_before_the_first_step_or_after_the_last() -> None:
    seen = grid(60.0, 10)
    outside = np.array([seen.begins[0] - 3600.0, seen.edges[-1] + 1.0])

    assert (boxes(seen, outside, np.full(2, 60.0), np.ones(2)) == 0.0).all()
    assert (decaying(seen, outside, np.ones(2), 60.0) == 0.0).all()


def test_jobs_come_at_a_fixed_phase_when_a_load_is_scheduled() -> None:
    seen = grid(60.0, 5 * 1440)
    certain = 0

    for seed in range(30):
        added = schedules.cron_jobs(np.random.default_rng(seed), seen)
        starts = np.flatnonzero((added[1:] > 0.0) & (added[:-1] == 0.0)) + 1
        minutes = (seen.begins[starts] / 60.0 % 60.0).astype(int)
        certain += len(starts) > 0 and len(np.unique(minutes)) <= 5
    assert certain >= 8


def test_irregular_jobs_keep_to_their_minutes_but_not_to_a_period() -> None:
    seen = grid(60.0, 14 * 1440)
    waits_differ = 0

    for seed in range(20):
        added = schedules.irregular_jobs(np.random.default_rng(seed), seen)
        assert added.max() > 0.0
        starts = np.flatnonzero((added[1:] > 0.0) & (added[:-1] == 0.0)) + 1
        waits_differ += int(len(starts) > 5 and np.std(np.diff(starts)) > 5.0)
    assert waits_differ >= 10


@pytest.mark.parametrize("step_seconds", [10.0, 60.0, 600.0, 3600.0])
def test_timers_can_be_seen_when_steps_are_short_or_long(step_seconds: float) -> None:
    seen = grid(step_seconds, 1000)

    added = [schedules.cron_jobs(np.random.default_rng(seed), seen) for seed in range(20)]

    assert np.mean([values.std() > 0.003 for values in added]) >= 0.8


@pytest.mark.parametrize("burst", [bursts.bursts, bursts.flickers, bursts.eruptions, bursts.cascades])
def test_bursts_only_add_when_they_come(burst: Ingredient) -> None:
    added = [burst(np.random.default_rng(seed), grid(60.0, 20_160)) for seed in range(10)]

    assert min(values.min() for values in added) >= 0.0
    assert max(values.max() for values in added) > 1.0


def test_eruptions_tower_over_the_mean_when_the_kind_is_eruptive() -> None:
    ratios = [rps.max() / rps.mean() for rps in loads("eruptive", 40)]

    assert np.quantile(ratios, 0.25) > 3.0
    assert max(ratios) > 60.0


@pytest.mark.parametrize(
    "factor",
    [
        *(
            level.trend,
            level.wander,
            level.revert,
            level.swell,
            level.shifts,
            level.ramps,
            level.campaigns,
            level.restless,
        ),
        *(noise.faint, noise.rough, noise.heavy, noise.volatile, noise.lingering),
        *(seasons.strong_daily, seasons.mild_daily, seasons.weekly, seasons.odd_days),
        *(switches.square_wave, switches.random_switch, switches.office_hours, switches.cycle),
    ],
)
def test_a_factor_is_about_one_and_never_negative(factor: Ingredient) -> None:
    factors = np.array([factor(np.random.default_rng(seed), grid()) for seed in range(30)])

    assert factors.shape == (30, FORTNIGHT)
    assert factors.min() >= 0.0
    assert 0.1 < np.median(factors.mean(axis=1)) < 10.0
    assert (factors.std(axis=1) > 0.0).mean() > 0.4


@pytest.mark.parametrize(
    "count", [counting.poisson, counting.clumped, counting.lastingly_clumped, counting.weighted, counting.averaged]
)
def test_counting_adds_noise_but_keeps_the_mean(count: Counting) -> None:
    seen, expected = grid(60.0, 20_000), np.full(20_000, 0.5)

    means = [count(np.random.default_rng(seed), seen, expected).mean() for seed in range(9)]

    assert np.median(means) == pytest.approx(0.5, rel=0.1)


def test_counts_are_whole_when_requests_are_counted() -> None:
    seen = grid(60.0, 2000)

    requests = counting.poisson(np.random.default_rng(0), seen, np.full(2000, 0.03)) * 60.0

    np.testing.assert_allclose(requests, np.rint(requests), atol=1e-9)
    assert requests.var() == pytest.approx(requests.mean(), rel=0.2)


def test_overdispersed_counts_vary_more_than_poisson_ones() -> None:
    seen, expected = grid(60.0, 20_000), np.full(20_000, 5.0)

    spreads = [counting.clumped(np.random.default_rng(seed), seen, expected).var() * 60.0 / 5.0 for seed in range(20)]

    assert np.median(spreads) > 3.0


def test_outages_are_zero_and_gaps_are_missing_when_they_come() -> None:
    rps = np.full(FORTNIGHT, 3.0)

    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert (gaps.outages(rng, grid(), rps) == 0.0).any()
        assert np.isnan(gaps.long_gaps(rng, grid(), rps)).any()
        assert np.isfinite(gaps.frozen(rng, grid(), rps)).all()
        assert np.isfinite(gaps.silent(rng, grid(), rps)).all()


def test_a_young_series_is_known_from_its_start_to_the_end() -> None:
    ages = []

    for seed in range(60):
        known = np.isfinite(gaps.young(np.random.default_rng(seed), grid(), np.ones(FORTNIGHT)))
        ages.append(known.sum())
        assert known[-known.sum() :].all()
    assert min(ages) <= 24
    assert max(ages) > FORTNIGHT / 2


def test_one_point_is_known_when_a_series_has_just_begun() -> None:
    known = np.isfinite(gaps.one_point(np.random.default_rng(0), grid(), np.ones(FORTNIGHT)))

    assert known.sum() == 1
    assert known[-1]


def test_regular_gaps_come_at_the_same_time_of_day() -> None:
    for seed in range(12):
        missing = np.isnan(gaps.regular_gaps(np.random.default_rng(seed), grid(60.0, 14 * 1440), np.ones(14 * 1440)))
        by_day = missing.reshape(14, 1440)
        assert missing.any()
        assert (by_day == by_day[0]).mean() > 0.99


def test_load_stays_within_the_capacity_when_it_is_saturated() -> None:
    rng = np.random.default_rng(0)
    rps = rng.gamma(2.0, 1.0, 5000)

    capped = limits.saturated(rng, rps)

    assert capped.max() < rps.max()
    assert (capped == capped.max()).mean() >= 0.004
    assert (capped <= rps).all()


def test_few_levels_are_left_when_clients_are_autoscaled() -> None:
    rng = np.random.default_rng(0)

    assert len(np.unique(limits.stepped(rng, np.minimum(rng.gamma(2.0, 1.0, 5000), 6.0)))) < 40


def test_a_fleet_is_generated_quickly_when_it_has_two_weeks_of_minutes() -> None:
    begun = time.process_time()

    panel(series=64, step_seconds=60.0, steps=20_160)

    assert time.process_time() - begun < 3.0  # a third of a second on a machine that does nothing else
