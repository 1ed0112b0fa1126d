from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from loads import (
    HORIZON_SECONDS,
    KEY,
    SEASON_STEPS,
    SMALL_BUDGET,
    STEP_SECONDS,
    InstantTrainer,
    random_walk,
    seasonal_load,
    settings,
    time_of,
    window_of,
)
from modelscaler.api.words import ConditionReason
from modelscaler.domain import Floats, QuantileForecast, WorkloadKey
from modelscaler.forecast.fitting import TrainingBudget
from modelscaler.forecast.learned import LearnedModel
from modelscaler.forecast.service import Forecasting, ForecastingSettings
from modelscaler.forecast.training import Outcome

HISTORY = 6 * SEASON_STEPS


class SpoilingTrainer(InstantTrainer):
    """Hands back models that were good when they were scored and are no longer."""

    def poll(self) -> Outcome | None:
        outcome = super().poll()
        return replace(outcome, shift=outcome.shift + 4.0) if isinstance(outcome, LearnedModel) else outcome


def service(trainer: InstantTrainer, budget: TrainingBudget = SMALL_BUDGET) -> Forecasting:
    made = Forecasting(
        ForecastingSettings(STEP_SECONDS, history_steps=3000, retrain_seconds=600.0, budget=budget), trainer
    )
    made.start()
    return made


def warmed(load: Floats, trainer: InstantTrainer, budget: TrainingBudget = SMALL_BUDGET) -> Forecasting:
    """Return a service that has read all of a load but what comes after `HISTORY`."""
    made = service(trainer, budget)
    made.load_history(KEY, window_of(load[:HISTORY]))
    return made


def tick(
    forecasting: Forecasting,
    step: int,
    rps: float | None,
    model: str = "Auto",
    horizon_seconds: float = HORIZON_SECONDS,
) -> QuantileForecast | None:
    forecasting.observe(KEY, time_of(step), rps)
    return forecasting.forecast(time_of(step), {KEY: (settings(model), horizon_seconds)})[KEY]


def test_baselines_serve_first_and_the_learned_model_joins_when_it_is_trained() -> None:
    load = seasonal_load(HISTORY + 5, seed=1)
    forecasting = warmed(load, InstantTrainer(), TrainingBudget(max_iterations=30))

    first, second = (tick(forecasting, HISTORY + i, load[HISTORY + i]) for i in range(2))

    assert first is not None
    assert not first.learned
    assert first.note == "baselines serve until a learned model is trained"
    assert second is not None
    assert second.learned
    assert "learned" in second.method
    assert forecasting.healthy(KEY)[:2] == (True, ConditionReason.LEARNED)


def test_the_quantiles_cover_what_they_state_when_served_live() -> None:
    load = seasonal_load(HISTORY + 3 * SEASON_STEPS // 2, seed=7)
    forecasting = warmed(load, InstantTrainer())

    covered = []
    for step in range(HISTORY, len(load) - 8):
        answer = tick(forecasting, step, load[step])
        assert answer is not None
        covered.append(load[step + 1 : step + 9].max() <= answer.peak_rps[7])

    np.testing.assert_allclose(np.mean(covered, axis=0)[2:], [0.9, 0.95, 0.99], atol=0.06)


def test_baselines_serve_alone_when_the_user_asks_for_them() -> None:
    load, trainer = seasonal_load(HISTORY + 3), InstantTrainer()
    forecasting = warmed(load, trainer)

    answers = [tick(forecasting, HISTORY + i, load[HISTORY + i], model="Baselines") for i in range(3)]

    assert not trainer.jobs
    assert all(answer is not None and not answer.learned and not answer.note for answer in answers)
    assert forecasting.healthy(KEY) == (
        True,
        ConditionReason.BASELINE,
        "baselines serve, as spec.scaling.forecast.model asks",
    )


def test_baselines_serve_and_the_reason_is_said_when_training_fails() -> None:
    load, trainer = seasonal_load(HISTORY + 60), InstantTrainer()
    trainer.fails = True
    forecasting = warmed(load, trainer)

    answers = [tick(forecasting, HISTORY + i, load[HISTORY + i]) for i in range(10)]

    assert len(trainer.jobs) == 1
    assert answers[-1] is not None
    assert not answers[-1].learned
    assert "killed" in answers[-1].note
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.BASELINE)


def test_training_is_tried_again_when_it_has_failed_and_the_back_off_is_over() -> None:
    load, trainer = seasonal_load(HISTORY + 60), InstantTrainer()
    trainer.fails = True
    forecasting = warmed(load, trainer)
    tick(forecasting, HISTORY, load[HISTORY])
    trainer.fails = False

    tried = []
    for i in range(1, 20):
        tick(forecasting, HISTORY + i, load[HISTORY + i])
        tried.append(len(trainer.jobs))

    assert tried[:14] == [1] * 14  # 30 s of 2 s steps
    assert tried[-1] == 2
    assert forecasting.healthy(KEY)[0]


def test_a_model_is_retrained_when_it_is_old_or_horizons_outgrow_it() -> None:
    load, trainer = seasonal_load(HISTORY + 400), InstantTrainer()
    forecasting = warmed(load, trainer)
    steps = [0, 1, 20, 299, 300]

    jobs = []
    for step in steps:
        tick(forecasting, HISTORY + step, load[HISTORY + step])
        jobs.append(len(trainer.jobs))
    tick(forecasting, HISTORY + 301, load[HISTORY + 301])
    tick(forecasting, HISTORY + 302, load[HISTORY + 302], horizon_seconds=80.0)
    tick(forecasting, HISTORY + 310, load[HISTORY + 310], horizon_seconds=80.0)

    assert jobs == [1, 1, 1, 1, 2]
    assert len(trainer.jobs) == 3


