"""A forecasting service for one ModelDeployment, and its ticks."""

from pathlib import Path
from typing import Literal

from loads import (
    HORIZON_SECONDS,
    KEY,
    SEASON_STEPS,
    STEP_SECONDS,
    InstantTrainer,
    settings,
    time_of,
    window_of,
)
from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.network import Network
from modelscaler.forecast.service import Forecasting, ForecastingSettings
from modelscaler.forecast.tuition import Lessons

HISTORY = 6 * SEASON_STEPS
WILD = 5.0
"""Typical errors, squashed: seventy times as far as the load usually is."""


def service(folder: Path, trainer: InstantTrainer | None = None, shipped: Network | None = None) -> Forecasting:
    """Return a service with a shipped network that says the anchor, unless another one is given."""
    weights = folder / "shipped.safetensors"
    if shipped is not None:
        shipped.save(weights)
    made = Forecasting(
        ForecastingSettings(STEP_SECONDS, lessons=Lessons(600.0), weights=weights, state=folder / "state"),
        trainer or InstantTrainer(),
    )
    made.start()
    return made


def warmed(folder: Path, load: Floats, trainer: InstantTrainer | None = None) -> Forecasting:
    """Return a service that has read all of a load but what comes after `HISTORY`."""
    made = service(folder, trainer)
    made.load_history(KEY, window_of(load[:HISTORY]))
    return made


def tick(
    forecasting: Forecasting,
    step: int,
    rps: float | None,
    model: Literal["Auto", "Baselines"] = "Auto",
    horizon_seconds: float = HORIZON_SECONDS,
) -> QuantileForecast | None:
    forecasting.observe(KEY, time_of(step), rps)
    return forecasting.forecast(time_of(step), {KEY: (settings(model), horizon_seconds)})[KEY]
