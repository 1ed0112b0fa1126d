"""The rivals that only the benchmark has: what they may know, how they are put to a coarse grid, how they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtests import Constant, daily_load, trace_of
from modelscaler.backtest.cases import Case, case_of
from modelscaler.backtest.method import Method, Progress, Quantiles, silent
from modelscaler.backtest.running import run
from modelscaler.forecast.base import QUANTILES
from modelscaler_benchmarks.forecast.cached import Cached, key
from modelscaler_benchmarks.forecast.coarse import coarse
from modelscaler_benchmarks.forecast.document import section
from modelscaler_benchmarks.forecast.lightgbm_rivals import LIGHTGBM_DIFFERENCE, lightgbm_regressor
from modelscaler_benchmarks.forecast.own_errors import OwnErrors
from modelscaler_benchmarks.forecast.statistical import AUTOETS, MSTL_ETS, seasons

FINE_STEP_SECONDS = 300.0


def _few_trees(level: float) -> Any:
    return lightgbm_regressor(level).set_params(n_estimators=5)


RIVALS = (
    replace(LIGHTGBM_DIFFERENCE, make=_few_trees, refit_shares=(0.6, 0.8)),
    AUTOETS,
    OwnErrors(AUTOETS),
    MSTL_ETS,
)


@dataclass(frozen=True)
class Counting(Constant):
    """Counts how often it is asked."""

    asked: list[str] = field(default_factory=list, repr=False)

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        self.asked.extend(case.trace.name for case in cases)
        return super().forecast(cases, progress)


@pytest.mark.parametrize("method", RIVALS, ids=lambda method: method.name)
def test_rivals_forecasts_do_not_change_when_the_future_does(method: Method) -> None:
    rps = daily_load(days=5, step_seconds=FINE_STEP_SECONDS)
    whole = case_of(trace_of(rps, FINE_STEP_SECONDS), [1800.0])
    until = whole.origins[: len(whole.origins) * 3 // 5]
    garbage = rps.copy()
    garbage[until[-1] + 1 :] = np.random.default_rng(9).exponential(1e4, len(rps) - until[-1] - 1)

    said, shifted = (
        method.forecast([Case(trace_of(load, FINE_STEP_SECONDS), until, whole.horizons)], silent)[0]
        for load in (rps, garbage)
    )

    assert np.isfinite(said).all()
    assert (np.diff(said, axis=-1) >= 0.0).all()
    np.testing.assert_array_equal(said, shifted)


def test_coarse_means_hold_over_gaps_and_end_at_the_index_asked_for() -> None:
    grid = coarse(trace_of(np.array([1.0, 3.0, np.nan, np.nan, 7.0, 9.0]), FINE_STEP_SECONDS))

    assert (grid.group, grid.step_seconds, grid.day) == (2, 600.0, 144)
    np.testing.assert_array_equal(grid.means, [1.0, 2.0, 3.0, 3.0, 7.0, 8.0])
    assert grid.until(5, 2).tolist() == [3, 5]
    assert [grid.ahead(1), grid.ahead(2), grid.ahead(3), grid.ahead(2, waited=1)] == [1, 1, 2, 2]


def test_seasons_repeat_the_day_that_was() -> None:
    load = np.tile(10.0 + np.sin(2 * np.pi * np.arange(144) / 144), 6)
    grid = coarse(trace_of(load))

    season = seasons(grid, grid.until(len(load) - 1, 10_000), wanted=True)

    ahead = np.arange(len(load), len(load) + 144)
    np.testing.assert_allclose(season.at(ahead), load[ahead - 144] - 10.0, atol=0.05)


def test_answers_are_kept_by_horizon_when_a_trace_was_asked_for_before(tmp_path: Path) -> None:
    case = case_of(trace_of(daily_load()), [600.0, 1800.0])
    method = Counting()

    first = Cached(method, tmp_path, "1").forecast([case], silent)[0]
    again = Cached(method, tmp_path, "1").forecast([case], silent)[0]
    assert len(method.asked) == 2
    Cached(method, tmp_path, "2").forecast([case], silent)
    other = replace(case, trace=trace_of(daily_load(seed=1)))
    Cached(method, tmp_path, "1").forecast([other], silent)

    assert len(method.asked) == 6
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(first[1, :, case.origins + 3 < len(case.trace.rps)]).all()


def test_answers_are_found_again_when_functions_lie_elsewhere_as_in_another_process() -> None:
    def another() -> Any:
        def regressor(level: float) -> Any:
            return lightgbm_regressor(level)

        return regressor

    case = case_of(trace_of(daily_load()), [600.0])
    one, same = (replace(LIGHTGBM_DIFFERENCE, make=another()) for _ in range(2))

    assert repr(one) != repr(same)
    assert key(one, case, "1") == key(same, case, "1")
    assert key(one, case, "1") != key(LIGHTGBM_DIFFERENCE, case, "1")


def test_section_has_a_row_for_each_trace_and_target_and_a_column_for_each_method() -> None:
    case = case_of(trace_of(daily_load(step_seconds=FINE_STEP_SECONDS), FINE_STEP_SECONDS), [600.0])
    found = run([case], [Constant(tuple(5.0 + i for i in range(len(QUANTILES))))], silent)

    written = section(found, [600.0], {"constant": 1.0}, "A machine.", ["autoets", "mstl"])

    rows = [line for line in written.splitlines() if line.startswith("| load ")]
    assert [row.split(" | ")[0] for row in rows] == 2 * ["| load value", "| load peak"]
    assert "constant 1 s" in written
    assert "Not run: autoets, mstl." in written
