"""Ask every method for every case, and score what they said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelscaler.backtest.cases import Case
from modelscaler.backtest.method import Method, Progress, Quantiles, silent
from modelscaler.backtest.naive import NAIVES
from modelscaler.backtest.scoring import CellScore, score
from modelscaler.forecast.base import QUANTILES, TARGETS


class MethodError(Exception):
    """A method did not answer what it was asked."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """What was asked, said and scored.

    Attributes:
        cases: What was asked.
        methods: Names of the methods compared, without the naive ones, in the order they were given.
        forecasts: By method (naive ones too) what it said to each case; see `Method.forecast` for the shapes.
        scores: For each case, horizon and target.
        seed: Of the bootstrap.
    """

    cases: tuple[Case, ...]
    methods: tuple[str, ...]
    forecasts: Mapping[str, Sequence[Quantiles]]
    scores: tuple[CellScore, ...]
    seed: int

    def case(self, trace: str) -> Case:
        """Return what was asked of a trace."""
        return next(case for case in self.cases if case.trace.name == trace)

    def said(self, method: str, trace: str) -> Quantiles:
        """Return what a method said of a trace."""
        place = next(place for place, case in enumerate(self.cases) if case.trace.name == trace)
        return self.forecasts[method][place]


def run(cases: Sequence[Case], methods: Sequence[Method], progress: Progress, seed: int = 0) -> Backtest:
    """Run a backtest of methods beside the naive forecasts.

    Raises:
        MethodError: a method answered with another shape than it was asked for.
    """
    progress("naive forecasts", 0, len(cases))
    forecasts = {method.name: _asked(method, cases, silent) for method in NAIVES}
    forecasts |= {method.name: _asked(method, cases, progress) for method in methods}
    scores: list[CellScore] = []
    for place, case in enumerate(cases):
        progress(f"scoring {case.trace.name}", place, len(cases))
        scores += score(case, {name: said[place] for name, said in forecasts.items()}, seed)
    progress("scored", len(cases), len(cases))
    return Backtest(tuple(cases), tuple(method.name for method in methods), forecasts, tuple(scores), seed)


def _asked(method: Method, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
    said = method.forecast(cases, progress)
    if len(said) != len(cases):
        raise MethodError(f"{method.name}: answered {len(said)} cases, expected {len(cases)}")
    for case, quantiles in zip(cases, said, strict=True):
        expected = (len(case.horizons), TARGETS, len(case.origins), len(QUANTILES))
        if quantiles.shape != expected:
            raise MethodError(f"{method.name} on {case.trace.name}: got shape {quantiles.shape}, expected {expected}")
    return [np.asarray(quantiles, dtype=np.float32) for quantiles in said]
