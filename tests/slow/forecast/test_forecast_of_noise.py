"""No forecast finds structure where there is none."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from loads import InstantTrainer, network, random_walk, settings, time_of, window_of
from modelscaler.domain import Floats, QuantileForecast, WorkloadKey
from modelscaler.forecast.base import QUANTILES
from modelscaler.forecast.service import Forecasting, ForecastingSettings

MEDIAN = QUANTILES.index(0.5)


def served(loads: Floats, history: int, ahead: int, folder: Path) -> tuple[Floats, Floats]:
    """Serve loads of shape (series, steps) live after a history; return medians `ahead` steps on and what came, (series, n)."""
    network().save(folder / "shipped.safetensors")
    forecasting = Forecasting(ForecastingSettings(2.0, weights=folder / "shipped.safetensors"), InstantTrainer())
    keys = [WorkloadKey("shop", f"model-{number:03}") for number in range(len(loads))]
    for key, load in zip(keys, loads, strict=True):
        forecasting.load_history(key, window_of(load[:history]))
    asked = {key: (settings(), ahead * 2.0) for key in keys}
    medians = []
    for step in range(history, loads.shape[1] - ahead):
        for key, load in zip(keys, loads, strict=True):
            forecasting.observe(key, time_of(step), load[step])
        answers = forecasting.forecast(time_of(step), asked)
        medians.append([median(answers, key, ahead) for key in keys])
    return np.array(medians).T, loads[:, history + ahead :]


def median(answers: Mapping[WorkloadKey, QuantileForecast | None], key: WorkloadKey, ahead: int) -> float:
    answer = answers[key]
    assert answer is not None
    return float(answer.rps[ahead - 1, MEDIAN])


def test_a_random_walk_is_forecast_as_well_as_by_its_last_value(tmp_path: Path) -> None:
    loads = np.stack([random_walk(616, seed) for seed in range(36)])

    medians, came = served(loads, history=600, ahead=4, folder=tmp_path)

    ratio = np.abs(medians - came).mean() / np.abs(loads[:, 600:612] - came).mean()
    assert 0.93 < ratio < 1.07


def test_nothing_is_gained_on_the_mean_when_load_is_independent_noise(tmp_path: Path) -> None:
    loads = 20.0 + 4.0 * np.random.default_rng(5).standard_normal((36, 616))

    medians, came = served(loads, history=600, ahead=4, folder=tmp_path)

    ratio = np.abs(medians - came).mean() / np.abs(20.0 - came).mean()
    assert 0.97 < ratio < 1.15
