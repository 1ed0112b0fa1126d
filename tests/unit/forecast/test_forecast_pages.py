"""History that is unpacked where it is looked at tells the same as all of it."""

from datetime import timedelta

import numpy as np
import pytest

from loads import START, window_of
from modelscaler.forecast.pages import LONG, PAGE
from modelscaler.forecast.panel import Floats32, Panel
from modelscaler.forecast.store import LoadStore, as_slots

SERIES = 70  # more than are summed at once
STEPS = 3_000


def filled(step_seconds: float) -> LoadStore:
    """Return a store with series of very different sizes and many gaps; one is never known, one late, one is cut off."""
    rng = np.random.default_rng(0)
    store = LoadStore(step_seconds)
    for row in range(SERIES):
        load = rng.gamma(0.5, 20.0 * 10.0 ** (row % 9 - 4), STEPS)
        load[rng.random(STEPS) < (0.1 if row % 2 else 0.002)] = np.nan
        load[: {3: STEPS, 4: 2_500}.get(row, 0)] = np.nan
        store.load(store.take(), window_of(load[: STEPS - 40 if row == 5 else STEPS], step_seconds))
    for late in range(50):
        for row in range(0, SERIES, 3):
            store.append(row, START + timedelta(seconds=step_seconds * (STEPS + late)), float(row + late))
    return store


@pytest.fixture(scope="module", params=[10.0, 60.0, 3600.0])
def store(request: pytest.FixtureRequest) -> LoadStore:
    return filled(request.param)


def told(panel: Panel, columns_ago: int, back: int, length: int) -> list[Floats32]:
    """Return what a panel says at one origin."""
    origin = np.array([panel.columns - 1 - columns_ago])
    return [
        panel.value(origin, back),
        panel.mean(origin, back, length),
        panel.peak(origin, back, length),
        panel.known(origin).astype(np.float32),
    ]


@pytest.mark.parametrize("slots", [list(range(SERIES)), list(range(20, 60)), [5, 3, 4, 60, 0]])
@pytest.mark.parametrize("lookback", [2**40, 1_000])
def test_a_glance_tells_the_same_as_the_panel(store: LoadStore, slots: list[int], lookback: int) -> None:
    within = np.where(np.arange(len(slots)) % 2, lookback, 2**40)
    glance, panel = store.glance(as_slots(slots), within), store.panel(as_slots(slots), within)

    for ago in (0, 7, 500):
        for back, length in ((0, 1), (0, PAGE), (1, 3), (62, 30), (900, LONG), (1, LONG + 1), (0, 2_900), (20_000, 5)):
            for got, wanted in zip(told(glance, ago, back, length), told(panel, ago, back, length), strict=True):
                np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_a_glance_at_many_origins_tells_the_same_as_the_panel(store: LoadStore) -> None:
    slots, origins = as_slots([7, 3, 4]), np.array([11_000, 11_600])
    glance, panel = store.glance(slots), store.panel(slots)

    np.testing.assert_array_equal(glance.value(origins, 4), panel.value(origins, 4))
    np.testing.assert_array_equal(glance.mean(origins, 3, 100), panel.mean(origins, 3, 100))
    np.testing.assert_array_equal(glance.peak(origins, 3, 100), panel.peak(origins, 3, 100))
    np.testing.assert_array_equal(glance.known(origins), panel.known(origins))
    np.testing.assert_array_equal(glance.fine.values, panel.fine.values)
    np.testing.assert_array_equal(glance.coarse.maxima, panel.coarse.maxima)


def test_nothing_is_known_beyond_the_grid(store: LoadStore) -> None:
    glance = store.glance(as_slots([0, 1]))

    assert np.isnan(glance.fine.at(np.array([-1]))).all()
    assert np.isnan(glance.fine.at(np.array([glance.columns]))).all()
    assert np.isnan(glance.fine.mean(np.array([-1]), 5)).all()
    assert np.isnan(glance.fine.peak(np.array([2]), 5)).all()


def test_a_series_is_unknown_before_its_lookback() -> None:
    panel = filled(60.0).panel(as_slots([0, 1]), np.array([100, 10_000]))

    assert np.isnan(panel.fine.values[0, :-100]).all()
    assert np.isfinite(panel.fine.values[0, -50:]).all()
    assert np.isfinite(panel.fine.values[1, -1_000:-200]).any()
    assert np.isnan(panel.coarse.values[0, :-11]).all()
    assert np.isfinite(panel.coarse.values[1, -300:]).any()
