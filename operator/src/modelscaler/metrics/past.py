"""Put the chunks of a range query together into load windows. Pure."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from modelscaler.domain import Floats, LoadWindow, SourceError, WorkloadKey
from modelscaler.metrics.parse import Unreadable, number, rows, shown
from modelscaler.metrics.queries import OFFERED
from modelscaler.metrics.source import HistoryRead

# Prometheus refuses more than 11,000 points per series.
MOST_POINTS: Final = 10_000
# At about 35 bytes of JSON each, what one chunk may hold in memory, however large the fleet is.
MOST_SAMPLES: Final = 1_000_000
# The size of the fleet is not known before the first answer.
FIRST_POINTS: Final = 100
FEWEST_POINTS: Final = 20


class Past:
    """A regular grid of offered load that is filled chunk by chunk; what is never filled stays NaN."""

    def __init__(self, start: datetime, end: datetime, step_seconds: float) -> None:
        if step_seconds <= 0.0 or end < start:
            raise ValueError(
                f"history from {start} to {end} every {step_seconds} s: expected a step and a time span above 0"
            )
        self._end = end
        self._step_seconds = step_seconds
        self._points = int((end - start).total_seconds() // step_seconds) + 1
        self._rps: dict[WorkloadKey, Floats] = {}
        self._faults: dict[WorkloadKey, SourceError] = {}

    def chunks(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield the (first, last) time of each chunk to ask for.

        The newest comes first: it shows how large the fleet is, and the larger it is the shorter the chunks after it.
        """
        end = self._points
        while end > 0:
            size = FIRST_POINTS if end == self._points else MOST_SAMPLES // max(len(self._rps), 1)
            start = max(end - max(min(size, MOST_POINTS), FEWEST_POINTS), 0)
            yield self._time(start), self._time(end - 1)
            end = start

    def add(self, answer: object) -> None:
        """Fill in the answer to a chunk.

        Raises:
            Unreadable: it is not what Prometheus answers.
        """
        for key, row in rows(answer):
            values = row.get("values")
            if not isinstance(values, list):
                raise Unreadable(f"got {shown(values)} for {key}, expected a list of times and numbers")
            mine = self._rps.setdefault(key, np.full(self._points, np.nan))
            for pair in values:
                self._put(key, mine, pair)

    def read(self) -> HistoryRead:
        """Return what was put together."""
        windows = {key: LoadWindow(self._step_seconds, self._end, rps) for key, rps in self._rps.items()}
        return HistoryRead(windows=windows, faults=self._faults)

    def _put(self, key: WorkloadKey, mine: Floats, pair: object) -> None:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Unreadable(f"got {shown(pair)} for {key}, expected a time and a number")
        at, rps = number(pair[0]), number(pair[1])
        index = self._index(at)
        if index is None:
            raise Unreadable(f"got a sample of {key} at {at:g}, expected one on the grid that was asked for")
        if math.isinf(rps) or rps < 0.0:
            message = f"{OFFERED} of {key}: got {rps:g} in its history, expected a finite number that is not negative"
            self._faults[key] = SourceError(message)
        else:
            mine[index] = rps

    def _index(self, at_epoch: float) -> int | None:
        if not math.isfinite(at_epoch):
            return None
        behind = (self._end.timestamp() - at_epoch) / self._step_seconds
        index = self._points - 1 - round(behind)
        return index if 0 <= index < self._points else None

    def _time(self, index: int) -> datetime:
        return (self._end - timedelta(seconds=(self._points - 1 - index) * self._step_seconds)).astimezone(UTC)
