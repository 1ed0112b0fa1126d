from collections.abc import Callable

import numpy as np
import pytest

from modelscaler.forecast.anchor import anchored, judge_stride, judged
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.learning.examples import (
    ORIGINS_AT_ONCE,
    SERIES_AT_ONCE,
    Examples,
    Span,
    examples_between,
    examples_of,
    joined,
)
from modelscaler.forecast.learning.parts import clocks_of, part_of
from modelscaler.forecast.panel import Floats32, Panel
from modelscaler.forecast.rules import guesses

FIRST_CELL = 2_800_003


def load(series: int, columns: int, step_seconds: float, seed: int = 0) -> Floats32:
    """Return daily waves with noise and a few gaps, rps, shape (series, columns)."""
    rng = np.random.default_rng(seed)
    days = np.arange(columns) * step_seconds / 86_400.0
    waves = 20.0 + 10.0 * np.sin(2.0 * np.pi * (days + rng.random((series, 1))))
    rps = np.maximum(waves * (1.0 + 0.1 * rng.standard_normal((series, columns))), 0.0)
    rps[rng.random(rps.shape) < 0.02] = np.nan
    return rps.astype(np.float32)


def panel_of(rps: Floats32, step_seconds: float) -> Panel:
    return Panel.of(rps, step_seconds, FIRST_CELL)


def drawn(panel: Panel, cutoff: int, aheads: tuple[int, ...] = (1, 5), count: int = 20) -> Examples:
    return examples_of(panel, Calendar.utc(panel.series), aheads, cutoff, count, np.random.default_rng(0))


def assert_same(one: Examples, other: Examples) -> None:
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.came, other.came)
    np.testing.assert_array_equal(one.weights, other.weights)


def times_ten(rest: Floats32) -> Floats32:
    return rest * np.float32(10.0) + np.float32(7.0)


def missing(rest: Floats32) -> Floats32:
    return np.full_like(rest, np.nan)


@pytest.mark.parametrize("future", [times_ten, missing])
@pytest.mark.parametrize(("step_seconds", "columns"), [(10.0, 900), (60.0, 700), (600.0, 400)])
def test_examples_do_not_change_when_what_is_after_the_cutoff_does(
    step_seconds: float, columns: int, future: Callable[[Floats32], Floats32]
) -> None:
    cutoff = columns - 77
    before = load(3, columns, step_seconds)
    after = before.copy()
    after[:, cutoff + 1 :] = future(before[:, cutoff + 1 :])

    found = drawn(panel_of(before, step_seconds), cutoff)

    assert found.rows > 60
    assert_same(found, drawn(panel_of(after, step_seconds), cutoff))


def test_examples_change_when_the_last_value_before_the_cutoff_does() -> None:
    cutoff = 300
    before = load(2, 400, 60.0)
    after = before.copy()
    after[:, cutoff] = 500.0

    came = [drawn(panel_of(rps, 60.0), cutoff, count=1_000).came for rps in (before, after)]

    assert not np.array_equal(came[0], came[1], equal_nan=True)


def test_what_came_is_the_distance_of_the_value_and_of_the_peak_from_the_anchor() -> None:
    ahead, rps = 4, np.nan_to_num(load(1, 300, 600.0), nan=20.0)
    panel = panel_of(rps, 600.0)
    origins = np.arange(300 - ahead)
    record = judged(panel, ahead, np.arange(0, 300, judge_stride(600.0)), None)
    anchor = anchored(panel, guesses(panel, origins, ahead), origins, record)

    found = drawn(panel, 299, (ahead,), count=300)

    value = rps[0, origins + ahead]
    most = np.array([rps[0, t + 1 : t + 1 + ahead].max() for t in origins])
    expected = np.clip(anchor.relative(np.stack([value, most])[:, None]), -7.0, 7.0)[:, 0].T
    np.testing.assert_allclose(found.came, expected, rtol=1e-4, atol=1e-4)


