"""What the document of the forecast benchmark says of a made-up backtest: targets, means, tails and coverage."""

from collections.abc import Mapping

import numpy as np
import pytest

from backtests import trace_of
from modelscaler.backtest.cases import Case
from modelscaler.backtest.coverage import DayCoverage
from modelscaler.backtest.report.rows import written_methods
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import BEST_NAIVE, NAIVE_NAMES, CellScore, MethodScore
from modelscaler.domain import Floats
from modelscaler.forecast.base import QUANTILES
from modelscaler_benchmarks.forecast.document import means_by_horizon, section, tails_by_trace
from modelscaler_benchmarks.forecast.targets import verdicts
from modelscaler_benchmarks.verdicts import Verdict

OURS, RIVAL = "modelscaler", "hgb-difference"
TRUE = np.array(QUANTILES)
MINUTES_A_DAY = 1440


def score(
    ratio: float = 0.7, tail: float = 0.7, loss: float = 1.0, off: float = 0.0, day_off: float = 0.0
) -> MethodScore:
    """Return a score: ratios at 0.9 and 0.99, one loss for all quantiles, coverage off in all and on the second day."""
    ratios = np.where(TRUE == 0.99, tail, ratio)
    days = DayCoverage(np.array([1, 2]), np.array([9, 9]), np.stack([TRUE, TRUE + day_off]))
    interval = np.stack([ratios - 0.1, ratios + 0.1], axis=1)
    return MethodScore(np.full(len(TRUE), loss), ratios, interval, TRUE + off, days)


def cell(methods: Mapping[str, MethodScore], target: str = "value", ahead: int = 10, trace: str = "shop") -> CellScore:
    naive = {name: score(1.0) for name in (*NAIVE_NAMES, BEST_NAIVE)}
    return CellScore(
        trace, ahead, 60.0 * ahead, target, 100, 100, (NAIVE_NAMES[0],) * len(TRUE), {**methods, **naive}, {}
    )


def backtest(*cells: CellScore, days: float = 4.0) -> Backtest:
    """Return what was scored, of traces of minutes."""
    load: Floats = np.ones(round(days * MINUTES_A_DAY))
    names = {each.trace: None for each in cells}
    cases = tuple(Case(trace_of(load, 60.0, name), np.arange(10), (1, 10, 30)) for name in names)
    methods = {name: None for each in cells for name in each.methods if name not in (*NAIVE_NAMES, BEST_NAIVE)}
    return Backtest(cases, tuple(methods), {}, cells, 0)


def verdict(found: Backtest, words: str) -> Verdict:
    (only,) = [each for each in verdicts(found) if words in each.target]
    return only


def test_mean_is_judged_for_value_and_peak_and_missed_when_one_is_above_its_bound() -> None:
    good, bad = cell({OURS: score(0.79)}), cell({OURS: score(0.81)}, "peak")

    found = verdict(backtest(good, bad), "modelscaler, mean at 0.9,")

    assert (found.measured, found.met) == ("0.790 / 0.810", False)
    assert verdict(backtest(good, cell({OURS: score(0.8)}, "peak")), "modelscaler, mean at 0.9,").met


def test_mean_is_not_measured_when_its_method_was_not_run() -> None:
    assert verdict(backtest(cell({OURS: score()})), "zero-shot").word() == "not measured"
    assert {each.met for each in verdicts(backtest(cell({RIVAL: score()})))} == {None}


def test_trace_is_judged_by_name_only_when_it_was_forecast() -> None:
    taxi = backtest(cell({OURS: score(0.51)}, trace="nyc_taxi_30min"))

    assert (verdict(taxi, "nyc_taxi_30min").measured, verdict(taxi, "nyc_taxi_30min").met) == ("0.510", False)
    assert not [each for each in verdicts(taxi) if "websessions_1h" in each.target]


