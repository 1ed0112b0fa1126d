from datetime import timedelta

import numpy as np
import pytest

from loads import START, time_of, window_of
from modelscaler.domain import LoadWindow
from modelscaler.forecast.store import LoadHistory


def history(capacity_steps: int = 100) -> LoadHistory:
    return LoadHistory(step_seconds=2.0, capacity_steps=capacity_steps)


def values(of: LoadHistory) -> list[float | None]:
    window = of.window()
    assert window is not None
    return [None if np.isnan(v) else float(v) for v in window.rps]


def test_a_gap_stays_a_gap_when_nothing_was_read() -> None:
    kept = history()
    kept.append(time_of(0), 4.0)
    kept.append(time_of(1), None)
    kept.append(time_of(4), 0.0)

    assert values(kept) == [4.0, None, None, None, 0.0]


def test_readings_are_averaged_when_they_fall_into_one_step() -> None:
    kept = history()
    for seconds, rps in ((-1.5, 3.0), (-1.0, None), (-0.5, 4.0), (0.0, 8.0)):
        kept.append(START + timedelta(seconds=seconds), rps)

    assert values(kept) == [5.0]


def test_an_older_reading_changes_nothing_when_its_step_is_over() -> None:
    kept = history()
    kept.append(time_of(5), 4.0)
    kept.append(time_of(3), 9.0)

    assert values(kept) == [4.0]


def test_memory_is_bounded_when_more_arrives_than_fits() -> None:
    kept = history(capacity_steps=4)
    for step in range(10):
        kept.append(time_of(step), float(step))
    kept.append(time_of(12), 12.0)

    assert values(kept) == [9.0, None, None, 12.0]


def test_nothing_is_left_when_the_interruption_was_longer_than_the_ring() -> None:
    kept = history(capacity_steps=4)
    kept.append(time_of(0), 1.0)
    kept.append(time_of(50), 2.0)

    assert values(kept) == [None, None, None, 2.0]


def test_loading_fills_gaps_and_keeps_observations_when_history_is_read_again() -> None:
    kept = history()
    kept.append(time_of(2), 20.0)
    kept.append(time_of(4), 40.0)

    for _ in range(2):
        kept.load(window_of(np.array([1.0, 2.0, 3.0, 4.0, np.nan])))

    assert values(kept) == [1.0, 2.0, 20.0, 4.0, 40.0]


def test_readings_go_on_when_history_was_loaded() -> None:
    kept = history()
    kept.load(window_of(np.array([1.0, 2.0])))
    kept.append(time_of(1) + timedelta(seconds=0.5), 7.0)

    assert values(kept) == [1.0, 2.0, 7.0]


def test_a_finer_window_is_averaged_over_known_values_when_loaded() -> None:
    fine = LoadWindow(0.5, time_of(2), np.array([1.0, 3.0, np.nan, 8.0, np.nan, np.nan, np.nan, np.nan]))
    kept = history()
    kept.load(fine)

    assert values(kept) == [4.0, None]


def test_a_coarser_window_covers_every_step_when_loaded() -> None:
    kept = history()
    kept.load(LoadWindow(6.0, time_of(6), np.array([3.0, np.nan, 5.0])))

    assert values(kept) == [3.0, 3.0, 3.0, None, None, None, 5.0, 5.0, 5.0]


def test_the_newest_part_is_kept_when_a_longer_window_is_loaded() -> None:
    kept = history(capacity_steps=3)
    kept.load(window_of(np.arange(10.0)))

    assert values(kept) == [7.0, 8.0, 9.0]


@pytest.mark.parametrize("rps", [-1.0, float("nan"), float("inf")])
def test_a_rate_is_refused_when_it_is_not_one(rps: float) -> None:
    with pytest.raises(ValueError, match="expected a finite rate"):
        history().append(START, rps)
