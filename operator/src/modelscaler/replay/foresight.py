"""The forecasts of a replay: the operator's own, made from every step of the recorded load with what was known by then.

They are made once for a load, not in each run: no policy can change what arrives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from modelscaler.backtest.champion import WARM_UP_SECONDS, Tuner, served_from
from modelscaler.backtest.trace import DAY_SECONDS, Trace
from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.assembling import between
from modelscaler.forecast.base import QUANTILES, coherent, steps_within
from modelscaler.forecast.network import Network
from modelscaler.forecast.own import NONE, Own
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.pipeline import PRETRAINED, TUNED, rungs_to
from modelscaler.replay.load import Load, rate_at

HISTORY_STEP_SECONDS: Final = 60.0
LEAST_HISTORY_DAYS: Final = 3.0  # less is not worth retuning on


@dataclass(frozen=True, slots=True)
class History:
    """Load as a monitoring system recorded it, before a replay and during it.

    Attributes:
        start: Of the first step, UTC.
        step_seconds: Length of a step.
        rps: Mean rate of each step, shape (steps,).
        first: The step with which the replay begins.
    """

    start: datetime
    step_seconds: float
    rps: Floats
    first: int

    @property
    def panel(self) -> Panel:
        """The same as a panel of one series."""
        return Panel.of(self.rps[None], self.step_seconds, round(self.start.timestamp() / self.step_seconds))


def history_of(trace: Trace, load: Load, lookback_days: float, seed: int) -> History:
    """Return what was recorded by the end of a load: its own arrivals, and before them those of the trace.

    Args:
        trace: The trace that the load is a part of.
        load: The load.
        lookback_days: How far back from its beginning; the trace's beginning at most.
        seed: Of the arrivals before the load.
    """
    step = HISTORY_STEP_SECONDS
    begins = (load.start - trace.start).total_seconds()
    before = int(min(lookback_days * DAY_SECONDS, begins) // step)
    expected = rate_at(trace, begins + (np.arange(-before, 0) + 0.5) * step) * _scale(trace, load)
    drawn = np.random.default_rng(seed).poisson(expected * step) / step
    return History(
        start=load.start - timedelta(seconds=before * step),
        step_seconds=step,
        rps=np.concatenate([drawn, load.measured_rps(step)]),
        first=before,
    )


def _scale(trace: Trace, load: Load) -> float:
    """Return by what the load was scaled against its trace: the least ratio anywhere, as flash crowds only add to it."""
    begins = (load.start - trace.start).total_seconds()
    was = rate_at(trace, begins + (np.arange(len(load.expected_rps)) + 0.5) * load.slot_seconds)
    some = was > 0.0
    return float((load.expected_rps[some] / was[some]).min()) if some.any() else 1.0


@dataclass(frozen=True, slots=True)
class Foresight:
    """Forecasts from the end of every step.

    Attributes:
        start: When the first forecast is made.
        wait_seconds: From the replay's beginning until then.
        step_seconds: Between forecasts, and the step they are made for.
        quantiles: Shape (2, forecasts, steps, quantiles): of the value and of the peak, of every step ahead.
        usual: Mean load of the day before each, in rps, shape (forecasts,).
    """

    start: datetime
    wait_seconds: float
    step_seconds: float
    quantiles: Floats
    usual: Floats

    def at(self, seconds: float, lag_seconds: float) -> QuantileForecast | None:
        """Return the newest forecast at a time of the replay; None before there is one.

        Args:
            seconds: Since the replay began.
            lag_seconds: How long it takes until a sample is there to forecast from.
        """
        row = int((seconds - self.wait_seconds - lag_seconds) // self.step_seconds)
        row = min(row, self.quantiles.shape[1] - 1)
        if row < 0:
            return None
        value, peak = self.quantiles[:, row]
        made_at = self.start + timedelta(seconds=row * self.step_seconds)
        usual_rps = float(self.usual[row])
        return QuantileForecast(
            made_at, self.step_seconds, QUANTILES, value, peak, "replayed", True, usual_rps=usual_rps
        )


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned from the days before a column, and serves from there on.

    Attributes:
        since: The column.
        network: The retuned network; None where there was too little for one.
        trees: The load's own trees by horizon in steps.
    """

    since: int
    network: Network | None
    trees: Mapping[int, Own]


def learned(history: History, tuner: Tuner, horizon_seconds: float) -> tuple[Learned, ...]:
    """Learn from what lies before a replay, as the operator does where it has few series.

    Twice: what was learned a day before serves on that day, so that the mix has heard its like when the replay begins, as it
    has in service. What learned from that day itself would know what came.

    Args:
        history: What was recorded.
        tuner: Who learns.
        horizon_seconds: How far ahead is asked at most.
    """
    day = round(DAY_SECONDS / history.step_seconds)
    least, rungs = LEAST_HISTORY_DAYS * day, _rungs(history, horizon_seconds)
    return tuple(
        _learned(history.panel, tuner, rungs, since) for since in (history.first - day, history.first) if since >= least
    )


def _learned(panel: Panel, tuner: Tuner, rungs: Sequence[int], since: int) -> Learned:
    network = tuner.tuned([panel], [since - 1], [rungs])
    return Learned(since, network, {ahead: tuner.grown(panel, since - 1, ahead) for ahead in rungs})


def foresee(
    history: History, horizon_seconds: float, shipped: Network | None, known: Sequence[Learned] = ()
) -> Foresight:
    """Forecast from every step of a replay.

    Args:
        history: What was recorded.
        horizon_seconds: How far ahead is asked at most.
        shipped: The network that ships with the package; it serves throughout.
        known: What was learned, each in the place of the one before.
    """
    panel, rungs = history.panel, _rungs(history, horizon_seconds)
    warm_up = min(panel.steps(WARM_UP_SECONDS), history.first // 2)
    first, before = history.first - warm_up, {} if shipped is None else {PRETRAINED: shipped}
    stages: list[tuple[float, dict[str, Network]]] = [(0.0, before)]
    for each in known:
        stages.append((each.since / panel.columns, {**before, TUNED: each.network} if each.network else before))
    kept = slice(max(warm_up - 1, 0), None)
    rows = []
    for ahead in rungs:
        grown = [NONE, *(each.trees[ahead] for each in known)]
        rows.append(served_from(panel, first, ahead, stages, grown)[:, kept])
    wait_seconds = 0.0 if warm_up else history.step_seconds  # without history the first forecast is from the first step
    start = history.start + timedelta(seconds=history.first * history.step_seconds + wait_seconds)
    every = coherent(between(np.stack(rows), rungs, 1, rungs[-1]))
    day = panel.steps(DAY_SECONDS)
    usual = panel.mean(np.arange(panel.columns - every.shape[1], panel.columns), 0, day)[0]
    return Foresight(start, wait_seconds, history.step_seconds, every, np.nan_to_num(usual).astype(np.float64))


def _rungs(history: History, horizon_seconds: float) -> tuple[int, ...]:
    return rungs_to(steps_within(horizon_seconds, history.step_seconds))
