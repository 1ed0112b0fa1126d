from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from forecast_rig import HISTORY, WILD, service, tick, warmed
from loads import (
    HORIZON_SECONDS,
    KEY,
    SEASON_STEPS,
    STEP_SECONDS,
    InstantTrainer,
    network,
    seasonal_load,
    settings,
    time_of,
    window_of,
)
from modelscaler.api.words import ConditionReason
from modelscaler.domain import WorkloadKey
from modelscaler.forecast.network import load_network
from modelscaler.forecast.networks import features
from modelscaler.forecast.pipeline import MEMBERS, TUNED
from modelscaler.forecast.service import Forecasting, ForecastingSettings
from modelscaler.forecast.tuition import Lessons


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    network().save(tmp_path / "shipped.safetensors")
    return tmp_path


def test_the_shipped_network_serves_at_the_first_tick_when_there_is_history(folder: Path) -> None:
    load = seasonal_load(HISTORY + 1)
    forecasting = warmed(folder, load)

    answer = tick(forecasting, HISTORY, load[HISTORY])

    assert answer is not None
    assert answer.learned
    assert "pretrained" in dict(answer.shares)
    assert forecasting.healthy(KEY)[:2] == (True, ConditionReason.LEARNED)
    assert answer.note == forecasting.healthy(KEY)[2]


def test_the_tuned_network_joins_when_it_is_trained(folder: Path) -> None:
    load, trainer = seasonal_load(HISTORY + 20), InstantTrainer()
    forecasting = warmed(folder, load, trainer)

    answers = [tick(forecasting, HISTORY + i, load[HISTORY + i]) for i in range(3)]

    assert len(trainer.jobs) == 1
    assert trainer.jobs[0].pretrained is not None
    assert answers[-1] is not None
    assert "tuned" in dict(answers[-1].shares)


def test_a_network_that_is_tuned_anew_goes_on_with_the_record_of_the_last_one(folder: Path) -> None:
    load, trainer = seasonal_load(HISTORY + 20), InstantTrainer()
    forecasting = warmed(folder, load, trainer)
    for i in range(15):
        tick(forecasting, HISTORY + i, load[HISTORY + i])
    (cohort,) = forecasting.fleet.in_use()
    before = cohort.table["counts"].copy()

    trainer.submit(trainer.jobs[0])
    forecasting.poll()

    assert before[:, :, MEMBERS.index(TUNED)].max() > 0.0
    np.testing.assert_array_equal(cohort.table["counts"], before)


def test_the_tuned_network_serves_when_the_operator_restarts(folder: Path) -> None:
    load, trainer = seasonal_load(HISTORY + 20), InstantTrainer()
    forecasting = warmed(folder, load, trainer)
    for i in range(2):
        tick(forecasting, HISTORY + i, load[HISTORY + i])
    trainer.fails = True

    restarted = warmed(folder, load, trainer)
    answer = tick(restarted, HISTORY, load[HISTORY])

    assert answer is not None
    assert "tuned" in dict(answer.shares)


def test_the_shipped_network_serves_and_is_tuned_anew_when_the_tuned_file_is_corrupt(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load, kept = seasonal_load(HISTORY + 20), folder / "state" / "tuned.safetensors"
    kept.parent.mkdir()
    kept.write_bytes(b"not weights")
    forecasting = warmed(folder, load, InstantTrainer())
    assert "cannot be read as weights" in caplog.text

    answer = tick(forecasting, HISTORY, load[HISTORY])
    assert answer is not None
    assert "tuned" not in dict(answer.shares)
    assert forecasting.healthy(KEY)[:2] == (True, ConditionReason.LEARNED)
    for i in range(1, 3):
        answer = tick(forecasting, HISTORY + i, load[HISTORY + i])

    assert answer is not None
    assert "tuned" in dict(answer.shares)
    load_network(kept, features())


def test_baselines_serve_alone_when_the_user_asks_for_them(folder: Path) -> None:
    load, trainer = seasonal_load(HISTORY + 3), InstantTrainer()
    forecasting = warmed(folder, load, trainer)

    answers = [tick(forecasting, HISTORY + i, load[HISTORY + i], model="Baselines") for i in range(3)]

    assert not trainer.jobs
    assert all(answer is not None and not answer.learned for answer in answers)
    assert forecasting.healthy(KEY) == (
        True,
        ConditionReason.BASELINE,
        "baselines serve, as spec.scaling.forecast.model asks",
    )


@pytest.mark.parametrize("content", [b"", b"not weights", None])
def test_baselines_serve_and_it_is_said_when_the_weights_cannot_be_used(folder: Path, content: bytes | None) -> None:
    weights = folder / "shipped.safetensors"
    weights.unlink() if content is None else weights.write_bytes(content)
    load = seasonal_load(HISTORY + 1)
    forecasting = service(folder)
    forecasting.load_history(KEY, window_of(load[:HISTORY]))

    answer = tick(forecasting, HISTORY, load[HISTORY])

    assert answer is not None
    assert not answer.learned
    healthy, reason, message = forecasting.healthy(KEY)
    assert (healthy, reason) == (False, ConditionReason.BASELINE)
    assert "cannot be read as weights" in message


def test_what_there_was_serves_and_the_reason_is_said_when_training_fails(folder: Path) -> None:
    load, trainer = seasonal_load(HISTORY + 60), InstantTrainer()
    trainer.fails = True
    forecasting = warmed(folder, load, trainer)

    answers = [tick(forecasting, HISTORY + i, load[HISTORY + i]) for i in range(10)]

    assert len(trainer.jobs) == 1
    assert answers[-1] is not None
    assert answers[-1].learned
    assert "killed" in answers[-1].note
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.LEARNED)


