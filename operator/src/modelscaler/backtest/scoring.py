"""How good forecasts were: loss, coverage, and the ratio to the best naive forecast with hindsight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.backtest.bootstrap import ratio, ratio_interval
from modelscaler.backtest.cases import Case
from modelscaler.backtest.coverage import DayCoverage, coverage_by_day
from modelscaler.backtest.method import Quantiles
from modelscaler.backtest.naive import NAIVES
from modelscaler.backtest.targets import TARGET_NAMES, targets
from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats
from modelscaler.forecast.base import pinball

NAIVE_NAMES: Final = tuple(naive.name for naive in NAIVES)
BEST_NAIVE: Final = "best naive"
# A method that can tell at fewer origins than this share is not compared, rather than that all others are judged by those.
LEAST_KNOWN_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class MethodScore:
    """How good one method was; arrays have one figure per quantile.

    Attributes:
        loss: Mean pinball loss, rps.
        ratio: That loss divided by the best naive's, which is chosen with hindsight for each quantile; 1 when both are 0.
        interval: Bounds of that ratio by moving-block bootstrap, shape (quantiles, 2).
        coverage: Share of outcomes at or below the quantile.
        by_day: The same for each day (UTC) of the test section.
    """

    loss: Floats
    ratio: Floats
    interval: Floats
    coverage: Floats
    by_day: DayCoverage


@dataclass(frozen=True, slots=True)
class CellScore:
    """How good all methods were at one trace, horizon and target, on the same origins.

    Attributes:
        trace: Name of the trace.
        ahead: The horizon in steps.
        horizon_seconds: The same in seconds.
        target: "value" or "peak".
        origins: How many origins were scored.
        possible: How many were asked for and have a known outcome.
        best_naive: Which naive forecast was the best at each quantile, with hindsight.
        methods: The scores by name of method.
        left_out: Why methods were not compared, by name.
    """

    trace: str
    ahead: int
    horizon_seconds: float
    target: str
    origins: int
    possible: int
    best_naive: tuple[str, ...]
    methods: Mapping[str, MethodScore]
    left_out: Mapping[str, str]


def score(case: Case, forecasts: Mapping[str, Quantiles], seed: int) -> list[CellScore]:
    """Score all methods on a trace.

    Args:
        case: What was asked.
        forecasts: By method, shape (horizons, targets, origins, quantiles); the eight naive ones must be among them.
        seed: Of the bootstrap.
    """
    cells = []
    for row, ahead in enumerate(case.horizons):
        for column, outcome in enumerate(targets(case.trace.rps, ahead)):
            said = {name: np.asarray(quantiles[row, column], dtype=np.float64) for name, quantiles in forecasts.items()}
            cells.append(_cell(case, ahead, column, outcome[case.origins], said, seed))
    return cells


def best_naive_names(losses: Mapping[str, Floats]) -> tuple[str, ...]:
    """Return which naive forecast has the least mean loss at each quantile, given losses of shape (m, quantiles) by name."""
    means = np.stack([losses[name].mean(axis=0) for name in NAIVE_NAMES])
    return tuple(NAIVE_NAMES[place] for place in means.argmin(axis=0))


def _cell(case: Case, ahead: int, column: int, actual: Floats, said: Mapping[str, Floats], seed: int) -> CellScore:
    known = np.isfinite(actual)
    compared, left_out = _comparable(said, known)
    for name in compared:
        known &= np.isfinite(said[name]).all(axis=1)
    origins, actual = case.origins[known], actual[known]
    best: tuple[str, ...] = ()
    methods: dict[str, MethodScore] = {}
    if len(origins):
        kept = {name: said[name][known] for name in compared}
        best, methods = _compare(case, ahead, origins, actual, kept, seed)
    return CellScore(
        trace=case.trace.name,
        ahead=ahead,
        horizon_seconds=case.seconds(ahead),
        target=TARGET_NAMES[column],
        origins=len(origins),
        possible=int(np.isfinite(targets(case.trace.rps, ahead)[column][case.origins]).sum()),
        best_naive=best,
        methods=methods,
        left_out=left_out,
    )


def _comparable(said: Mapping[str, Floats], known: NDArray[np.bool_]) -> tuple[list[str], dict[str, str]]:
    """Return the methods that can be compared, and why others cannot."""
    compared, left_out = [], {}
    possible = int(known.sum())
    for name, quantiles in said.items():
        told = int((np.isfinite(quantiles).all(axis=1) & known).sum())
        if name in NAIVE_NAMES or told >= LEAST_KNOWN_SHARE * possible:
            compared.append(name)
        else:
            left_out[name] = f"forecasts at {told} of {possible} origins"
    return compared, left_out


def _compare(
    case: Case, ahead: int, origins: Ints, actual: Floats, said: Mapping[str, Floats], seed: int
) -> tuple[tuple[str, ...], dict[str, MethodScore]]:
    losses = {name: pinball(actual, quantiles) for name, quantiles in said.items()}
    best = best_naive_names(losses)
    bar = np.stack([losses[name][:, place] for place, name in enumerate(best)], axis=1)
    reached = np.stack([said[name][:, place] for place, name in enumerate(best)], axis=1)
    days = case.trace.day_numbers(origins + ahead)
    block = max(round(case.trace.steps_per_day / case.every), 1)
    scores = {
        name: _method_score(actual, quantiles, loss, bar, days, block, seed)
        for (name, quantiles), loss in zip([*said.items(), (BEST_NAIVE, reached)], [*losses.values(), bar], strict=True)
    }
    return best, scores


def _method_score(
    actual: Floats, quantiles: Floats, loss: Floats, bar: Floats, days: Ints, block: int, seed: int
) -> MethodScore:
    below = actual[:, None] <= quantiles
    return MethodScore(
        loss=loss.mean(axis=0),
        ratio=ratio(loss.mean(axis=0), bar.mean(axis=0)),
        interval=ratio_interval(loss, bar, block, seed),
        coverage=below.mean(axis=0),
        by_day=coverage_by_day(below, days),
    )
