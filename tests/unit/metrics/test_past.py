import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from modelscaler.domain import SourceError, WorkloadKey
from modelscaler.metrics.parse import Unreadable
from modelscaler.metrics.past import MOST_POINTS, MOST_SAMPLES, Past

END = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RANKER = WorkloadKey("shop", "ranker")
STEP_SECONDS = 60.0


def past(points: int) -> Past:
    return Past(END - timedelta(seconds=(points - 1) * STEP_SECONDS), END, STEP_SECONDS)


def series(*values: tuple[float, str], name: str = "ranker") -> dict[str, Any]:
    labels = {"modeldeployment_namespace": "shop", "modeldeployment": name}
    return {"metric": labels, "values": [[END.timestamp() - ago * STEP_SECONDS, text] for ago, text in values]}


def test_window_ends_at_the_end_and_its_gaps_are_nan_when_samples_are_missing() -> None:
    grid = past(5)
    grid.add([series((4, "1"), (2, "3"), (0, "5"))])
    window = grid.read().windows[RANKER]
    assert window.end == END
    assert window.step_seconds == STEP_SECONDS
    np.testing.assert_array_equal(window.rps, [1.0, np.nan, 3.0, np.nan, 5.0])


def test_unknown_stays_unknown_when_prometheus_says_nan() -> None:
    grid = past(2)
    grid.add([series((1, "NaN"), (0, "2"))])
    assert math.isnan(grid.read().windows[RANKER].rps[0])
    assert not grid.read().faults


@pytest.mark.parametrize("text", ["+Inf", "-Inf", "-1"])
def test_sample_is_left_out_and_named_when_no_rate_can_be_that(text: str) -> None:
    grid = past(2)
    grid.add([series((1, text), (0, "2"))])
    read = grid.read()
    np.testing.assert_array_equal(read.windows[RANKER].rps, [np.nan, 2.0])
    assert isinstance(read.faults[RANKER], SourceError)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [{"metric": {}, "values": []}, 3],
        [series((0, "x"))],
        [{**series(), "values": 3}],
        [{**series(), "values": [[1]]}],
    ],
)
def test_answer_is_refused_when_it_is_not_prometheus_s(answer: Any) -> None:
    with pytest.raises(Unreadable, match="expected"):
        past(3).add(answer)


@pytest.mark.parametrize("ago", [-1, 3, math.nan, math.inf])
def test_answer_is_refused_when_a_sample_is_off_the_grid(ago: float) -> None:
    with pytest.raises(Unreadable, match="on the grid"):
        past(3).add([series((ago, "1"))])


@pytest.mark.parametrize("points", [1, 7, 100, 101, 20_160, 123_457])
def test_chunks_cover_every_step_once_from_the_newest_back_when_the_span_is_any(points: int) -> None:
    covered, expected_last = 0, END
    for first, last in past(points).chunks():
        assert last == expected_last
        covered += round((last - first).total_seconds() / STEP_SECONDS) + 1
        expected_last = first - timedelta(seconds=STEP_SECONDS)
    assert covered == points


def test_chunks_shrink_when_the_fleet_is_large() -> None:
    grid, sizes = past(2_000), []
    for first, last in grid.chunks():
        sizes.append(round((last - first).total_seconds() / STEP_SECONDS) + 1)
        grid.add([series(name=f"ranker-{number}") for number in range(4000)])
    assert max(sizes) == MOST_SAMPLES // 4000 <= MOST_POINTS


def test_span_is_refused_when_it_ends_before_it_starts() -> None:
    with pytest.raises(ValueError, match="expected a step and a time span above 0"):
        Past(END, END - timedelta(seconds=1), STEP_SECONDS)
