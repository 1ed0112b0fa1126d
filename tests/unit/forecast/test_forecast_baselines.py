import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loads import HORIZON_SECONDS, SEASON_STEPS, random_walk, request_of, seasonal_load, time_of
from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import QUANTILES
from modelscaler.forecast.baselines import BASELINES, NaiveForecaster, naive_quantiles
from modelscaler.forecast.points import CHANGE, LAST, MEAN, RULES, SEASONAL, Rule, mean_steps
from modelscaler.forecast.series import Series, at

EVERY_BASELINE = pytest.mark.parametrize("forecaster", BASELINES, ids=lambda f: f.name)
EVERY_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)


def forecast(
    forecaster: NaiveForecaster, rps: Floats, waited_steps: int = 0, horizon_seconds: float = HORIZON_SECONDS
) -> QuantileForecast | None:
    request = request_of(rps, horizon_seconds=horizon_seconds)
    return forecaster.forecast([request], time_of(len(rps) - 1 + waited_steps))[0]


def made(rule: Rule, rps: Floats, waited_steps: int = 0) -> QuantileForecast:
    answer = forecast(NaiveForecaster(rule), rps, waited_steps)
    assert answer is not None
    return answer


@EVERY_BASELINE
def test_quantiles_are_possible_when_load_is_seasonal(forecaster: NaiveForecaster) -> None:
    answer = forecast(forecaster, seasonal_load(5 * SEASON_STEPS))

    assert answer is not None
    assert answer.rps.shape == answer.peak_rps.shape == (8, len(QUANTILES))
    assert (answer.rps >= 0.0).all()
    assert (np.diff(answer.rps, axis=1) >= 0.0).all()
    assert (np.diff(answer.peak_rps, axis=1) >= 0.0).all()
    assert (np.diff(answer.peak_rps, axis=0) >= 0.0).all()
    assert (answer.peak_rps >= answer.rps).all()


@pytest.mark.parametrize(
    ("rule", "load"), [(r, "seasonal") for r in RULES] + [(LAST, "random walk"), (MEAN, "random walk")]
)
def test_coverage_is_what_the_quantiles_state_when_they_are_forecast_out_of_sample(rule: Rule, load: str) -> None:
    steps = 30 * SEASON_STEPS
    rps = seasonal_load(steps, seed=3) if load == "seasonal" else random_walk(steps, seed=3)
    series, rungs = Series.of(rps, SEASON_STEPS), (1, 4, 8)
    blocks = np.array_split(np.arange(8 * SEASON_STEPS, steps - 8), 40)

    covered = []
    for block in blocks:
        quantiles = naive_quantiles(rule, series, rungs, int(block[0]), block)
        actual = np.array(
            [[at(series.values, block + h) for h in rungs], [at(series.peaks(h), block + h) for h in rungs]]
        )
        covered.append(actual[..., None] <= quantiles)

    # Heights of the days differ, so the errors of some seasons speak only roughly of the next.
    coverage = np.concatenate(covered, axis=2).mean(axis=2)
    np.testing.assert_allclose(coverage, np.broadcast_to(QUANTILES, coverage.shape), atol=0.09)
    np.testing.assert_allclose(coverage.mean(axis=(0, 1))[2:], QUANTILES[2:], atol=0.035)


@pytest.mark.parametrize("points", [1, 2, 3, 7])
def test_a_forecast_is_sane_when_there_is_only_a_handful_of_points(points: int) -> None:
    rps = np.array([10.0, 12.0, 9.0, 11.0, 10.0, 13.0, 10.0])[:points]

    answer = made(LAST, rps)

    assert answer.rps[0, 1] == pytest.approx(rps[-1], rel=0.35)
    assert answer.peak_rps[-1, 4] > rps[-1] * 1.1
    assert answer.peak_rps[-1, 4] < rps[-1] * 4.0


def test_seasonal_rules_stand_back_when_less_than_a_season_is_known() -> None:
    rps = seasonal_load(SEASON_STEPS // 2)

    assert forecast(NaiveForecaster(SEASONAL), rps) is None
    assert forecast(NaiveForecaster(CHANGE), rps) is None
    assert forecast(NaiveForecaster(MEAN), rps) is not None


@EVERY_BASELINE
def test_there_is_no_forecast_when_nothing_is_known(forecaster: NaiveForecaster) -> None:
    assert forecast(forecaster, np.full(20, np.nan)) is None


def test_gaps_are_not_zeros_when_the_last_values_are_missing() -> None:
    rps = np.full(3 * SEASON_STEPS, 40.0)
    rps[-5:] = np.nan
    rps[100:110] = np.nan

    for forecaster in BASELINES:
        answer = forecast(forecaster, rps)
        assert answer is not None
        np.testing.assert_allclose(answer.rps, 40.0, rtol=1e-6)


def test_a_forecast_is_wider_when_the_last_value_is_older() -> None:
    rps = random_walk(6 * SEASON_STEPS)

    fresh, old = made(LAST, rps), made(LAST, rps, waited_steps=8)

    assert old.rps[0, 4] - old.rps[0, 0] > 1.5 * (fresh.rps[0, 4] - fresh.rps[0, 0])
    assert len(old.rps) == len(fresh.rps)


@given(raised=st.floats(0.0, 200.0), points=st.integers(2, 300), seed=st.integers(0, 20))
@settings(max_examples=25, deadline=None)
def test_no_planned_quantile_falls_when_the_recent_level_is_higher(raised: float, points: int, seed: int) -> None:
    lower = seasonal_load(points, seed=seed)
    higher = lower.copy()
    higher[-1] += raised

    for forecaster in BASELINES:
        before, after = forecast(forecaster, lower), forecast(forecaster, higher)
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            # Errors are scaled by the mean of a season, which moves a little with its last value.
            assert (after.peak_rps[:, 1:] >= before.peak_rps[:, 1:] - 1e-3 * raised - 1e-9).all()


@EVERY_RULE
def test_nothing_changes_when_what_comes_later_is_garbage(rule: Rule) -> None:
    rps = seasonal_load(6 * SEASON_STEPS)
    cut = 4 * SEASON_STEPS
    garbage = rps.copy()
    garbage[cut + 1 :] = 1e6
    origins = np.arange(cut - 20, cut + 1)

    clean, dirty = (
        naive_quantiles(rule, Series.of(values, SEASON_STEPS), (1, 2, 4, 8), cut, origins) for values in (rps, garbage)
    )

    np.testing.assert_array_equal(clean, dirty)


@pytest.mark.parametrize(("season", "steps"), [(86_400, 1800), (1440, 30), (288, 6), (24, 3), (120, 3)])
def test_the_recent_mean_is_thirty_minutes_of_a_day_when_steps_are_short(season: int, steps: int) -> None:
    assert mean_steps(Series.of(np.ones(3), season)) == steps
