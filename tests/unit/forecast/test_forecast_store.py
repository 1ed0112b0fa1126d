from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from loads import START, time_of, window_of
from modelscaler.domain import Floats, LoadWindow
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.store import LoadStore, as_slots

HALF_PRECISION = 2.0**-11


class History:
    """One series in a store."""

    def __init__(self, step_seconds: float = 2.0) -> None:
        self.store = LoadStore(step_seconds)
        self.slot = self.store.take()

    def append(self, step: float, rps: float | None) -> None:
        self.store.append(self.slot, START + timedelta(seconds=step * self.store.step_seconds), rps)

    def load(self, window: LoadWindow) -> None:
        self.store.load(self.slot, window)

    def values(self, newest_steps: int = 1000) -> list[Any]:
        window = self.store.window(self.slot, newest_steps)
        assert window is not None
        return [None if np.isnan(v) else float(v) for v in window.rps]

    def panel(self) -> Panel:
        return self.store.panel(as_slots([self.slot]))


def test_a_gap_stays_a_gap_when_nothing_was_read() -> None:
    kept = History()
    for step, rps in ((0, 4.0), (1, None), (4, 0.0)):
        kept.append(step, rps)

    assert kept.values() == [4.0, None, None, None, 0.0]


def test_readings_are_averaged_when_they_fall_into_one_step() -> None:
    kept = History()
    for step, rps in ((-0.75, 3.0), (-0.5, None), (-0.25, 4.0), (0.0, 8.0)):
        kept.append(step, rps)

    assert kept.values() == [5.0]


def test_an_older_reading_changes_nothing_when_the_clock_jumps_back() -> None:
    kept = History()
    kept.append(5, 4.0)
    kept.append(3, 9.0)

    assert kept.values() == [4.0]


def test_a_gap_is_left_when_the_clock_jumps_forward() -> None:
    kept = History()
    kept.append(0, 1.0)
    kept.append(3, 2.0)

    assert kept.values() == [1.0, None, None, 2.0]


def test_only_the_newest_is_left_when_the_interruption_was_longer_than_what_is_kept() -> None:
    kept = History(step_seconds=3600.0)
    kept.append(0, 1.0)
    kept.append(10_000, 2.0)

    assert [v for v in kept.values(100_000) if v is not None] == [2.0]


def test_a_year_of_history_is_cut_to_what_is_kept_when_loaded() -> None:
    kept = History(step_seconds=3600.0)
    kept.load(window_of(np.arange(8760.0), 3600.0))

    values = kept.values(8760)

    assert values[-1] == pytest.approx(8759.0, rel=HALF_PRECISION)
    assert 15 * 24 <= sum(v is not None for v in values) < 8760


def test_loading_fills_gaps_and_keeps_observations_when_history_is_read_again() -> None:
    kept = History()
    kept.append(2, 20.0)
    kept.append(4, 40.0)

    for _ in range(2):
        kept.load(window_of(np.array([1.0, 2.0, 3.0, 4.0, np.nan])))

    assert kept.values() == [1.0, 2.0, 20.0, 4.0, 40.0]


def test_readings_go_on_when_history_was_loaded() -> None:
    kept = History()
    kept.load(window_of(np.array([1.0, 2.0])))
    kept.append(1.25, 7.0)

    assert kept.values() == [1.0, 2.0, 7.0]


def test_a_finer_window_is_averaged_over_known_values_when_loaded() -> None:
    kept = History()
    kept.load(LoadWindow(0.5, time_of(2), np.array([1.0, 3.0, np.nan, 8.0, np.nan, np.nan, np.nan, np.nan])))

    assert kept.values() == [4.0, None]


def test_a_coarser_window_covers_every_step_when_loaded() -> None:
    kept = History()
    kept.load(LoadWindow(6.0, time_of(6), np.array([3.0, np.nan, 5.0])))

    assert kept.values() == [3.0, 3.0, 3.0, None, None, None, 5.0, 5.0, 5.0]


@pytest.mark.parametrize("rps", [-1.0, float("nan"), float("inf")])
def test_a_rate_is_refused_when_it_is_not_one(rps: float) -> None:
    with pytest.raises(ValueError, match="expected a finite rate"):
        History().append(0, rps)


@pytest.mark.parametrize("level", [1e-4, 0.7, 3e3, 4e6])
def test_values_are_kept_to_half_precision_at_every_level(level: float) -> None:
    rng = np.random.default_rng(0)
    load = level * rng.gamma(2.0, 0.5, 300)
    kept = History()
    for step, rps in enumerate(load):
        kept.append(step, rps)

    np.testing.assert_allclose(kept.values(), load, rtol=HALF_PRECISION, atol=level * 1e-6)


def test_older_values_stay_when_much_larger_ones_come() -> None:
    kept = History()
    for step, rps in enumerate((0.0, 0.5, 2e5, 3.0)):
        kept.append(step, rps)

    np.testing.assert_allclose(kept.values(), [0.0, 0.5, 2e5, 3.0], rtol=0.02)


def test_a_panel_of_the_store_is_a_panel_of_its_history() -> None:
    rng = np.random.default_rng(1)
    load: Floats = rng.gamma(2.0, 5.0, 4000)
    load[rng.random(4000) < 0.1] = np.nan
    kept = History(step_seconds=60.0)
    kept.load(window_of(load[:3990], 60.0))
    for step in range(3990, 4000):
        kept.append(step, None if np.isnan(load[step]) else float(load[step]))

    found, expected = kept.panel(), Panel.of(load[None], 60.0, int(START.timestamp()) // 60)

    assert found.first_cell + found.columns == expected.first_cell + expected.columns
    np.testing.assert_allclose(found.fine.values[0, -4000:], expected.fine.values[0], rtol=HALF_PRECISION)
    cells = expected.coarse.columns
    for got, wanted in (
        (found.coarse.values, expected.coarse.values),
        (found.coarse.maxima, expected.coarse.maxima),
    ):
        np.testing.assert_allclose(got[0, -cells:], wanted[0], rtol=2 * HALF_PRECISION)
        assert np.isnan(got[0, :-cells]).all()


def test_what_is_older_than_the_fine_tier_is_known_as_means() -> None:
    kept = History(step_seconds=60.0)
    kept.load(window_of(np.repeat(np.arange(1.0, 2017.0), 10), 60.0, START + timedelta(seconds=60)))

    window = kept.store.window(kept.slot, 14 * 1440)

    assert window is not None
    assert len(window.rps) == 14 * 1440
    np.testing.assert_allclose(window.rps[::10], np.arange(1.0, 2017.0), rtol=HALF_PRECISION)


def test_nothing_of_a_series_is_left_when_its_slot_goes_to_another() -> None:
    store = LoadStore(60.0)
    old, other = store.take(), store.take()
    for slot in (old, other):
        store.load(slot, window_of(np.full(2000, 7.0), 60.0))
    store.free(old)

    new = store.take()

    assert new == old
    assert store.window(new, 100) is None
    assert np.isnan(store.panel(as_slots([new])).fine.values).all()
    assert np.nanmax(store.panel(as_slots([other])).fine.values) == 7.0


def test_every_series_keeps_its_values_when_the_store_grows() -> None:
    store = LoadStore(60.0)
    slots = [store.take() for _ in range(40)]
    for slot in slots:
        store.append(slot, START, float(slot + 1))

    panel = store.panel(as_slots(slots))

    np.testing.assert_array_equal(panel.fine.values[:, -1], np.arange(1.0, 41.0))