def test_worst_trace_is_named_when_it_is_above_the_best_naive() -> None:
    found = backtest(cell({OURS: score(0.9)}), cell({OURS: score(1.004)}, "peak", trace="odd"))

    assert verdict(found, "no trace above").measured == "1 of 2; the worst odd peak 1.004"
    assert verdict(found, "no trace above").met is False


def test_coverage_is_counted_at_every_horizon_and_a_peak_over_one_step_only_once() -> None:
    found = backtest(
        cell({OURS: score(off=0.01)}, ahead=1),
        cell({OURS: score(off=0.02)}, "peak", ahead=1),
        cell({OURS: score(off=-0.02, day_off=0.06)}, "peak", ahead=30),
    )

    assert verdict(found, "within 1 point,").measured == "3 of 6"
    assert verdict(found, "in every day").measured == "3 of 6 have a worse day"
    assert verdict(found, "in every day").met is False


def test_losses_beside_rivals_are_counted_without_the_naive_ones_and_our_own() -> None:
    lost = {OURS: score(loss=1.05), "modelscaler zero-shot": score(loss=0.5), RIVAL: score(loss=1.0)}
    kept = {OURS: score(loss=1.02), RIVAL: score(loss=1.0)}

    found = verdict(backtest(cell(lost), cell(kept, "peak")), "above a rival's")

    assert found.measured == f"3 of 6 lost; the worst +5.0 % ({RIVAL}, shop, 600 s, value, 0.9)"
    assert verdict(backtest(cell(kept)), "above a rival's").met


@pytest.mark.parametrize(("loss", "met"), [(0.0, True), (0.1, False)])
def test_rival_without_any_loss_is_not_beaten(loss: float, met: bool) -> None:
    found = backtest(cell({OURS: score(loss=loss), RIVAL: score(loss=0.0)}))

    assert verdict(found, "above a rival's").met is met


def test_short_traces_do_not_count_and_are_named() -> None:
    found = backtest(cell({OURS: score()}), days=1.0)

    assert verdict(found, "within 1 point,").met is None
    assert "Too short to count: shop." in section(found, [600.0], {}, "A machine.", [])


def test_means_have_a_row_for_each_horizon_and_a_column_for_each_method() -> None:
    found = backtest(cell({OURS: score(0.7, 0.6), RIVAL: score(0.8, 0.9)}), cell({OURS: score(0.5)}, ahead=30))

    rows = means_by_horizon(found, [15.0, 600.0, 1800.0]).splitlines()[2:]

    assert rows == [
        "| 10 min | value, 1 | 0.700 / 0.600 | 0.800 / 0.900 |",
        "| 30 min | value, 1 | 0.500 / 0.700 | – |",
    ]


def test_tails_show_ratio_coverage_and_the_day_that_is_farthest_off() -> None:
    found = backtest(cell({OURS: score(tail=0.64, off=-0.005, day_off=-0.13), RIVAL: score(tail=0.9)}))

    assert tails_by_trace(found).splitlines()[-1] == "| shop value | 0.64 | 0.90 | 0.895 / 0.945 / 0.985 | 0.77 |"
    assert tails_by_trace(backtest(cell({RIVAL: score()}))).splitlines()[-1] == "| shop value | 0.70 | – | – |"


def test_section_names_methods_that_were_not_run_and_judges_targets() -> None:
    written = section(backtest(cell({OURS: score()})), [600.0], {OURS: 3.0}, "A machine.", ["mstl", "hgb-ratio"])

    assert "Not run: mstl, hgb-ratio." in written
    assert "| modelscaler, mean at 0.9, value / peak ≤ 0.80 / 0.80 | 0.700 / – | met |" in written


def test_forecasts_are_written_of_all_that_is_ours() -> None:
    ours = backtest(cell({RIVAL: score(), OURS: score(), "modelscaler without trees": score()}))

    assert written_methods(ours) == [OURS, "modelscaler without trees"]
    assert written_methods(backtest(cell({RIVAL: score()}))) == [RIVAL]
    assert written_methods(backtest(cell({}))) == [NAIVE_NAMES[0]]
