"""The scores that tables and pictures show, and their geometric means over traces."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from modelscaler.backtest.cases import FINE_STEP_SECONDS, MAIN_HORIZON_SECONDS, Case, steps_of
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import BEST_NAIVE, CellScore
from modelscaler.domain import Floats
from modelscaler.forecast.base import QUANTILES

# A shorter trace has too few days to judge by: it is shown, and not in a mean.
LEAST_DAYS: Final = 3.0
# The mean of logarithms needs a least ratio; a method without any loss would make it minus infinity.
LEAST_RATIO: Final = 1e-3


@dataclass(frozen=True, slots=True)
class MeanRatio:
    """The geometric mean over traces of a method's ratio to the best naive forecast.

    Attributes:
        horizon_seconds: The horizon that was asked for; where a step is longer, that step's forecast counts.
        fine: Whether it is over the traces with steps below a minute; else over the others.
        target: "value" or "peak"; a peak over a single step is its value and does not count.
        method: Its name.
        traces: The traces it is over.
        ratio: Shape (quantiles,).
    """

    horizon_seconds: float
    fine: bool
    target: str
    method: str
    traces: tuple[str, ...]
    ratio: Floats


def main_cells(found: Backtest, horizon_seconds: float = MAIN_HORIZON_SECONDS) -> list[CellScore]:
    """Return the scores at a horizon, for each trace the one that covers it; without those of what was not asked."""
    ahead = {case.trace.name: steps_of(horizon_seconds, case.trace.step_seconds) for case in found.cases}
    return [cell for cell in found.scores if cell.ahead == ahead[cell.trace]]


def long_enough(case: Case) -> bool:
    """Return whether a trace is long enough to be in a mean."""
    return case.trace.days >= LEAST_DAYS - case.trace.step_seconds / 86_400.0


def is_news(cell: CellScore) -> bool:
    """Return whether a score is not told already: a peak over a single step is its value."""
    return cell.target == "value" or cell.ahead > 1


def mean_ratios(found: Backtest, horizons_seconds: Iterable[float]) -> list[MeanRatio]:
    """Return the means of every method at each of these horizons, over traces of whole minutes and over finer ones."""
    means: list[MeanRatio] = []
    for horizon_seconds in horizons_seconds:
        for fine, target in product((False, True), ("value", "peak")):
            cells = [cell for cell in main_cells(found, horizon_seconds) if cell.target == target]
            counted = [cell for cell in cells if _counts(cell, found.case(cell.trace), fine, horizon_seconds)]
            means += [_mean(counted, horizon_seconds, fine, target, method) for method in found.methods]
    return [mean for mean in means if mean.traces]


def _counts(cell: CellScore, case: Case, fine: bool, horizon_seconds: float) -> bool:
    step_seconds = case.trace.step_seconds
    within = step_seconds <= horizon_seconds or horizon_seconds == MAIN_HORIZON_SECONDS
    return within and is_news(cell) and long_enough(case) and (step_seconds < FINE_STEP_SECONDS) == fine


def compared_names(found: Backtest) -> list[str]:
    """Return the methods that tables show: the compared ones, and the best naive with hindsight."""
    return [*found.methods, BEST_NAIVE]


def _mean(cells: Sequence[CellScore], horizon_seconds: float, fine: bool, target: str, method: str) -> MeanRatio:
    of = [cell for cell in cells if method in cell.methods]
    ratios = np.stack([cell.methods[method].ratio for cell in of]) if of else np.full((1, len(QUANTILES)), np.nan)
    mean = np.exp(np.log(np.maximum(ratios, LEAST_RATIO)).mean(axis=0))
    return MeanRatio(horizon_seconds, fine, target, method, tuple(cell.trace for cell in of), mean)
