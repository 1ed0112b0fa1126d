"""The past is read a little with each tick: whose, in which order, and what happens while Prometheus does not answer."""

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from builders import NOW
from modelscaler.controller.history import (
    BUDGET_SECONDS,
    LONGEST_WAIT_SECONDS,
    MOST_SAMPLES_AT_ONCE,
    SHORTEST_WAIT_SECONDS,
    History,
    spans,
    stretches,
)
from modelscaler.domain import LoadWindow, SourceError, WorkloadKey
from modelscaler.metrics.source import HistoryRead

STEP = timedelta(seconds=60)
DAY_SECONDS = 86_400.0


def keys(count: int) -> list[WorkloadKey]:
    return [WorkloadKey("shop", f"m{number:04}") for number in range(count)]


@pytest.mark.parametrize("series", [1, 5_000, 100_000])
def test_spans_are_the_whole_grid_in_stretches_that_fit_in_memory(series: int) -> None:
    start = NOW - timedelta(days=14)

    found = list(spans(start, NOW, STEP.total_seconds(), series))

    points = [(end - first) // STEP + 1 for first, end in found]
    assert found[0][1] == NOW
    assert found[-1][0] == start
    assert all(later[0] - earlier[1] == STEP for later, earlier in pairwise(found))
    assert sum(points) == 14 * 1440 + 1
    assert max(points) * series <= MOST_SAMPLES_AT_ONCE


@pytest.mark.parametrize(
    ("new", "fleet", "batches"), [(1, 1, [1]), (20, 20, [20]), (9, 5_000, [8, 1]), (3_000, 5_000, [3_000])]
)
def test_few_are_asked_for_by_name_and_many_all_at_once(new: int, fleet: int, batches: list[int]) -> None:
    found = list(stretches(dict.fromkeys(keys(new), DAY_SECONDS), fleet, NOW, 60.0))
    assert list(dict.fromkeys(len(stretch.keys) for stretch in found)) == batches
    assert sum(len(stretch.keys) for stretch in found if stretch.end == NOW) == new


class Rig:
    """A source that takes its time and may not answer, and what of it was kept."""

    def __init__(self, seconds_each: float = 0.0) -> None:
        self.seconds = 0.0
        self.seconds_each = seconds_each
        self.asked: list[tuple[datetime, int]] = []
        self.loaded: list[WorkloadKey] = []
        self.error: SourceError | None = None
        self.refuses: WorkloadKey | None = None
        given: Any = self
        self.history_of = History(given, given, 60.0, lambda: self.seconds)

    def history(self, start: datetime, end: datetime, step: float, of: Collection[WorkloadKey]) -> HistoryRead:
        self.seconds += self.seconds_each
        self.asked.append((end, len(of)))
        if self.refuses in of:
            return HistoryRead(error=SourceError("too many samples"))
        windows = {} if self.error else {key: LoadWindow(60.0, end, np.ones(3)) for key in of}
        return HistoryRead(windows, error=self.error)

    def load_history(self, key: WorkloadKey, window: LoadWindow) -> None:
        self.loaded.append(key)

    def tick(self, of: list[WorkloadKey], seconds: float = 15.0) -> int:
        """Advance once and return how often was asked."""
        self.seconds += seconds
        before = len(self.asked)
        self.history_of.advance(dict.fromkeys(of, 14 * DAY_SECONDS), NOW)
        return len(self.asked) - before


def test_a_tick_reads_no_longer_than_its_budget_and_goes_on_with_the_next() -> None:
    rig, fleet = Rig(seconds_each=1.5), keys(5_000)
    asked = [rig.tick(fleet) for _ in range(8)]
    assert max(asked) <= BUDGET_SECONDS / 1.5 + 1
    assert asked[-1] == 0, "all is read"
    assert [end for end, _ in rig.asked] == sorted((end for end, _ in rig.asked), reverse=True), "the newest first"
    assert rig.loaded.count(fleet[0]) == len(rig.asked)


def test_prometheus_is_asked_less_and_less_often_while_it_does_not_answer() -> None:
    rig = Rig()
    rig.error = SourceError("503")
    times = [rig.seconds for _ in range(400) if rig.tick(keys(1))]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits[0] == SHORTEST_WAIT_SECONDS
    assert waits[-1] == pytest.approx(LONGEST_WAIT_SECONDS, abs=15.0)
    rig.error = None
    while not rig.loaded:
        rig.tick(keys(1))
    assert rig.tick(keys(1)) == 0


def test_what_is_gone_is_not_read_and_what_comes_back_is() -> None:
    rig = Rig(seconds_each=10.0)
    rig.tick(keys(2))
    rig.history_of.forget(keys(2)[1])
    rig.tick(keys(1))
    assert rig.loaded == keys(2)
    rig.tick(keys(2))
    assert rig.loaded == [*keys(2), keys(2)[1]]


def test_what_is_refused_for_a_while_is_read_when_it_is_right_again() -> None:
    rig = Rig(seconds_each=10.0)
    rig.tick(keys(20))
    rig.tick(keys(10))
    rig.tick(keys(10))
    for _ in range(6):
        rig.tick(keys(20))
    assert set(rig.loaded) == set(keys(20))


def test_others_are_read_when_one_stretch_is_never_answered() -> None:
    rig, wrong = Rig(), keys(1)[0]
    rig.refuses = wrong
    for _ in range(100):
        rig.tick([wrong])
        rig.tick([wrong, *keys(30)[1:]])
    assert set(rig.loaded) == set(keys(30)[1:])
