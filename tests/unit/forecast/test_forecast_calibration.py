import numpy as np
import pytest

from loads import time_of
from modelscaler.domain import Floats, QuantileForecast
from modelscaler.forecast.base import LEVELS, PEAK, QUANTILES, VALUE
from modelscaler.forecast.calibration import Calibration

SPREAD = np.array([-1.28, 0.0, 1.28, 1.64, 2.33])


def stated(level: float = 100.0, deviation: float = 10.0, steps: int = 4) -> QuantileForecast:
    rps = np.tile(level + deviation * SPREAD, (steps, 1))
    return QuantileForecast(time_of(0), 2.0, QUANTILES, rps, rps.copy(), "stated", learned=False)


def run(calibration: Calibration, steps: int, deviation: float) -> Floats:
    """Serve normal load of deviation 10 with forecasts of another deviation; return the coverage of the newest half."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(steps):
        served = calibration.apply(stated(deviation=deviation, steps=1))
        actual = np.full(2, max(100.0 + 10.0 * rng.standard_normal(), 0.0))
        calibration.learn(0, actual, np.stack([served.rps[0], served.peak_rps[0]]))
        covered.append(actual[1] <= served.peak_rps[0])
    coverage: Floats = np.mean(covered[steps // 2 :], axis=0)
    return coverage


@pytest.mark.parametrize("deviation", [5.0, 13.0])
def test_upper_quantiles_become_honest_when_they_were_not(deviation: float) -> None:
    coverage = run(Calibration(), 4000, deviation)

    np.testing.assert_allclose(coverage[2:], LEVELS[2:], atol=0.02)


def test_the_median_and_lower_quantiles_stay_when_the_rest_is_corrected() -> None:
    calibration = Calibration()
    run(calibration, 1000, deviation=3.0)

    before, after = stated(), calibration.apply(stated())

    np.testing.assert_array_equal(after.peak_rps[:, :2], before.peak_rps[:, :2])
    assert (after.peak_rps[:, 2:] > before.peak_rps[:, 2:]).all()


def test_a_forecast_is_untouched_when_nothing_has_matured() -> None:
    np.testing.assert_array_equal(Calibration().apply(stated()).rps, stated().rps)


def test_quantiles_do_not_cross_when_corrections_are_large() -> None:
    calibration = Calibration()
    calibration.scale_rps[:] = 100.0
    calibration.offsets[:] = -2.0

    corrected = calibration.apply(stated())

    assert (np.diff(corrected.peak_rps, axis=1) >= 0.0).all()
    assert (corrected.peak_rps >= corrected.rps).all()


def test_only_what_is_known_is_learned_when_the_peak_is_unknown() -> None:
    calibration = Calibration()

    calibration.learn(1, np.array([500.0, np.nan]), np.stack([stated().rps[0]] * 2))

    assert calibration.offsets[VALUE, 1, 2] > 0.0
    assert not calibration.offsets[PEAK].any()
    assert calibration.worst_coverage(0.9, 2) == pytest.approx(0.9)
