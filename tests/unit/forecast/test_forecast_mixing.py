"""The online mix of members, and the calibration of what comes out of it."""

import numpy as np

from modelscaler.forecast.base import LEVELS, QUANTILES
from modelscaler.forecast.conformal import Calibration
from modelscaler.forecast.mixing import Mixture, mixed

SERIES = 3
EVEN = np.ones(2, dtype=np.float32)
ABLE = np.ones((SERIES, 2), dtype=bool)
SCALE = np.ones((2, SERIES), dtype=np.float32)


def members(*offsets: float) -> np.ndarray:
    """Return members whose quantiles are right for a standard normal but for an offset, (M, 2, SERIES, quantiles)."""
    right = np.array([-1.2816, 0.0, 1.2816, 1.6449, 2.3263])
    return np.stack([np.broadcast_to(10.0 + right + offset, (2, SERIES, len(QUANTILES))) for offset in offsets])


def outcomes(count: int, seed: int = 0) -> np.ndarray:
    return 10.0 + np.random.default_rng(seed).normal(size=(count, 2, SERIES))


def taught(mixture: Mixture, said: np.ndarray, came: np.ndarray) -> Mixture:
    for actual in came:
        mixture.learn(0, actual, said, SCALE)
    return mixture


def test_better_member_gets_the_weight_when_outcomes_tell() -> None:
    mixture = taught(Mixture.of(SERIES, 1, EVEN, 1_000), members(0.0, 1.5), outcomes(400))
    assert (mixture.weights(0, ABLE)[:, 0] > 0.9).all()


def test_weights_are_those_of_the_prior_when_nothing_is_known() -> None:
    weights = Mixture.of(SERIES, 1, np.array([1.0, 1.1], dtype=np.float32), 1_000).weights(0, ABLE)
    np.testing.assert_allclose(weights[:, 1] / weights[:, 0], np.exp(-20.0 * 0.1), rtol=1e-3)


def test_weights_add_up_to_one_and_leave_out_who_cannot_answer() -> None:
    able = ABLE.copy()
    able[1, 0] = False
    weights = Mixture.of(SERIES, 1, EVEN, 1_000).weights(0, able)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)
    assert (weights[1, 0] == 0.0).all()


def test_member_that_fails_loses_its_weight_within_minutes() -> None:
    mixture = taught(Mixture.of(SERIES, 1, EVEN, 10_080), members(0.0, 0.4), outcomes(3_000))
    assert (mixture.weights(0, ABLE)[:, 0] > 0.6).all()

    failed = members(0.0, 0.4)
    failed[0] *= 20.0
    taught(mixture, failed, outcomes(5, seed=1))
    assert (mixture.weights(0, ABLE)[:, 0] < 0.1).all()


def test_two_good_members_share_weight_evenly_although_one_is_a_little_better() -> None:
    said = members(0.0, 0.25, 2.0)
    three = np.ones(3, dtype=np.float32)
    alone, paired = (
        taught(Mixture.of(SERIES, 1, three, 1_000, pair), said, outcomes(2_000)).weights(0, np.ones((SERIES, 3), bool))
        for pair in ((), (0, 1))
    )
    inner, outer = slice(1, 4), [0, 4]
    assert (paired[:, 1, :, inner] > alone[:, 1, :, inner] + 0.02).all()
    assert (paired[:, 0, :, inner] > 0.5).all()
    np.testing.assert_array_equal(paired[..., outer], alone[..., outer])
    np.testing.assert_allclose(paired.sum(axis=1), 1.0, rtol=1e-6)


def test_nothing_is_shared_when_one_of_the_two_cannot_answer_or_has_just_failed() -> None:
    mixture = taught(Mixture.of(SERIES, 1, EVEN, 10_080, (0, 1)), members(0.0, 0.1), outcomes(3_000))
    able = ABLE.copy()
    able[1, 0] = False
    assert (mixture.weights(0, able)[1, 0] == 0.0).all()
    assert (mixture.weights(0, ABLE)[:, 0, :, 2] > 0.25).all()

    failed = members(0.0, 0.1)
    failed[0] *= 20.0
    taught(mixture, failed, outcomes(5, seed=1))
    assert (mixture.weights(0, ABLE)[:, 0] < 0.1).all()