def test_what_came_is_at_most_seven_away_when_load_leaps() -> None:
    rps = np.full((1, 300), 10.0, dtype=np.float32)
    rps[:, 200] = 1e9

    found = drawn(panel_of(rps, 600.0), 299, (1,), count=300)

    assert found.came.max() == 7.0


def test_there_are_no_rows_when_the_newest_value_is_unknown_or_the_load_has_always_been_zero() -> None:
    rps = load(3, 300, 600.0)
    rps[0, ::2] = np.nan
    rps[1] = 0.0
    alone = np.flatnonzero(np.isfinite(rps[0, :-1]))

    rows = [drawn(panel_of(part, 600.0), 299, (1,), count=300).rows for part in (rps[:1], rps[1:2])]

    assert rows == [0, 0]  # every other value is missing: where the newest is known, what came is not
    assert len(alone) > 100


def test_there_are_no_rows_when_nothing_can_have_come_by_the_cutoff() -> None:
    panel = panel_of(load(2, 300, 600.0), 600.0)

    found = drawn(panel, 3, (5,))

    assert found.rows == 0
    assert found.features.shape[1] == drawn(panel, 299).features.shape[1]


def test_old_examples_do_not_see_what_the_newest_are_of() -> None:
    before = load(2, 600, 600.0)
    after = before.copy()
    after[:, 400:] *= 3.0
    spans = [Span(64, 399, 30), Span(400, 599, 30)]

    def between(rps: Floats32) -> list[Examples]:
        return examples_between(panel_of(rps, 600.0), Calendar.utc(2), (1, 5), spans, np.random.default_rng(0))

    (old, newest), (old_too, newest_too) = between(before), between(after)

    assert_same(old, old_too)
    assert not np.array_equal(newest.came, newest_too.came, equal_nan=True)


def test_every_series_is_described_as_if_alone_when_there_are_more_than_fit_at_once() -> None:
    rps = np.nan_to_num(load(70, 200, 600.0), nan=20.0)

    together = drawn(panel_of(rps, 600.0), 199, (2,), count=10_000)
    apart = joined([drawn(panel_of(rps[row : row + 1], 600.0), 199, (2,), count=10_000) for row in (0, 69)])

    at_once, each = ORIGINS_AT_ONCE // SERIES_AT_ONCE, 198
    assert together.rows == 70 * each
    np.testing.assert_array_equal(together.features[:at_once], apart.features[:at_once])
    np.testing.assert_array_equal(together.features[-each:], apart.features[-each:])


def test_clocks_stay_with_their_series_when_part_of_a_fleet_is_taken() -> None:
    fleet = Calendar(np.array([0.0, 3_600.0, 7_200.0]), {2: np.array([20_000])})

    part = clocks_of(fleet, slice(1, 3))

    assert part.offset_seconds.tolist() == [3_600.0, 7_200.0]
    assert {row: days.tolist() for row, days in part.holidays.items()} == {1: [20_000]}


@pytest.mark.parametrize("cutoff", [0, 6, 57, 119, 150])
def test_no_coarse_cell_is_left_that_ends_after_the_cutoff(cutoff: int) -> None:
    panel = panel_of(load(1, 300, 60.0), 60.0)

    part = part_of(panel, slice(0, 1), cutoff)

    last_ended = (panel.first_cell + cutoff) // panel.factor * panel.factor
    cells = np.flatnonzero(np.isfinite(part.coarse.values).any(axis=0))
    assert part.columns == cutoff + 1
    assert all((part.first_coarse + cell + 1) * part.factor <= last_ended for cell in cells)


def test_the_anchors_record_is_the_same_when_no_other_is_kept() -> None:
    panel = panel_of(load(2, 300, 600.0), 600.0)
    columns = np.arange(300)

    alone, among = judged(panel, 3, columns, None, members=1), judged(panel, 3, columns, None)

    assert alone.excess.shape[1] == 1
    np.testing.assert_array_equal(alone.excess, among.excess[:, :1])
    np.testing.assert_array_equal(alone.counts, among.counts[:, :1])
    np.testing.assert_array_equal(alone.errors, among.errors)
