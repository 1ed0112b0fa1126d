"""A method's median with the quantiles of its own errors: fairer to models whose intervals know nothing of peaks or noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelscaler.backtest.cases import Case
from modelscaler.backtest.expanding import expanding_quantiles
from modelscaler.backtest.method import Method, Progress, Quantiles
from modelscaler.backtest.targets import targets
from modelscaler.forecast.base import QUANTILES

MEDIAN = QUANTILES.index(0.5)


@dataclass(frozen=True)
class OwnErrors:
    """Quantiles from the errors of a method's median so far; until enough are known, the method's own quantiles."""

    method: Method

    @property
    def name(self) -> str:
        """Name of the method, and that errors were added."""
        return f"{self.method.name}+errors"

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        """Forecast every case."""
        said = self.method.forecast(cases, progress)
        return [_with_errors(case, quantiles) for case, quantiles in zip(cases, said, strict=True)]


def _with_errors(case: Case, said: Quantiles) -> Quantiles:
    answer = np.array(said, dtype=np.float32)
    for row, ahead in enumerate(case.horizons):
        for column, track in enumerate(targets(case.trace.rps, ahead)):
            guess = np.full(len(track), np.nan)
            guess[case.origins] = said[row, column, :, MEDIAN]
            errors = expanding_quantiles(track - guess, case.origins, ahead)
            told = np.maximum(guess[case.origins, None] + errors, 0.0)
            answer[row, column] = np.where(np.isfinite(errors), told, said[row, column])
    return answer
