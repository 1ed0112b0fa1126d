import numpy as np
import pytest

from modelscaler.forecast.series import Series, trailing_max

GAPPY = np.array([1.0, np.nan, 3.0, np.nan, np.nan, 6.0])


def test_mean_counts_known_values_only_when_there_are_gaps() -> None:
    series = Series.of(GAPPY, season=3)

    means = series.mean(np.array([0, 2, 4, 5]), 2)

    np.testing.assert_array_equal(means, [1.0, 3.0, np.nan, 6.0])


def test_mean_is_unknown_when_the_stretch_lies_before_the_start() -> None:
    assert np.isnan(Series.of(GAPPY, season=3).mean(np.array([-1]), 4)).all()


def test_near_takes_the_neighbours_when_a_value_is_a_gap() -> None:
    series = Series.of(GAPPY, season=3)

    np.testing.assert_array_equal(series.near(series.values, np.array([1, 2, 3, 4, 9])), [2.0, 3.0, 3.0, 6.0, np.nan])


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8])
def test_trailing_max_equals_the_plain_definition_when_there_are_gaps(length: int) -> None:
    values = np.random.default_rng(length).random(30)
    values[[3, 4, 11]] = np.nan

    plain = [np.nanmax(values[max(0, i + 1 - length) : i + 1], initial=-np.inf) for i in range(30)]

    np.testing.assert_array_equal(np.nan_to_num(trailing_max(values, length), nan=-np.inf), plain)


def test_peaks_are_unknown_when_too_little_of_the_stretch_is_known() -> None:
    peaks = Series.of(GAPPY, season=3).peaks(2)

    assert np.isnan(peaks).all()
