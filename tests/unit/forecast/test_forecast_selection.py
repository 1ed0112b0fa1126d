import numpy as np
import pytest

from loads import time_of
from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.maturing import Maturing
from modelscaler.forecast.selection import LossWeights, mixed, shares

NAMES = ["learned", "last"]


def loss(rps: float) -> Floats:
    return np.full((TARGETS, len(QUANTILES)), rps)


def flat(level: float, method: str = "last", learned: bool = False, steps: int = 4) -> QuantileForecast:
    rps = np.tile(level + np.arange(5.0), (steps, 1))
    return QuantileForecast(time_of(0), 2.0, QUANTILES, rps, rps.copy(), method, learned)


def test_weight_moves_away_when_a_member_starts_to_fail() -> None:
    weights = LossWeights(season_steps=120)
    weights.seed({"learned": loss(1.0), "last": loss(1.5)}, count=100)
    before = shares(weights.weights(NAMES))

    for _ in range(30):
        weights.learn({"learned": loss(6.0), "last": loss(1.5)})

    after = shares(weights.weights(NAMES))
    assert before[0] > 0.95
    assert after[0] < 0.05


def test_weight_comes_back_when_a_member_recovers() -> None:
    weights = LossWeights(season_steps=60)
    weights.seed({"learned": loss(3.0), "last": loss(1.5)}, count=60)

    for _ in range(200):
        weights.learn({"learned": loss(1.0), "last": loss(1.5)})

    assert shares(weights.weights(NAMES))[0] > 0.9


def test_weights_differ_by_quantile_when_members_are_good_at_different_ones() -> None:
    weights = LossWeights(season_steps=60)
    tail, middle = loss(1.0), loss(1.0)
    tail[:, :2], middle[:, 2:] = 3.0, 3.0
    weights.seed({"learned": tail, "last": middle}, count=10)

    mix = weights.weights(NAMES)

    assert (mix[0, :, 2:] > 0.99).all()
    assert (mix[1, :, :2] > 0.99).all()
    np.testing.assert_allclose(mix.sum(axis=0), 1.0)


def test_an_unjudged_member_gets_nothing_when_others_were_judged() -> None:
    weights = LossWeights(season_steps=60)
    assert (weights.weights(NAMES) == 0.5).all()

    weights.seed({"last": loss(1.0)}, count=10)

    assert shares(weights.weights(NAMES)).tolist() == [0.0, 1.0]


def test_weights_are_finite_when_a_member_is_perfect() -> None:
    weights = LossWeights(season_steps=60)
    weights.seed({"learned": loss(0.0), "last": loss(1.0)}, count=10)

    assert shares(weights.weights(NAMES)).tolist() == [1.0, 0.0]


def test_the_method_names_shares_when_forecasts_are_mixed() -> None:
    weights = np.stack([loss(0.7), loss(0.28), loss(0.02)])

    mix = mixed([flat(10.0, "seasonal"), flat(20.0, "learned", learned=True), flat(90.0, "last")], weights)

    assert mix.method == "mix: seasonal 0.7, learned 0.3"
    assert mix.learned
    assert mix.peak_rps[0, 0] == pytest.approx(0.7 * 10.0 + 0.28 * 20.0 + 0.02 * 90.0)


def test_the_method_is_one_word_when_one_member_has_all_the_weight() -> None:
    mix = mixed([flat(10.0), flat(20.0, "learned", learned=True)], np.stack([loss(0.97), loss(0.03)]))

    assert mix.method == "last"
    assert not mix.learned


def test_each_rung_matures_once_when_its_time_has_come() -> None:
    load = np.array([0.0, 5.0, 7.0, np.nan, 6.0, 1.0])
    maturing = Maturing()
    maturing.add(0, flat(10.0), {"last": flat(20.0)})
    maturing.add(0, flat(99.0), {"last": flat(99.0)})  # a second one in the same step

    rounds = [maturing.matured(cell, lambda first, last: load[first : last + 1]) for cell in range(6)]

    assert [[o.rung for o in outcomes] for outcomes in rounds] == [[], [0], [1], [], [2], []]
    (outcome,) = rounds[4]
    assert outcome.actual.tolist() == [6.0, 7.0]
    assert outcome.served[0].tolist() == [10.0, 11.0, 12.0, 13.0, 14.0]
    assert outcome.members["last"][1, 0] == 20.0


def test_nothing_is_judged_when_what_came_is_unknown() -> None:
    maturing = Maturing()
    maturing.add(0, flat(10.0, steps=1), {"last": flat(20.0, steps=1)})

    assert maturing.matured(1, lambda first, last: np.full(last - first + 1, np.nan)) == []
