"""What no forecast may do: look ahead, find structure where there is none, fall over, or ask for less when more is coming."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from builders import CPU_INT8, observation, pool, single_pool
from loads import InstantTrainer, network, random_walk, seasonal_load, settings, time_of, window_of
from modelscaler.domain import Floats, PolicyState, QuantileForecast, WorkloadKey
from modelscaler.forecast.anchor import judge_stride, judged
from modelscaler.forecast.base import QUANTILES
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import frame
from modelscaler.forecast.own import own_features
from modelscaler.forecast.panel import Ints, Panel
from modelscaler.forecast.pipeline import PRETRAINED, said
from modelscaler.forecast.service import Forecasting, ForecastingSettings
from modelscaler.planner.plan import plan

MEDIAN = QUANTILES.index(0.5)
FIRST_CELL = 30_000_000
CUTOFF = 2_500


def panel(after: float) -> Panel:
    """Return two days and more of minutes whose values after the cutoff are `after` times what they might be."""
    load = np.stack([seasonal_load(3_000, seed=3, season=1_440), random_walk(3_000, seed=4)])
    load[:, CUTOFF + 1 :] *= after
    return Panel.of(load, 60.0, FIRST_CELL)


@pytest.mark.parametrize("ahead", [1, 10, 180])
@pytest.mark.parametrize("origins", [np.array([CUTOFF]), np.array([1_000, CUTOFF - 7, CUTOFF])], ids=["one", "many"])
@pytest.mark.parametrize("after", [3.0, np.nan])
def test_nothing_at_or_after_the_cutoff_is_seen_when_the_future_shifts(ahead: int, origins: Ints, after: float) -> None:
    seen, told, own = [], [], []
    for shown in (panel(1.0), panel(after)):
        columns = np.arange(0, CUTOFF + 1, judge_stride(60.0))
        record, calendar = judged(shown, ahead, columns, None), Calendar.utc(2)
        described = frame(shown, origins, ahead, record, calendar)
        seen.append(described.features)
        own.append(own_features(shown, origins, ahead, described, calendar))
        told.append(said(shown, origins, ahead, record, calendar, {PRETRAINED: network()}))

    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(own[0], own[1])
    np.testing.assert_array_equal(told[0].quantiles, told[1].quantiles)
    np.testing.assert_array_equal(told[0].scale, told[1].scale)


def median(answers: Mapping[WorkloadKey, QuantileForecast | None], key: WorkloadKey, ahead: int) -> float:
    answer = answers[key]
    assert answer is not None
    return float(answer.rps[ahead - 1, MEDIAN])


def sparse(steps: int) -> Floats:
    return np.where(np.random.default_rng(1).random(steps) < 0.02, 3.0, 0.0)


def ragged(steps: int) -> Floats:
    load = seasonal_load(steps)
    load[np.random.default_rng(2).random(steps - 1).argsort()[: steps // 2]] = np.nan
    return load


AWKWARD = {
    "constant": np.full(720, 7.0),
    "zero": np.zeros(720),
    "sparse": sparse(720),
    "one point": np.array([5.0]),
    "two points": np.array([5.0, 6.0]),
    "ragged": ragged(720),
    "tiny": seasonal_load(720) * 1e-6,
    "huge": seasonal_load(720) * 1e6,
    "a step": np.concatenate([np.full(700, 1.0), np.full(20, 1000.0)]),
    "unknown but for the end": np.concatenate([np.full(719, np.nan), [4.0]]),
}


@pytest.mark.parametrize("step_seconds", [2.0, 60.0])
def test_every_forecast_is_possible_when_loads_are_awkward(step_seconds: float, tmp_path: Path) -> None:
    network().save(tmp_path / "shipped.safetensors")
    forecasting = Forecasting(
        ForecastingSettings(step_seconds, weights=tmp_path / "shipped.safetensors"), InstantTrainer()
    )
    keys = {WorkloadKey("shop", name): load for name, load in AWKWARD.items()}
    for key, load in keys.items():
        window = window_of(load, step_seconds)
        forecasting.load_history(key, replace(window, end=time_of(719, step_seconds)))
    asked = {key: (settings(), 40 * step_seconds) for key in keys}

    for minute in (719, 720, 721, 733):  # the clock jumps forward at the end
        for key, load in keys.items():
            forecasting.observe(key, time_of(minute, step_seconds), float(load[-1]))
        answers = forecasting.forecast(time_of(minute, step_seconds), asked)

        for key, answer in answers.items():
            assert answer is not None, key
            assert possible(answer), key
    assert abs(median(answers, WorkloadKey("shop", "constant"), 40) - 7.0) < 0.1
    assert median(answers, WorkloadKey("shop", "zero"), 40) < 1e-6


def possible(answer: QuantileForecast) -> bool:
    """Tell whether quantiles are finite, not negative and in order, and peaks not below values and not falling."""
    both = np.stack([answer.rps, answer.peak_rps])
    in_order = (np.diff(both, axis=-1) >= 0.0).all() and (np.diff(answer.peak_rps, axis=0) >= 0.0).all()
    return bool(np.isfinite(both).all() and (both >= 0.0).all() and in_order and (answer.peak_rps >= answer.rps).all())


def test_a_year_of_hours_is_forecast(tmp_path: Path) -> None:
    network().save(tmp_path / "shipped.safetensors")
    forecasting = Forecasting(ForecastingSettings(3600.0, weights=tmp_path / "shipped.safetensors"), InstantTrainer())
    key, load = WorkloadKey("shop", "year"), seasonal_load(8_760, season=24)
    forecasting.load_history(key, window_of(load, 3600.0))
    daily = replace(settings(), season_seconds=86_400.0, lookback_seconds=60 * 86_400.0)

    answer = forecasting.forecast(time_of(8_759, 3600.0), {key: (daily, 6 * 3600.0)})[key]

    assert answer is not None
    assert possible(answer)
    assert len(answer.rps) == 6


def test_a_clock_that_jumped_back_leaves_the_forecast_as_it_was(tmp_path: Path) -> None:
    network().save(tmp_path / "shipped.safetensors")
    forecasting = Forecasting(ForecastingSettings(2.0, weights=tmp_path / "shipped.safetensors"), InstantTrainer())
    key, load = WorkloadKey("shop", "jumpy"), seasonal_load(720)
    forecasting.load_history(key, window_of(load))
    asked = {key: (settings(), 16.0)}
    before = forecasting.forecast(time_of(719), asked)[key]

    earlier = time_of(719) - timedelta(minutes=5)
    forecasting.observe(key, earlier, 900.0)
    after = forecasting.forecast(earlier, asked)[key]

    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after.peak_rps, before.peak_rps)


@pytest.fixture(scope="module")
def a_forecast(tmp_path_factory: pytest.TempPathFactory) -> QuantileForecast:
    """The forecast of a load with a season, 20 steps ahead."""
    weights = tmp_path_factory.mktemp("weights") / "shipped.safetensors"
    network().save(weights)
    forecasting = Forecasting(ForecastingSettings(2.0, weights=weights), InstantTrainer())
    key, load = WorkloadKey("shop", "ranker"), seasonal_load(720)
    forecasting.load_history(key, window_of(load))
    answer = forecasting.forecast(time_of(719), {key: (settings(), 40.0)})[key]
    assert answer is not None
    return answer


@pytest.mark.parametrize("replicas", [0, 1, 6])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
def test_a_higher_forecast_never_means_fewer_replicas(
    replicas: int, quantile: float, a_forecast: QuantileForecast
) -> None:
    spec = single_pool(max_replicas=50)
    spec = replace(spec, forecast=replace(spec.forecast, quantile=quantile))
    pools = [pool(CPU_INT8, replicas)] if replicas else []
    state = PolicyState(active=CPU_INT8) if replicas else PolicyState()

    wanted = []
    for factor in (0.0, 0.5, 1.0, 1.01, 2.0, 10.0):
        higher = replace(a_forecast, rps=a_forecast.rps * factor, peak_rps=a_forecast.peak_rps * factor)
        wanted.append(plan(spec, observation(20.0, *pools), higher, state, 15.0)[0].target.replicas)

    assert wanted == sorted(wanted)
    assert wanted[-1] > wanted[0]
