"""AutoETS and MSTL of statsforecast, refitted as the test section goes on, filtered at the origins between."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import numpy as np
from statsforecast.models import MSTL, AutoETS

from modelscaler.backtest.cases import REFIT_SHARES, Case
from modelscaler.backtest.method import Progress, Quantiles, answered, unknown
from modelscaler.backtest.rivals.boosted import sections
from modelscaler.domain import Floats
from modelscaler_benchmarks.forecast.coarse import Coarse, coarse

LEVELS: Final = [80, 90, 98]  # intervals whose bounds are our quantiles
COLUMNS: Final = ("lo-80", "mean", "hi-80", "hi-90", "hi-98")
FIT_DAYS: Final = 28
FILTER_STEPS: Final = 200
FEWEST_STEPS: Final = 30
# ETS itself takes seasons up to this long, as R's does; longer ones are MSTL's.
LONGEST_ETS_SEASON: Final = 24
MOST_FILTERED: Final = 1500  # per refit; between them the path of the last one holds


@dataclass(frozen=True)
class Season:
    """What repeats, by place on the coarse grid; `values` has shape (period,) for each period. None repeats without any."""

    periods: tuple[int, ...]
    values: tuple[Floats, ...]
    anchor: int
    group: int

    def at(self, indices: Any) -> Floats:
        """Return the sum of all seasons at indices of the trace, the nearest coarse place counting."""
        place = np.rint((np.asarray(indices) - self.anchor) / self.group).astype(np.int64)
        total = np.zeros(place.shape)
        for period, values in zip(self.periods, self.values, strict=True):
            total += values[place % period]
        return total


@dataclass(frozen=True)
class Statistical:
    """A model of statsforecast: ETS, after the seasons of MSTL were taken off when `seasonal`.

    `seconds_per_trace` bounds the time after which no further origin is filtered: what is left stays unknown.
    """

    name: str
    seasonal: bool
    seconds_per_trace: float = 600.0

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        """Forecast every case."""
        return answered(self.name, cases, progress, self._answer)

    def _answer(self, case: Case) -> Quantiles:
        answer, grid, until = unknown(case), coarse(case.trace), monotonic() + self.seconds_per_trace
        for cut, asked in sections(case, REFIT_SHARES):
            past = grid.until(cut, FIT_DAYS * grid.day)
            if len(past) < FEWEST_STEPS:
                continue
            season = seasons(grid, past, self.seasonal)
            period = 1 if self.seasonal or grid.day > LONGEST_ETS_SEASON else grid.day
            model = AutoETS(season_length=period, model="ZZN" if self.seasonal else "ZZZ")
            model = model.fit(grid.means[past] - season.at(past))
            self._filter(case, answer, grid, season, model, asked, until)
        return answer

    def _filter(
        self, case: Case, answer: Quantiles, grid: Coarse, season: Season, model: Any, asked: Any, until: float
    ) -> None:
        stride = min(-(-len(asked) // MOST_FILTERED), max(grid.group // case.every, 1))
        for first in range(0, len(asked), stride):
            if monotonic() > until:
                return
            places = asked[first : first + stride]
            origin = int(case.origins[places[0]])
            longest = grid.ahead(case.horizons[-1], int(case.origins[places[-1]]) - origin)
            path = path_of(grid, season, model, origin, longest)
            for place in places:
                waited = int(case.origins[place]) - origin
                for row, ahead in enumerate(case.horizons):
                    answer[row, :, place] = value_and_peak(path, grid, ahead, waited)


def seasons(grid: Coarse, past: Any, wanted: bool) -> Season:
    """Return the last cycle of each season that MSTL finds and the past has twice: days and weeks."""
    periods = [period for period in (grid.day, 7 * grid.day) if len(past) > 2 * period] if wanted else []
    if not periods:
        return Season((), (), int(past[-1]), grid.group)
    found = MSTL(season_length=periods, trend_forecaster=AutoETS(model="ZZN")).fit(grid.means[past]).model_
    columns = [name for name in found.columns if name.startswith("seasonal")]
    # Place 0 is the last mean; place p - period is p.
    cycles = [np.roll(found[name].to_numpy()[-period:], 1) for name, period in zip(columns, periods, strict=True)]
    return Season(tuple(periods), tuple(cycles), int(past[-1]), grid.group)


def path_of(grid: Coarse, season: Season, model: Any, origin: int, steps: int) -> Floats:
    """Return the quantiles of the next coarse means, shape (steps, quantiles), rps."""
    seen = grid.until(origin, max(FILTER_STEPS, 3 * grid.day if grid.day <= LONGEST_ETS_SEASON else 0))
    said = model.forward(grid.means[seen] - season.at(seen), h=steps, level=LEVELS)
    again = season.at(origin + grid.group * np.arange(1, steps + 1))
    path = np.stack([np.asarray(said[name]) + again for name in COLUMNS], axis=1)
    return np.sort(np.maximum(path, 0.0), axis=1)


def value_and_peak(path: Floats, grid: Coarse, ahead: int, waited: int) -> Floats:
    """Return the quantiles at a horizon, and of the largest of the means until it, shape (targets, quantiles).

    ETS says nothing of a maximum: the largest quantile on the way stands for it, which is too low.
    """
    last = grid.ahead(ahead, waited)
    first = grid.ahead(1, waited)
    return np.stack([path[last - 1], path[first - 1 : last].max(axis=0)])


AUTOETS, MSTL_ETS = Statistical("autoets", seasonal=False), Statistical("mstl", seasonal=True)