def test_baselines_take_over_when_the_learned_model_goes_wrong() -> None:
    load = seasonal_load(HISTORY + 40)
    forecasting = warmed(load, SpoilingTrainer(), TrainingBudget(max_iterations=30))

    answers = [tick(forecasting, HISTORY + i, load[HISTORY + i]) for i in range(40)]

    assert answers[1] is not None
    assert answers[-1] is not None
    assert answers[1].learned  # it was fine on the holdout
    assert not answers[-1].learned
    assert answers[-1].note == "baselines serve: they have had smaller losses than the learned model lately"
    assert answers[-1].peak(0.9, HORIZON_SECONDS) < 3.0 * load.max()


def test_there_is_no_forecast_when_nothing_is_known() -> None:
    forecasting = service(InstantTrainer())

    assert tick(forecasting, 0, None) is None
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.NO_HISTORY)
    assert forecasting.window(KEY) is not None


def test_history_is_short_but_baselines_serve_when_few_readings_came() -> None:
    forecasting = service(InstantTrainer())

    answers = [tick(forecasting, step, 10.0 + step % 3) for step in range(5)]

    assert answers[0] is not None
    assert answers[-1] is not None
    assert answers[-1].peak(0.95, HORIZON_SECONDS) > 12.0
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.SHORT_HISTORY)


def test_the_forecast_ends_when_readings_stay_away_for_long() -> None:
    load = random_walk(HISTORY + 60)
    forecasting = warmed(load, InstantTrainer())

    answers = [tick(forecasting, HISTORY + i, None) for i in range(60)]

    assert answers[5] is not None
    assert answers[5].peak(0.95, 16.0) > 0.8 * load[HISTORY - 1]  # a gap is no zero
    assert answers[-1] is None
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.NO_HISTORY)


def test_the_first_forecast_is_as_good_as_before_when_the_operator_restarts() -> None:
    load = seasonal_load(HISTORY + 40, seed=5)
    steady = warmed(load, InstantTrainer())
    for step in range(HISTORY, HISTORY + 39):
        tick(steady, step, load[step])
    restarted = service(InstantTrainer())
    restarted.load_history(KEY, window_of(load[: HISTORY + 39]))

    before = tick(steady, HISTORY + 39, load[HISTORY + 39], model="Baselines")
    after = tick(restarted, HISTORY + 39, load[HISTORY + 39], model="Baselines")

    assert before is not None
    assert after is not None
    assert after.method.removeprefix("mix: ").split()[0] == before.method.removeprefix("mix: ").split()[0]
    np.testing.assert_allclose(after.peak_rps[:, 2], before.peak_rps[:, 2], rtol=0.25)


def test_nothing_is_remembered_when_a_series_is_forgotten() -> None:
    forecasting = warmed(seasonal_load(HISTORY), InstantTrainer())

    forecasting.forget(KEY)
    forecasting.forget(KEY)

    assert forecasting.window(KEY) is None
    assert forecasting.healthy(KEY)[1] is ConditionReason.NO_HISTORY


def test_only_the_lookback_is_looked_at_when_more_is_held() -> None:
    load = seasonal_load(20 * SEASON_STEPS)
    forecasting = service(InstantTrainer())
    forecasting.load_history(KEY, window_of(load))

    tick(forecasting, len(load), 20.0)

    window = forecasting.window(KEY)
    assert window is not None
    assert window.span_seconds == settings().lookback_seconds
    assert window.end == time_of(len(load))


def test_a_part_of_the_fleet_is_learned_from_when_it_is_large() -> None:
    trainer = InstantTrainer()
    trainer.fails = True
    forecasting = Forecasting(ForecastingSettings(STEP_SECONDS, max_training_series=2), trainer)
    forecasting.start()
    keys = [WorkloadKey("shop", f"model-{i}") for i in range(5)]
    for key in keys:
        forecasting.load_history(key, window_of(seasonal_load(300)))

    answers = forecasting.forecast(time_of(300), {key: (settings(), HORIZON_SECONDS) for key in keys})

    assert [len(job.windows) for job in trainer.jobs] == [2]
    assert all(answer is not None for answer in answers.values())


def test_training_waits_when_the_service_was_not_started_or_is_closed() -> None:
    trainer = InstantTrainer()
    forecasting = Forecasting(ForecastingSettings(STEP_SECONDS), trainer)
    forecasting.load_history(KEY, window_of(seasonal_load(HISTORY)))
    tick(forecasting, HISTORY, 20.0)
    forecasting.start()
    forecasting.close()
    tick(forecasting, HISTORY + 1, 20.0)

    assert not trainer.jobs
    assert trainer.closed


@pytest.mark.parametrize("late_seconds", [0.0, 0.7, 1.9])
def test_forecasts_start_from_now_when_ticks_fall_between_steps(late_seconds: float) -> None:
    load = np.full(HISTORY, 30.0)
    forecasting = service(InstantTrainer())
    forecasting.load_history(KEY, window_of(load))
    now = time_of(HISTORY - 1) + timedelta(seconds=late_seconds)

    answer = forecasting.forecast(now, {KEY: (settings(), HORIZON_SECONDS)})[KEY]

    assert answer is not None
    assert answer.made_at == now
    assert len(answer.peak_rps) == 8
