"""The calibration of what comes out of the mix, over many outcomes."""

import numpy as np

from modelscaler.forecast.base import LEVELS
from modelscaler.forecast.conformal import Calibration

SERIES = 3


SCALE = np.ones((2, SERIES), dtype=np.float32)


def test_calibration_keeps_to_each_level_when_two_of_them_meet() -> None:
    """A load with two levels: what the 0.9 quantile learns must not move the 0.95 quantile, nor the other way round."""
    calibration, rng = Calibration.of(SERIES, 1), np.random.default_rng(2)
    said = np.broadcast_to(np.array([1.0, 1.0, 1.1, 8.0, 8.0]), (2, SERIES, 5))
    covered = []
    for _ in range(20_000):
        actual = np.where(rng.random((2, SERIES)) < 0.12, 8.5, 1.05)
        served = calibration.apply(0, said, SCALE)
        covered.append(actual[..., None] <= served)
        calibration.learn(0, actual, served)
    late = np.mean(covered[10_000:], axis=(0, 1, 2))
    np.testing.assert_allclose(late[LEVELS > 0.5], LEVELS[LEVELS > 0.5], atol=0.02)
    assert np.abs(calibration.offsets).max() < 10.0
