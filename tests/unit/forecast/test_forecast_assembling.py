from dataclasses import replace

import numpy as np
import pytest

from loads import time_of
from modelscaler.domain import QuantileForecast
from modelscaler.forecast.assembling import Asked, forecasts, makers
from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.batch import Answers
from modelscaler.forecast.pipeline import MEMBERS

RUNGS = (1, 2, 4)


def answers(levels: tuple[float, ...] = (10.0, 20.0, 40.0), learned: float = 0.6) -> Answers:
    """Return answers of one series, the same for value and peak: `levels` at the rungs, quantiles one rps apart."""
    quantiles = np.array(levels)[:, None, None, None] + np.arange(len(QUANTILES))
    shares = np.zeros((len(levels), 1, len(MEMBERS)))
    shares[:, 0, MEMBERS.index("pretrained")] = learned
    shares[:, 0, MEMBERS.index("anchor")] = 0.99 - learned
    shares[:, 0, MEMBERS.index("last")] = 0.01
    wide = np.broadcast_to(quantiles, (len(levels), TARGETS, 1, len(QUANTILES)))
    return Answers(wide.astype(np.float32), shares.astype(np.float32), np.array([True]), np.array([12.5], np.float32))


def asked(steps: int, waited: int = 0) -> Asked:
    return Asked(time_of(0), 60.0, waited, np.array([steps]))


def only(found: list[QuantileForecast]) -> QuantileForecast:
    assert len(found) == 1
    return found[0]


def test_steps_between_horizons_are_interpolated() -> None:
    found = only(forecasts(asked(4), answers(), RUNGS, ["because"]))

    assert found.rps[:, 0].tolist() == [10.0, 20.0, 30.0, 40.0]
    assert found.peak_rps[2].tolist() == [30.0, 31.0, 32.0, 33.0, 34.0]


def test_steps_that_have_passed_count_into_the_horizon_when_readings_stay_away() -> None:
    found = only(forecasts(asked(2, waited=1), answers(), RUNGS, ["because"]))

    assert found.rps[:, 0].tolist() == [20.0, 30.0]


def test_the_last_horizon_stays_when_more_is_asked_for() -> None:
    found = only(forecasts(asked(6), answers(), RUNGS, ["because"]))

    assert found.rps[3:, 0].tolist() == [40.0, 40.0, 40.0]


def test_a_peak_does_not_fall_when_values_do() -> None:
    found = only(forecasts(asked(4), answers((40.0, 20.0, 10.0)), RUNGS, ["because"]))

    assert found.rps[:, 0].tolist() == [40.0, 20.0, 15.0, 10.0]
    assert found.peak_rps[:, 0].tolist() == [40.0] * 4


def test_who_has_a_share_worth_naming_is_named_in_tenths() -> None:
    found = only(forecasts(asked(4), answers(), RUNGS, ["because"]))

    assert found.shares == (("pretrained", 0.6), ("anchor", 0.4))
    assert found.method == "mix: pretrained 0.6, anchor 0.4"
    assert found.learned


def test_a_forecast_is_not_called_learned_when_networks_have_no_share_worth_naming() -> None:
    found = only(forecasts(asked(4), answers(learned=0.04), RUNGS, ["because"]))

    assert found.method == "anchor"
    assert not found.learned


def test_a_forecast_says_why_it_is_whose_it_is() -> None:
    assert only(forecasts(asked(4), answers(), RUNGS, ["because"])).note == "because"


def test_shares_never_round_to_nothing() -> None:
    shares = np.array([[0.0] * (len(MEMBERS) - 2) + [0.05, 0.94]], dtype=np.float32)

    assert makers(shares)[0].named[-1][1] == 0.1


@pytest.mark.parametrize(("usual", "usual_rps"), [(12.5, 12.5), (float("nan"), 0.0)], ids=["known", "not known"])
def test_a_forecast_says_what_is_usual_as_far_as_that_is_known(usual: float, usual_rps: float) -> None:
    of_the_day = replace(answers(), usual=np.array([usual], np.float32))

    assert only(forecasts(asked(4), of_the_day, RUNGS, ["because"])).usual_rps == usual_rps


def test_every_series_has_its_own_usual_load_when_some_are_taken_out() -> None:
    one = answers()
    both = Answers(
        np.concatenate([one.quantiles] * 2, axis=2),
        np.concatenate([one.shares] * 2, axis=1),
        np.array([True, True]),
        np.array([12.5, 3.0], np.float32),
    )

    assert both.of(np.array([1])).usual.tolist() == [3.0]
