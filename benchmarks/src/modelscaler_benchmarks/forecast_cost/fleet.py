"""A fleet of generated series with two weeks of minutes, and the service that forecasts it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tqdm import tqdm

from modelscaler.domain import Floats, ForecastSettings, LoadWindow, WorkloadKey
from modelscaler.forecast.jobs import Outcome, TrainingJob
from modelscaler.forecast.network import Network, shapes
from modelscaler.forecast.networks import KEPT, features
from modelscaler.forecast.pipeline import PRETRAINED, TUNED
from modelscaler.forecast.service import Forecasting, ForecastingSettings

STEP_SECONDS = 60.0
HISTORY_STEPS = 14 * 1440
START = datetime(2026, 3, 2, tzinfo=UTC)
WIDTH, BLOCKS = 192, 2
"""Of the network, as that which ships."""


@dataclass(frozen=True)
class Measured:
    """The service with its keys and networks, and what is asked of each."""

    forecasting: Forecasting
    keys: list[WorkloadKey]
    networks: dict[str, Network]
    settings: ForecastSettings
    horizon_seconds: float

    def tick(self, minute: int, rng: np.random.Generator) -> datetime:
        """Give every series its reading of a minute after its history; return the time."""
        now = START + timedelta(seconds=STEP_SECONDS * (HISTORY_STEPS + minute))
        for key, rps in zip(self.keys, rng.gamma(20.0, 1.0, len(self.keys)).tolist(), strict=True):
            self.forecasting.observe(key, now, rps)
        return now

    def forecast(self, now: datetime) -> int:
        """Forecast everything; return how many forecasts came."""
        asked = dict.fromkeys(self.keys, (self.settings, self.horizon_seconds))
        return sum(answer is not None for answer in self.forecasting.forecast(now, asked).values())


class NoTrainer:
    """Never trains."""

    busy = False

    def submit(self, job: TrainingJob) -> None:
        """Nothing is trained here."""

    def poll(self) -> Outcome | None:
        """Nothing ever comes."""

    def close(self) -> None:
        """Nothing runs."""


@contextmanager
def fleet(series: int, steps: int, warmed_at_once: int, seed: int) -> Iterator[Measured]:
    """Yield a service that has read the history of so many series; both networks serve, with weights of chance."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="forecast-cost-") as folder:
        state = Path(folder)
        networks = {TUNED: network(rng), PRETRAINED: network(rng)}
        networks[TUNED].save(state / KEPT[False])
        networks[PRETRAINED].save(state / "shipped.safetensors")
        settings = ForecastingSettings(
            STEP_SECONDS, warmed_at_once=warmed_at_once, weights=state / "shipped.safetensors", state=state
        )
        forecasting = Forecasting(settings, NoTrainer())
        keys = [WorkloadKey("fleet", f"model-{number:05}") for number in range(series)]
        for key in tqdm(keys, desc="history", leave=False):
            forecasting.load_history(key, history(rng))
        asked = ForecastSettings(0.95, 1_209_600.0, 86_400.0, "Auto")
        yield Measured(forecasting, keys, networks, asked, steps * STEP_SECONDS)
        forecasting.close()


def history(rng: np.random.Generator) -> LoadWindow:
    """Return two weeks of minutes with a daily swing, noise and a few gaps."""
    minutes = np.arange(HISTORY_STEPS)
    swing = 20.0 + 10.0 * np.sin(2.0 * np.pi * (minutes / 1440.0 + rng.random()))
    load: Floats = swing * rng.gamma(20.0, 0.05, HISTORY_STEPS)
    load[rng.integers(0, HISTORY_STEPS, 40)] = np.nan
    return LoadWindow(STEP_SECONDS, START + timedelta(seconds=STEP_SECONDS * (HISTORY_STEPS - 1)), load)


def network(rng: np.random.Generator) -> Network:
    """Return a network as large as the one that ships, with weights of chance: how long it takes is the same."""
    made = {name: 0.03 * rng.standard_normal(shape) for name, shape in shapes(features(), WIDTH, BLOCKS).items()}
    return Network({name: weights.astype(np.float32) for name, weights in made.items()}, {})
