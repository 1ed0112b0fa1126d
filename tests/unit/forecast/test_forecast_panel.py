import numpy as np
import pytest

from modelscaler.forecast.frames import BURST_LEVEL_SECONDS, BURSTS
from modelscaler.forecast.panel import Begun, Floats32, Grid, Panel

FIRST_CELL = 1_234_567
COLUMNS = 3_000


def ragged_load() -> Floats32:
    """Return bursty loads: one with few gaps, one that is never known, and one that is known late."""
    rng = np.random.default_rng(0)
    load = rng.gamma(0.5, 20.0, (4, COLUMNS)).astype(np.float32)
    load[rng.random(load.shape) < 0.1] = np.nan
    load[1] = np.nan
    load[2, :2_500] = np.nan
    return load


def panel_of(step_seconds: float, begun: dict[float, Begun] | None = None) -> Panel:
    made = Panel.of(ragged_load(), step_seconds, FIRST_CELL)
    return Panel(step_seconds, FIRST_CELL, made.fine, made.coarse, made.factor, made.first_coarse, begun or {})


@pytest.mark.parametrize("step_seconds", [10.0, 60.0, 3600.0])
@pytest.mark.parametrize("origin", [0, 5, 100, 2_000, COLUMNS - 1])
def test_one_origin_is_told_the_same_as_many_when_only_its_stretches_are_looked_at(
    step_seconds: float, origin: int
) -> None:
    alone, beside = np.array([origin]), np.array([origin, origin])
    one, many = panel_of(step_seconds), panel_of(step_seconds)

    for back in (0, 1, 7, 500, 1_500):
        for length in (1, 2, 10, 64, 1_000):
            mean, peak = one.mean(alone, back, length), one.peak(alone, back, length)
            np.testing.assert_allclose(mean, many.mean(beside, back, length)[:, :1], rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(peak, many.peak(beside, back, length)[:, :1])
    np.testing.assert_array_equal(one.known(alone), many.known(beside)[:, :1])


@pytest.mark.parametrize("times", BURSTS)
@pytest.mark.parametrize("origin", [1_000, COLUMNS - 1])
@pytest.mark.parametrize("since", [0, 1, 37])
def test_bursts_are_the_same_when_they_are_followed_step_by_step(times: float, origin: int, since: int) -> None:
    plain = panel_of(60.0)
    begun = Begun.of(plain, FIRST_CELL + origin - since, times, BURST_LEVEL_SECONDS)
    following = panel_of(60.0, {times: begun})

    found = following.bursts(np.array([origin]), times, BURST_LEVEL_SECONDS)

    for got, wanted in zip(found, plain.bursts(np.array([origin]), times, BURST_LEVEL_SECONDS), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_bursts_are_the_same_when_what_is_known_is_advanced() -> None:
    plain, times = panel_of(60.0), BURSTS[0]
    begun = Begun.of(plain, FIRST_CELL + 2_000, times, BURST_LEVEL_SECONDS)

    begun.advance(plain, FIRST_CELL + 2_050, times, BURST_LEVEL_SECONDS)

    expected = Begun.of(plain, FIRST_CELL + 2_050, times, BURST_LEVEL_SECONDS)
    assert begun.cell == expected.cell
    np.testing.assert_array_equal(begun.last, expected.last)
    np.testing.assert_array_equal(begun.before, expected.before)
    np.testing.assert_array_equal(begun.above, expected.above)


def test_coarse_grid_tells_when_the_fine_one_does_not_reach_back_so_far() -> None:
    whole = Panel.of(ragged_load(), 60.0, FIRST_CELL)
    kept = 1_000
    fine = ragged_load()[:, -kept:]
    short = Panel(60.0, FIRST_CELL + COLUMNS - kept, Grid(fine, fine), whole.coarse, whole.factor, whole.first_coarse)
    late, beyond = np.array([kept - 1, 10]), np.array([10])

    np.testing.assert_array_equal(short.value(late, 0), fine[:, [-1, 10]])
    cell = (FIRST_CELL + COLUMNS - kept + 10 - 500 - 1) // whole.factor - whole.first_coarse
    np.testing.assert_array_equal(short.value(beyond, 500), whole.coarse.values[:, [cell]])
    assert np.isfinite(short.mean(beyond, 300, 60)[0]).all()
    assert np.isfinite(short.peak(beyond, 300, 60)[0]).all()
    assert np.isnan(short.value(beyond, COLUMNS)).all()
