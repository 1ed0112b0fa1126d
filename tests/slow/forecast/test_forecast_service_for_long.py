"""The forecasts of one ModelDeployment over many ticks: what goes wrong is noticed, and what was is found again."""

from pathlib import Path

import numpy as np
import pytest

from forecast_rig import HISTORY, WILD, service, tick, warmed
from loads import (
    HORIZON_SECONDS,
    KEY,
    InstantTrainer,
    network,
    random_walk,
    seasonal_load,
    window_of,
)
from modelscaler.api.words import ConditionReason


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    network().save(tmp_path / "shipped.safetensors")
    return tmp_path


def test_training_is_tried_again_when_it_has_failed_and_the_back_off_is_over(folder: Path) -> None:
    load, trainer = seasonal_load(HISTORY + 60), InstantTrainer()
    trainer.fails = True
    forecasting = warmed(folder, load, trainer)
    tick(forecasting, HISTORY, load[HISTORY])
    trainer.fails = False

    tried = []
    for i in range(1, 20):
        tick(forecasting, HISTORY + i, load[HISTORY + i])
        tried.append(len(trainer.jobs))

    assert tried[:14] == [1] * 14  # 30 s of 2 s steps
    assert tried[-1] == 2
    assert forecasting.healthy(KEY)[0]


def test_a_network_loses_its_share_within_minutes_when_it_goes_wrong(folder: Path) -> None:
    load = seasonal_load(HISTORY + 40)
    forecasting = warmed(folder, load, InstantTrainer(off=WILD))

    answers = [tick(forecasting, HISTORY + i, load[HISTORY + i]) for i in range(20)]

    shares = [dict(answer.shares).get("tuned", 0.0) for answer in answers if answer is not None]
    assert max(shares) > 0.0  # it joined
    assert shares[-1] == 0.0
    assert answers[-1] is not None
    assert answers[-1].peak(0.9, HORIZON_SECONDS) < 3.0 * load.max()


def test_the_condition_says_so_within_minutes_when_the_load_leaves_what_was_forecast(folder: Path) -> None:
    load = seasonal_load(HISTORY + 40)
    forecasting = warmed(folder, load)
    for i in range(10):
        tick(forecasting, HISTORY + i, load[HISTORY + i])
    before = forecasting.healthy(KEY)

    for i in range(10, 30):  # it grows faster and faster
        tick(forecasting, HISTORY + i, load[HISTORY + i] * 1.3 ** (i - 9) ** 1.2)

    assert before[0]
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.COVERAGE_LOST)


def test_the_forecast_ends_when_readings_stay_away_for_long(folder: Path) -> None:
    load = random_walk(HISTORY + 60)
    forecasting = warmed(folder, load)

    answers = [tick(forecasting, HISTORY + i, None) for i in range(40)]

    assert answers[5] is not None
    assert len(answers[5].rps) == 8
    assert answers[5].peak(0.95, 16.0) > 0.8 * load[HISTORY - 1]  # a gap is no zero
    assert answers[-1] is None
    assert forecasting.healthy(KEY)[:2] == (False, ConditionReason.NO_HISTORY)


def test_the_first_forecast_is_as_good_as_before_when_the_operator_restarts(folder: Path) -> None:
    load = seasonal_load(HISTORY + 40, seed=5)
    steady = warmed(folder, load)
    for step in range(HISTORY, HISTORY + 39):
        tick(steady, step, load[step])
    restarted = service(folder)
    restarted.load_history(KEY, window_of(load[: HISTORY + 39]))

    before = tick(steady, HISTORY + 39, load[HISTORY + 39], model="Baselines")
    after = tick(restarted, HISTORY + 39, load[HISTORY + 39], model="Baselines")

    assert before is not None
    assert after is not None
    assert after.shares[0][0] == before.shares[0][0]
    np.testing.assert_allclose(after.peak_rps[:, 2], before.peak_rps[:, 2], rtol=0.25)
