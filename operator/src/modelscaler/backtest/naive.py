"""Naive forecasts: a rule, and around it the quantiles of the errors it made before."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal, TypeAlias

import numpy as np

from modelscaler.backtest.cases import Case
from modelscaler.backtest.expanding import expanding_quantiles
from modelscaler.backtest.method import Progress, Quantiles, answered, unknown
from modelscaler.backtest.shifting import earlier
from modelscaler.backtest.targets import targets
from modelscaler.backtest.trace import Trace
from modelscaler.domain import Floats

RuleName: TypeAlias = Literal["last", "ma30", "snaive", "last+day"]
ErrorKind: TypeAlias = Literal["additive", "multiplicative"]

RULES: Final[tuple[RuleName, ...]] = ("last", "ma30", "snaive", "last+day")
KINDS: Final[tuple[ErrorKind, ...]] = ("additive", "multiplicative")

MEAN_SECONDS: Final = 1800.0
FEWEST_MEAN_STEPS: Final = 3
# A ratio to almost nothing says nothing: it is taken to at least this share of the mean load so far.
FLOOR_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Naive:
    """A rule with quantiles of its errors so far, added to it or multiplied with it.

    Where the rule cannot tell, as where yesterday is missing, the last value with its own errors stands in.
    """

    rule: RuleName
    kind: ErrorKind

    @property
    def name(self) -> str:
        """Name of the rule and of how errors are taken."""
        return f"{self.rule}/{self.kind[:3]}"

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        """Forecast every case."""
        return answered(self.name, cases, progress, lambda case: naive_quantiles(case, self.rule, self.kind))


NAIVES: Final = tuple(Naive(rule, kind) for rule, kind in product(RULES, KINDS))


def naive_quantiles(case: Case, rule: RuleName, kind: ErrorKind) -> Quantiles:
    """Return the quantiles of one rule; see `Method.forecast` for the shape.

    A rule guesses the value; how far the maximum goes beyond that guess is left to the errors.
    """
    answer = unknown(case)
    for row, ahead in enumerate(case.horizons):
        guess = points(case.trace, ahead, rule)
        for column, track in enumerate(targets(case.trace.rps, ahead)):
            answer[row, column] = _at_origins(case, guess, track, ahead, kind)
    return answer


def points(trace: Trace, ahead: int, rule: RuleName) -> Floats:
    """Return what a rule says of the value `ahead` steps after every origin, shape (n,), NaN where it cannot tell."""
    rps, day = trace.rps, trace.steps_per_day
    match rule:
        case "last":
            return rps
        case "ma30":
            return trailing_mean(rps, max(round(MEAN_SECONDS / trace.step_seconds), FEWEST_MEAN_STEPS))
        case "snaive":
            return _yesterday(rps, day, ahead)
        case "last+day":
            return np.maximum(rps + _yesterday(rps, day, ahead) - earlier(rps, day), 0.0)


def trailing_mean(rps: Floats, steps: int) -> Floats:
    """Return the mean of the known among the last `steps` values up to each index, shape (n,); NaN without any."""
    known = np.isfinite(rps)
    sums = np.concatenate((np.zeros(steps), np.cumsum(np.where(known, rps, 0.0))))
    counts = np.concatenate((np.zeros(steps), np.cumsum(known)))
    within = counts[steps:] - counts[: len(rps)]
    total = np.maximum(sums[steps:] - sums[: len(rps)], 0.0)  # rounding leaves less than nothing
    return np.where(within > 0, total / np.maximum(within, 1), np.nan)


def _yesterday(rps: Floats, day: int, ahead: int) -> Floats:
    return earlier(rps, day - ahead) if ahead <= day else np.full(len(rps), np.nan)


def _at_origins(case: Case, guess: Floats, track: Floats, ahead: int, kind: ErrorKind) -> Floats:
    quantiles = _with_errors(case, guess, track, ahead, kind)
    if np.isfinite(quantiles).all() or guess is case.trace.rps:
        return quantiles
    stand_in = _with_errors(case, case.trace.rps, track, ahead, kind)
    return np.where(np.isfinite(quantiles), quantiles, stand_in)


def _with_errors(case: Case, guess: Floats, track: Floats, ahead: int, kind: ErrorKind) -> Floats:
    if kind == "additive":
        scale = np.ones_like(guess)
    else:
        scale = np.maximum(guess, np.maximum(FLOOR_SHARE * mean_so_far(case.trace.rps), 1e-12))
    errors = expanding_quantiles((track - guess) / scale, case.origins, ahead)
    return np.maximum(guess[case.origins, None] + errors * scale[case.origins, None], 0.0)


def mean_so_far(rps: Floats) -> Floats:
    """Return the mean of the known values up to each index, 0 before the first, shape (n,)."""
    known = np.isfinite(rps)
    mean: Floats = np.cumsum(np.where(known, rps, 0.0)) / np.maximum(np.cumsum(known), 1)
    return mean
