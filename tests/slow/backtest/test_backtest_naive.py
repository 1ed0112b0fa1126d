"""The naive forecasts and their errors."""

import numpy as np
import pytest

from backtests import QUICK_RIVALS, daily_load, trace_of
from modelscaler.backtest.cases import Case, case_of
from modelscaler.backtest.expanding import FEWEST_ERRORS, expanding_quantiles
from modelscaler.backtest.method import Method, silent
from modelscaler.backtest.naive import NAIVES, points, trailing_mean
from modelscaler.forecast.base import QUANTILES

DAY = 144


def test_rules_say_what_they_are_named_for() -> None:
    trace = trace_of(np.arange(400.0) ** 2)
    at = 300

    assert points(trace, 2, "last")[at] == 300**2
    assert points(trace, 2, "ma30")[at] == np.mean([300**2, 299**2, 298**2])
    assert points(trace, 2, "snaive")[at] == (302 - DAY) ** 2
    assert points(trace, 2, "last+day")[at] == 300**2 + (302 - DAY) ** 2 - (300 - DAY) ** 2


def test_peak_is_the_values_guess_with_the_peaks_own_errors() -> None:
    rps = np.tile([1.0, 5.0, 1.0], 200)
    case = case_of(trace_of(rps), [1800.0])  # three steps: the value is the last one, the peak always 5

    said = NAIVES[0].forecast([case], silent)[0][0]

    np.testing.assert_allclose(said[0], np.repeat(rps[case.origins, None], len(QUANTILES), axis=1))
    assert (said[1, rps[case.origins] == 5.0, 4] == 9.0).all()  # errors are 0 after a 5 and 4 after a 1
    assert (said[1, rps[case.origins] == 1.0, 4] == 5.0).all()


def test_mean_counts_known_values_only() -> None:
    np.testing.assert_array_equal(
        trailing_mean(np.array([np.nan, 2.0, np.nan, 4.0, 6.0]), 2), [np.nan, 2.0, 2.0, 4.0, 5.0]
    )


def test_expanding_quantiles_equal_those_of_all_errors_observed_by_then() -> None:
    errors = np.random.default_rng(3).normal(size=600)
    errors[::7] = np.nan
    origins, ahead = np.arange(300, 595), 5

    fast = expanding_quantiles(errors, origins, ahead, blocks=len(origins))

    slow = [np.nanquantile(errors[: origin - ahead + 1], QUANTILES) for origin in origins]
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


def test_expanding_quantiles_of_a_block_are_those_of_its_first_origin() -> None:
    errors, origins = np.random.default_rng(4).normal(size=600), np.arange(300, 600)

    in_blocks = expanding_quantiles(errors, origins, 5, blocks=3)

    np.testing.assert_array_equal(in_blocks[100], in_blocks[199])
    np.testing.assert_array_equal(in_blocks[100], expanding_quantiles(errors, origins[100:], 5)[0])


def test_expanding_quantiles_are_unknown_when_few_errors_are() -> None:
    assert np.isnan(expanding_quantiles(np.ones(FEWEST_ERRORS + 1), np.array([FEWEST_ERRORS]), 5)).all()


def test_last_value_stands_in_when_yesterday_is_missing() -> None:
    rps = daily_load()
    rps[700:720] = np.nan
    case = Case(trace_of(rps), np.array([705 + DAY]), (2,))

    said = {method.name: method.forecast([case], silent)[0] for method in NAIVES}

    np.testing.assert_array_equal(said["snaive/add"], said["last/add"])
    assert np.isfinite(said["snaive/add"]).all()


@pytest.mark.parametrize("method", [*NAIVES, *QUICK_RIVALS], ids=lambda method: method.name)
def test_forecasts_do_not_change_when_the_future_does(method: Method) -> None:
    rps = daily_load()
    whole = case_of(trace_of(rps), [1800.0])
    cutoff = int(whole.origins[len(whole.origins) // 2])
    garbage = rps.copy()
    garbage[cutoff + 1 :] = np.random.default_rng(9).exponential(1e4, len(rps) - cutoff - 1)
    until = whole.origins[whole.origins <= cutoff]

    said = method.forecast([Case(trace_of(rps), until, whole.horizons)], silent)[0]
    shifted = method.forecast([Case(trace_of(garbage), until, whole.horizons)], silent)[0]

    assert np.isfinite(said).all()
    np.testing.assert_array_equal(said, shifted)


@pytest.mark.parametrize("method", [*NAIVES, *QUICK_RIVALS], ids=lambda method: method.name)
@pytest.mark.parametrize(
    "rps",
    [np.zeros(600), np.full(600, 3.0), np.full(600, np.nan), np.eye(1, 600, 450)[0], np.array([1.0, 2.0])],
    ids=["all zero", "constant", "nothing known", "one request", "two points"],
)
def test_forecasts_are_possible_ones_when_a_trace_is_odd(method: Method, rps: np.ndarray) -> None:
    case = case_of(trace_of(rps), [1800.0])

    said = method.forecast([case], silent)[0]

    known = said[np.isfinite(said)]
    assert said.shape == (1, 2, len(case.origins), len(QUANTILES))
    assert (known >= 0.0).all()
    assert (known <= 1e4).all()


@pytest.mark.parametrize("method", [*NAIVES, *QUICK_RIVALS], ids=lambda method: method.name)
def test_quantiles_do_not_cross(method: Method) -> None:
    said = method.forecast([case_of(trace_of(daily_load()), [1800.0])], silent)[0]

    assert (np.diff(said, axis=-1) >= 0.0).all()
