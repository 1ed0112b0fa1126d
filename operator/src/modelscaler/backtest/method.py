"""What every forecaster that is scored offers."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.backtest.cases import Case
from modelscaler.forecast.base import QUANTILES, TARGETS

Quantiles: TypeAlias = NDArray[np.floating[Any]]

CHAMPION: Final = "modelscaler"


class Progress(Protocol):
    """Is told how far something has come."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take note that `done` of `total` parts of it are done."""
        ...


class Method(Protocol):
    """Forecasts every case; stateless, so that it can be asked again."""

    @property
    def name(self) -> str:
        """One word for tables and files."""
        ...

    def forecast(self, cases: Sequence[Case], progress: Progress) -> Sequence[Quantiles]:
        """Forecast every case.

        All cases come at once because a fleet's model is shared: every case's clock is its own, and what a shared model learns
        of any trace ends at that trace's own split.

        Args:
            cases: What is asked. From origin t a method may look at `rps[: t + 1]` only.
            progress: Is told how far it has come.

        Returns:
            For each case quantiles in rps, shape (horizons, targets, origins, quantiles); NaN where it cannot tell.
        """
        ...


def is_ours(name: str) -> bool:
    """Return whether a method is ours, in one form or another."""
    return name.startswith(CHAMPION)


def answered(
    name: str, cases: Sequence[Case], progress: Progress, answer: Callable[[Case], Quantiles]
) -> list[Quantiles]:
    """Forecast every case by itself, and tell how far it has come."""
    answers = []
    for done, case in enumerate(cases):
        progress(f"{name} {case.trace.name}", done, len(cases))
        answers.append(answer(case))
    return answers


def silent(what: str, done: int, total: int) -> None:
    """Take no note of progress."""


def unknown(case: Case) -> NDArray[np.float32]:
    """Return forecasts of a case that say nothing yet."""
    return np.full((len(case.horizons), TARGETS, len(case.origins), len(QUANTILES)), np.nan, dtype=np.float32)