def test_series_do_not_share_what_they_learn() -> None:
    said = members(0.0, 0.0)
    said[1, :, 0] += 3.0
    mixture = taught(Mixture.of(SERIES, 1, EVEN, 10_000), said, outcomes(3_000))
    weights = mixture.weights(0, ABLE)
    assert (weights[0, 1] < 0.05).all()
    np.testing.assert_allclose(weights[1:, 1], 0.5, atol=1e-6)


def test_outcome_that_is_unknown_teaches_nothing() -> None:
    mixture = Mixture.of(SERIES, 1, EVEN, 1_000)
    mixture.learn(0, np.full((2, SERIES), np.nan), members(0.0, 5.0), SCALE)
    np.testing.assert_allclose(mixture.weights(0, ABLE), 0.5)


def test_mix_is_the_weighted_mean_of_who_can_answer() -> None:
    said = members(0.0, 2.0)
    said[1, :, 2] = np.nan
    weights = np.full((SERIES, 2, 2, len(QUANTILES)), 0.5)
    weights[2, 0], weights[2, 1] = 1.0, 0.0
    mix = mixed(said, weights)
    np.testing.assert_allclose(mix[:, 0], said[0, :, 0] + 1.0)
    np.testing.assert_allclose(mix[:, 2], said[0, :, 2])


def test_calibration_restores_coverage_when_quantiles_are_too_low() -> None:
    calibration, said = Calibration.of(SERIES, 1), members(-1.0)[0]
    covered = []
    for actual in outcomes(6_000):
        served = calibration.apply(0, said, SCALE)
        covered.append(actual[..., None] <= served)
        calibration.learn(0, actual, served)
    upper = LEVELS > 0.5
    late = np.mean(covered[3_000:], axis=(0, 1, 2))
    np.testing.assert_allclose(late[upper], LEVELS[upper], atol=0.01)
    np.testing.assert_array_equal(calibration.offsets[..., ~upper], 0.0)


def test_calibrated_quantiles_do_not_cross_when_corrections_differ() -> None:
    calibration = Calibration.of(SERIES, 1)
    calibration.offsets[..., QUANTILES.index(0.9)] = 5.0
    served = calibration.apply(0, members(0.0)[0], SCALE)
    assert (np.diff(served, axis=-1) >= 0.0).all()


def test_member_that_joins_late_starts_as_good_lately_as_the_best_one() -> None:
    alone = members(0.0, 0.0)
    alone[1] = np.nan
    quiet = np.full((200, 2, SERIES), 10.0)
    mixture = taught(Mixture.of(SERIES, 1, EVEN, 1_000), alone, quiet)
    mixture.learn(0, quiet[0], members(0.0, 0.0), SCALE)
    np.testing.assert_allclose(mixture.fast[:, 0, 1], mixture.fast[:, 0, 0], rtol=1e-4)


def test_burst_says_no_more_of_a_member_that_has_just_joined_than_of_the_others() -> None:
    alone, both = members(0.0, 0.0), members(0.0, 0.0)
    alone[1] = np.nan
    mixture = taught(Mixture.of(SERIES, 1, EVEN, 10_080), alone, outcomes(5_000))
    taught(mixture, both, outcomes(20, seed=1) + 30.0)

    np.testing.assert_allclose(mixture.weights(0, ABLE), 0.5, atol=0.01)


def test_member_that_joins_shows_within_a_day_of_minutes_that_it_is_better() -> None:
    alone, both = members(1.0, 0.0), members(1.0, 0.0)
    alone[1] = np.nan
    mixture = taught(Mixture.of(SERIES, 1, EVEN, 10_080), alone, outcomes(5_000))
    taught(mixture, both, outcomes(1_440, seed=1))

    assert (mixture.weights(0, ABLE)[:, 1] > 0.6).all()
