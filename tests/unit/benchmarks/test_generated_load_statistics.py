"""Statistics of generated load are what their names say, also where little is known."""

from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.forecast.learning.generated import GeneratedPanel
from modelscaler_benchmarks.generated_load.gallery import chosen
from modelscaler_benchmarks.generated_load.spread import table
from modelscaler_benchmarks.generated_load.statistics import STATISTICS, coarse

GAPPY = np.array([0.0, 2.0, np.nan, 4.0, 0.0, 6.0])
DAILY = 3.0 + np.sin(2.0 * np.pi * np.arange(24 * 15) / 24.0)


def panel(*rows: list[float], kinds: tuple[str, ...] = ()) -> GeneratedPanel:
    rps = np.array(rows, dtype=np.float32)
    return GeneratedPanel(rps, 3600.0, datetime(2026, 3, 2, tzinfo=UTC), kinds or ("web",) * len(rps))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean, rps", 2.4),
        ("peak / mean", 2.5),
        ("steps that are zero", 0.4),
        ("steps missing", 1 / 6),
        ("change per step / mean", 4.0 / 2.4),
        ("change in 10 min / mean", (4.0 + 2.0) / 2 / 2.4),
    ],
)
def test_missing_steps_are_left_out_when_a_series_has_gaps(name: str, expected: float) -> None:
    assert STATISTICS[name](GAPPY, 200.0) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["autocorrelation, 1 day", "autocorrelation, 1 week"])
def test_correlation_is_full_when_every_day_is_the_same(name: str) -> None:
    assert STATISTICS[name](DAILY, 3600.0) == pytest.approx(1.0)


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("rps", [np.full(300, np.nan), np.full(300, 2.0), np.zeros(300), np.ones(1)])
def test_a_statistic_is_a_number_or_unknown_when_there_is_nothing_to_see(name: str, rps: np.ndarray) -> None:
    value = STATISTICS[name](rps, 3600.0)

    assert np.isnan(value) or abs(value) <= 2.0


def test_coarse_means_end_with_the_series_when_its_beginning_does_not_fit() -> None:
    np.testing.assert_array_equal(coarse(np.array([9.0, 1.0, 3.0, np.nan, 5.0, np.nan, np.nan]), 2), [2.0, 5.0, np.nan])


def test_table_has_a_dash_when_a_statistic_is_known_for_no_series() -> None:
    lines = table([panel([1.0, 3.0], [2.0, 2.0])]).splitlines()

    assert "| statistic | 2 h at 3600 s |" in lines
    assert "| autocorrelation, 1 day | – |" in lines
    assert "| peak / mean | 1 / 1.2 / 1.5 |" in lines


def test_gallery_shows_every_kind_once_before_any_twice() -> None:
    gap = [np.nan, np.nan, 1.0]
    whole = [1.0, 1.0, 1.0]
    made = panel(whole, whole, gap, whole, whole, kinds=("web", "web", "idle", "office", "idle"))

    assert chosen(made, 3) == [4, 3, 0]