def test_the_condition_says_so_when_every_network_goes_wrong(folder: Path) -> None:
    load = seasonal_load(HISTORY + 40)
    forecasting = service(folder, shipped=network(WILD))
    forecasting.load_history(KEY, window_of(load[:HISTORY]))

    answer = tick(forecasting, HISTORY, load[HISTORY])

    assert answer is not None
    assert not answer.learned
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.DEMOTED)


def test_there_is_no_forecast_when_nothing_is_known(folder: Path) -> None:
    forecasting = service(folder)

    assert tick(forecasting, 0, None) is None
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.NO_HISTORY)
    assert forecasting.window(KEY) is not None


def test_history_is_short_but_baselines_serve_when_few_readings_came(folder: Path) -> None:
    forecasting = service(folder)

    answers = [tick(forecasting, step, 10.0 + step % 3) for step in range(5)]

    assert answers[0] is not None
    assert answers[-1] is not None
    assert 12.0 < answers[-1].peak(0.95, HORIZON_SECONDS) < 100.0
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.SHORT_HISTORY)


def test_nothing_is_remembered_when_a_series_is_forgotten(folder: Path) -> None:
    forecasting = warmed(folder, seasonal_load(HISTORY + 1))
    tick(forecasting, HISTORY, 20.0)

    forecasting.forget(KEY)
    forecasting.forget(KEY)

    assert forecasting.window(KEY) is None
    assert forecasting.healthy(KEY)[1] is ConditionReason.NO_HISTORY


def test_the_others_keep_their_forecasts_when_a_series_is_forgotten(folder: Path) -> None:
    forecasting = service(folder)
    keys = [WorkloadKey("shop", f"model-{i}") for i in range(3)]
    for level, key in enumerate(keys, start=1):
        forecasting.load_history(key, window_of(np.full(300, 10.0**level)))
    asked = {key: (settings(), STEP_SECONDS) for key in keys}
    forecasting.forecast(time_of(299), asked)

    forecasting.forget(keys[0])
    answers = forecasting.forecast(time_of(299), {key: asked[key] for key in keys[1:]})

    medians = [float(answer.rps[0, 1]) for answer in answers.values() if answer is not None]
    np.testing.assert_allclose(medians, [100.0, 1000.0], rtol=0.01)


def test_only_the_lookback_is_looked_at_when_more_is_held(folder: Path) -> None:
    load = seasonal_load(20 * SEASON_STEPS)
    forecasting = service(folder)
    forecasting.load_history(KEY, window_of(load))

    tick(forecasting, len(load), 20.0)

    window = forecasting.window(KEY)
    assert window is not None
    assert window.span_seconds == settings().lookback_seconds
    assert window.end == time_of(len(load))


def test_what_is_older_than_the_lookback_changes_nothing(folder: Path) -> None:
    load = seasonal_load(20 * SEASON_STEPS)
    other = load.copy()
    other[: 5 * SEASON_STEPS] *= 7.0
    answers = []
    for history in (load, other):
        forecasting = service(folder)
        forecasting.load_history(KEY, window_of(history))
        answers.append(tick(forecasting, len(load), 20.0))

    assert answers[0] is not None
    assert answers[1] is not None
    np.testing.assert_array_equal(answers[0].peak_rps, answers[1].peak_rps)


