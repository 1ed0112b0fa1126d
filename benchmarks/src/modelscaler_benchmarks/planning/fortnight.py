"""What it costs to replay two weeks of minutes with the operator's planner and its forecasts."""

import time
from datetime import UTC, datetime
from typing import Final

import numpy as np

from modelscaler.backtest.trace import Trace
from modelscaler.domain import Floats, PolicySettings
from modelscaler.forecast.networks import shipped_network
from modelscaler.replay.case import Case
from modelscaler.replay.foresight import foresee, history_of
from modelscaler.replay.load import Arrivals, Part, load_of
from modelscaler.replay.policies.ours import LEAD_SECONDS, Modelscaler
from modelscaler.replay.run import replay
from modelscaler.replay.standard import POOL, standard_workload

DAYS: Final = 14
STEP_SECONDS: Final = 60.0
START_SECONDS: Final = 60.0
MEAN_RPS: Final = 300.0
START: Final = datetime(2026, 3, 2, tzinfo=UTC)
MINUTES_A_DAY: Final = 1440


def fortnight_seconds(seed: int) -> float:
    """Return the CPU time for two weeks, forecasts from every minute and arrivals in quarters of a second included."""
    trace = Trace("generated", STEP_SECONDS, START, _rates(seed))
    workload = standard_workload(START_SECONDS, with_rung=True)
    network = shipped_network()
    if network is None:
        raise RuntimeError("the network that ships with the package cannot be read: install the package again")
    began = time.process_time()
    load = load_of(trace, Part(DAYS, 2.0 * DAYS), Arrivals(seed=seed))
    history = history_of(trace, load, DAYS, seed + 1)
    foresight = foresee(history, START_SECONDS + LEAD_SECONDS + STEP_SECONDS, network)
    replay(Case(workload, POOL, load), Modelscaler(foresight, load.start, PolicySettings()), 1)
    return time.process_time() - began


def _rates(seed: int) -> Floats:
    """Return the rate of every minute of four weeks: a daily wave, and noise that lasts a quarter of an hour."""
    random, minutes = np.random.default_rng(seed), np.arange(2 * DAYS * MINUTES_A_DAY)
    wave = 1.0 + 0.6 * np.sin(2.0 * np.pi * minutes / MINUTES_A_DAY)
    kernel = np.exp(-np.arange(45) / 15.0)
    noise = np.convolve(random.normal(0.0, 0.05, len(minutes)), kernel, "same")
    shaped: Floats = MEAN_RPS * wave * np.exp(noise)
    return shaped
