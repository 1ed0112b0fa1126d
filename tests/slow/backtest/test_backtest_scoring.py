"""Losses, coverage, ratios and their intervals."""

from dataclasses import replace

import numpy as np
import pytest

from backtests import Constant, daily_load, trace_of
from modelscaler.backtest.bootstrap import ratio, ratio_interval
from modelscaler.backtest.cases import case_of
from modelscaler.backtest.coverage import coverage_by_day
from modelscaler.backtest.method import silent
from modelscaler.backtest.naive import NAIVES
from modelscaler.backtest.report.summary import mean_ratios
from modelscaler.backtest.rivals.histogram import HGB_ANCHOR
from modelscaler.backtest.running import MethodError, run
from modelscaler.backtest.scoring import BEST_NAIVE, NAIVE_NAMES
from modelscaler.forecast.base import QUANTILES


def random_walk(steps: int = 1500) -> np.ndarray:
    return 1000.0 + np.cumsum(np.random.default_rng(5).normal(size=steps))


def test_loss_and_coverage_are_those_of_a_worked_example() -> None:
    case = case_of(trace_of(np.tile([2.0, 4.0], 300)), [600.0])

    score = run([case], [Constant((1.0, 2.0, 3.0, 4.0, 5.0))], silent).scores[0].methods["constant"]

    # Half of the outcomes are 2, half are 4 (119 and 120 of 239); each loss is q·(y-f) above and (1-q)·(f-y) below.
    twos = np.array([0.1 * 1, 0.5 * 0, 0.1 * 1, 0.05 * 2, 0.01 * 3])
    fours = np.array([0.1 * 3, 0.5 * 2, 0.9 * 1, 0.95 * 0, 0.01 * 1])
    share = np.mean(case.trace.rps[case.origins + 1] == 2.0)
    np.testing.assert_allclose(score.loss, share * twos + (1 - share) * fours)
    np.testing.assert_allclose(score.coverage, [0.0, share, share, 1.0, 1.0])


def test_best_naive_is_chosen_with_hindsight_for_each_quantile() -> None:
    cells = run([case_of(trace_of(daily_load()))], [], silent).scores

    for cell in cells:
        losses = np.stack([cell.methods[name].loss for name in NAIVE_NAMES])
        np.testing.assert_array_equal(cell.methods[BEST_NAIVE].loss, losses.min(axis=0))
        assert min(cell.methods[name].ratio.min() for name in NAIVE_NAMES) == 1.0


def test_all_methods_are_scored_on_the_same_origins_when_one_cannot_tell_everywhere() -> None:
    class Shy(Constant):
        def forecast(self, cases, progress):  # type: ignore[no-untyped-def]
            said = super().forecast(cases, progress)
            said[0][..., ::3, :] = np.nan
            return said

    case = case_of(trace_of(daily_load()), [600.0])
    alone, both = (
        run([case], [Constant()], silent).scores[0],
        run([case], [Constant(), Shy(name="shy")], silent).scores[0],
    )

    assert both.possible == alone.origins == alone.possible
    assert both.origins < 0.7 * both.possible
    np.testing.assert_array_equal(both.methods["constant"].loss, both.methods["shy"].loss)


def test_method_is_left_out_when_it_can_tell_almost_nowhere() -> None:
    case = case_of(trace_of(daily_load()), [600.0])

    cell = run([case], [Constant((np.nan,) * len(QUANTILES))], silent).scores[0]

    assert cell.left_out == {"constant": f"forecasts at 0 of {cell.possible} origins"}
    assert cell.origins == cell.possible > 0


def test_method_is_refused_when_it_answers_another_shape() -> None:
    class Short(Constant):
        def forecast(self, cases, progress):  # type: ignore[no-untyped-def]
            return [said[:, :, 1:] for said in super().forecast(cases, progress)]

    with pytest.raises(MethodError, match="constant on load: got shape"):
        run([case_of(trace_of(daily_load()))], [Short()], silent)


def test_coverage_is_taken_by_day_and_the_farthest_whole_day_named() -> None:
    below = np.repeat([[True], [False], [True]], [10, 5, 1], axis=0)
    found = coverage_by_day(below, np.repeat([20_000, 20_001, 20_003], [10, 5, 1]))

    assert found.dates == ["2024-10-04", "2024-10-05", "2024-10-07"]
    assert found.shares[:, 0].tolist() == [1.0, 0.0, 1.0]
    assert found.whole.tolist() == [True, True, False]
    assert found.farthest(np.array([0.9]))[0] == pytest.approx(-0.9)


def test_interval_holds_the_ratio_and_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    bar = rng.exponential(size=(2000, 5))
    loss = 0.8 * bar + rng.normal(0, 0.05, (2000, 5))

    interval = ratio_interval(loss, bar, block=100, seed=1)

    found = ratio(loss.mean(axis=0), bar.mean(axis=0))
    assert (interval[:, 0] < found).all()
    assert (found < interval[:, 1]).all()
    assert (interval[:, 1] - interval[:, 0] < 0.05).all()
    np.testing.assert_array_equal(interval, ratio_interval(loss, bar, block=100, seed=1))
    assert not np.array_equal(interval, ratio_interval(loss, bar, block=100, seed=2))


def test_interval_is_wider_when_errors_come_in_days() -> None:
    days = np.repeat(np.random.default_rng(2).exponential(size=(20, 1)), 100, axis=0)
    bar = np.ones_like(days)

    by_day, by_origin = (ratio_interval(days, bar, block, seed=0)[0] for block in (100, 1))

    assert by_day[1] - by_day[0] > 4 * (by_origin[1] - by_origin[0])


def test_ratio_is_one_when_nothing_was_lost_by_either() -> None:
    np.testing.assert_array_equal(ratio(np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 2.0])), [1.0, np.inf, 0.5])


def test_nothing_beats_the_last_value_when_the_load_is_a_random_walk() -> None:
    case = case_of(trace_of(random_walk()), [600.0])

    cell = run([case], [replace(HGB_ANCHOR, refit_shares=(0.6,))], silent).scores[0]

    assert cell.best_naive[2].startswith("last/")
    assert 0.97 < cell.methods[HGB_ANCHOR.name].ratio[2] < 1.3


def test_mean_is_geometric_and_passes_over_peaks_of_one_step_and_short_traces() -> None:
    cases = [case_of(trace_of(daily_load(seed=seed), name=f"load {seed}")) for seed in range(2)]
    found = run([*cases, case_of(trace_of(daily_load(days=2), name="short"))], [Constant()], silent)

    means = {(mean.horizon_seconds, mean.target): mean for mean in mean_ratios(found, [600.0, 1800.0])}

    ratios = [cell.methods["constant"].ratio for cell in found.scores if cell.ahead == 1 and cell.target == "value"]
    assert set(means) == {(600.0, "value"), (1800.0, "value"), (1800.0, "peak")}
    assert means[600.0, "value"].traces == ("load 0", "load 1")
    np.testing.assert_allclose(means[600.0, "value"].ratio, np.sqrt(ratios[0] * ratios[1]))


def test_naive_forecasts_have_names_of_their_own() -> None:
    assert len({naive.name for naive in NAIVES}) == 8
