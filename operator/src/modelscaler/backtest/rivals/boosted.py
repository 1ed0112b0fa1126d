"""Gradient boosting per trace: one model per quantile, refitted as the test section goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from modelscaler.backtest.cases import REFIT_SHARES, Case
from modelscaler.backtest.method import Progress, Quantiles, answered, unknown
from modelscaler.backtest.rivals.framing import Frame, Framed, framed
from modelscaler.backtest.targets import targets
from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats
from modelscaler.forecast.base import QUANTILES

MOST_ROWS: Final = 8000
FEWEST_ROWS: Final = 50
SEED: Final = 20_000


class Regressor(Protocol):
    """What scikit-learn's and LightGBM's regressors share."""

    def fit(self, features: Floats, target: Floats) -> Any:
        """Fit to rows."""
        ...

    def predict(self, features: Floats) -> Any:
        """Return one figure per row."""
        ...


MakeRegressor: TypeAlias = Callable[[float], Regressor]


@dataclass(frozen=True, slots=True)
class Boosted:
    """Quantile regression by boosted trees; `make` returns an unfitted regressor for a quantile."""

    name: str
    frame: Frame
    make: MakeRegressor
    refit_shares: tuple[float, ...] = REFIT_SHARES

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        """Forecast every case."""
        return answered(self.name, cases, progress, self._answer)

    def _answer(self, case: Case) -> Quantiles:
        answer = unknown(case)
        for row, ahead in enumerate(case.horizons):
            for column, track in enumerate(targets(case.trace.rps, ahead)):
                if ahead == 1 and column > 0:  # a maximum over one step is its value
                    answer[row, column] = answer[row, 0]
                    continue
                rows = framed(case, track, ahead, self.frame)
                for cut, asked in sections(case, self.refit_shares):
                    answer[row, column, asked] = fitted_quantiles(self.make, rows, cut - ahead, case.origins[asked])
        return answer


def sections(case: Case, shares: Sequence[float]) -> Iterator[tuple[int, Ints]]:
    """Yield (what a refit may know: indices up to and with it, places of the origins it serves)."""
    count = len(case.trace.rps)
    cuts = [max(round(share * count), case.split) for share in shares]
    for cut, until in zip(cuts, [*cuts[1:], count], strict=True):
        asked = np.flatnonzero((case.origins >= cut) & (case.origins < until))
        if len(asked):
            yield cut, asked


def fitted_quantiles(make: MakeRegressor, rows: Framed, last: int, origins: Ints) -> Floats:
    """Fit to origins up to `last`, whose outcomes are known, and forecast; NaN with fewer than FEWEST_ROWS rows."""
    chosen = training_rows(rows.target, last)
    if len(chosen) < FEWEST_ROWS:
        return np.full((len(origins), len(QUANTILES)), np.nan)
    told = np.isfinite(rows.features[chosen]).any(axis=0)
    past, asked = rows.features[np.ix_(chosen, told)], rows.features[np.ix_(origins, told)]
    regressors = [make(level) for level in QUANTILES]  # made first: the limit holds for libraries that are loaded
    with threadpool_limits(limits=1):  # threads that wait for each other make it ten times slower on a busy machine
        models = [regressor.fit(past, rows.target[chosen]) for regressor in regressors]
        said = np.stack([model.predict(asked) for model in models], axis=1)
    return rows.back(origins, said)


def training_rows(target: Floats, last: int) -> Ints:
    """Return at most MOST_ROWS origins up to `last` with known targets, chosen at random, increasing."""
    known = np.flatnonzero(np.isfinite(target[: max(last + 1, 0)]))
    if len(known) <= MOST_ROWS:
        return known
    return np.sort(np.random.default_rng(SEED).choice(known, MOST_ROWS, replace=False))