def test_series_with_other_seasons_and_horizons_are_forecast_in_one_tick(folder: Path) -> None:
    forecasting = service(folder)
    keys = [WorkloadKey("shop", f"model-{i}") for i in range(3)]
    for key in keys:
        forecasting.load_history(key, window_of(seasonal_load(300)))
    daily = replace(settings(), season_seconds=86_400.0, time_zone="Europe/Berlin", holiday_country="DE")
    asked = {keys[0]: (settings(), 16.0), keys[1]: (settings("Baselines"), 40.0), keys[2]: (daily, 90.0)}

    answers = forecasting.forecast(time_of(299), asked)

    assert [len(answer.rps) for answer in answers.values() if answer is not None] == [8, 20, 45]


def test_a_new_series_is_forecast_in_the_next_tick_when_many_are_new(folder: Path) -> None:
    forecasting = Forecasting(
        ForecastingSettings(STEP_SECONDS, warmed_at_once=2, weights=folder / "shipped.safetensors"), InstantTrainer()
    )
    keys = [WorkloadKey("shop", f"model-{i}") for i in range(5)]
    for key in keys:
        forecasting.load_history(key, window_of(seasonal_load(300)))

    answers = forecasting.forecast(time_of(299), {key: (settings(), STEP_SECONDS) for key in keys})

    assert all(answer is not None for answer in answers.values())


@pytest.mark.parametrize(("seconds_a_round", "expected"), [(0.0, 5), (1.1, 4), (100.0, 2)])
def test_as_many_new_series_are_warmed_as_there_is_time_for(
    folder: Path, seconds_a_round: float, expected: int
) -> None:
    ticking = count(0.0, seconds_a_round)
    forecasting = Forecasting(
        ForecastingSettings(
            STEP_SECONDS, warmed_at_once=2, warming_seconds=6.0, weights=folder / "shipped.safetensors"
        ),
        InstantTrainer(),
        monotonic=lambda: next(ticking),
    )
    keys = [WorkloadKey("shop", f"model-{i}") for i in range(5)]
    for key in keys:
        forecasting.load_history(key, window_of(seasonal_load(300)))

    forecasting.forecast(time_of(299), {key: (settings(), STEP_SECONDS) for key in keys})

    (cohort,) = forecasting.fleet.in_use()
    assert cohort.table["warm"].sum() == expected


def test_a_part_of_the_fleet_is_learned_from_when_it_is_large(folder: Path) -> None:
    trainer = InstantTrainer()
    forecasting = Forecasting(
        ForecastingSettings(STEP_SECONDS, lessons=Lessons(max_series=2), weights=folder / "shipped.safetensors"),
        trainer,
    )
    forecasting.start()
    keys = [WorkloadKey("shop", f"model-{i}") for i in range(5)]
    for key in keys:
        forecasting.load_history(key, window_of(seasonal_load(300)))

    forecasting.forecast(time_of(299), {key: (settings(), STEP_SECONDS) for key in keys})

    assert [history.panel.series for job in trainer.jobs for history in job.histories] == [2]


def test_training_waits_when_the_service_was_not_started_or_is_closed(folder: Path) -> None:
    trainer = InstantTrainer()
    forecasting = Forecasting(ForecastingSettings(STEP_SECONDS, weights=folder / "shipped.safetensors"), trainer)
    forecasting.load_history(KEY, window_of(seasonal_load(HISTORY)))
    tick(forecasting, HISTORY, 20.0)
    forecasting.start()
    forecasting.close()
    tick(forecasting, HISTORY + 1, 20.0)

    assert not trainer.jobs
    assert trainer.closed


@pytest.mark.parametrize("late_seconds", [0.0, 0.7, 1.9])
def test_forecasts_start_from_now_when_ticks_fall_between_steps(folder: Path, late_seconds: float) -> None:
    forecasting = service(folder)
    forecasting.load_history(KEY, window_of(np.full(HISTORY, 30.0)))
    now = time_of(HISTORY - 1) + timedelta(seconds=late_seconds)

    answer = forecasting.forecast(now, {KEY: (settings(), HORIZON_SECONDS)})[KEY]

    assert answer is not None
    assert answer.made_at == now
    assert len(answer.peak_rps) == 8


def test_a_longer_horizon_is_reached_when_it_is_asked_for_later(folder: Path) -> None:
    load = seasonal_load(HISTORY + 2)
    forecasting = warmed(folder, load)
    tick(forecasting, HISTORY, load[HISTORY])

    answer = tick(forecasting, HISTORY + 1, load[HISTORY + 1], horizon_seconds=400.0)

    assert answer is not None
    assert len(answer.rps) == 200
    assert (np.diff(answer.peak_rps, axis=0) >= 0.0).all()
