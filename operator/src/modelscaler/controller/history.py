"""What the past load was, read from Prometheus a little with each tick, the newest first.

Two weeks of thousands of ModelDeployments are a hundred answers and minutes of reading them: a tick that waited for all of it
would be late for everybody. Meanwhile forecasts are made of what is known already.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelscaler.domain import WorkloadKey
from modelscaler.forecast.service import Forecasting
from modelscaler.metrics.queries import MOST_NAMED
from modelscaler.metrics.source import MetricsSource

log = logging.getLogger(__name__)

MOST_SAMPLES_AT_ONCE: Final = 8_000_000  # of all series, 64 MB
BUDGET_SECONDS: Final = 4.0
"""So long a tick may take for it; the stretch that is being read then is read to its end."""

SHORTEST_WAIT_SECONDS: Final = 15.0
LONGEST_WAIT_SECONDS: Final = 300.0
"""Between tries while Prometheus does not answer."""

MANY: Final = 0.1
"""Of a fleet: where more than this share is new, the past is asked for of all at once, not by name."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the past that is yet to be read, of some ModelDeployments; `series` come with the answer."""

    start: datetime
    end: datetime
    keys: tuple[WorkloadKey, ...]
    series: int


class History:
    """Knows whose past was read, and what is left to read."""

    def __init__(
        self,
        source: MetricsSource,
        forecasting: Forecasting,
        step_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._forecasting = forecasting
        self._step_seconds = step_seconds
        self._monotonic = monotonic
        self._asked: dict[WorkloadKey, float] = {}
        self._left: deque[Stretch] = deque()
        self._failures = 0
        self._due_at = float("-inf")

    def advance(self, lookbacks: Mapping[WorkloadKey, float], now: datetime) -> None:
        """Read on, for as long as a tick may take for it; blocking.

        Args:
            lookbacks: How many seconds back the past of each ModelDeployment counts.
            now: The time.
        """
        new = {key: seconds for key, seconds in lookbacks.items() if seconds > self._asked.get(key, 0.0)}
        self._left.extend(stretches(new, len(lookbacks), now, self._step_seconds))
        self._asked.update(new)
        until = self._monotonic() + BUDGET_SECONDS
        while self._left and until > self._monotonic() >= self._due_at:
            stretch = self._left.popleft()
            if not self._read(stretch, lookbacks):
                self._left.append(stretch)  # others may be answered

    def forget(self, key: WorkloadKey) -> None:
        """Read the past of another one of that name anew."""
        self._asked.pop(key, None)

    def restart(self) -> None:
        """Read everything anew."""
        self._asked.clear()
        self._left.clear()

    def _read(self, stretch: Stretch, lookbacks: Mapping[WorkloadKey, float]) -> bool:
        """Read a stretch; return whether it was answered. What is read again is merged, which changes nothing."""
        wanted = [key for key in stretch.keys if key in lookbacks]
        for key in set(stretch.keys) - set(
            wanted
        ):  # gone, or of a spec that is refused just now: asked for when it is back
            self._asked.pop(key, None)
        if not wanted:
            return True
        found = self._source.history(stretch.start, stretch.end, self._step_seconds, wanted)
        if found.error is not None:
            wait = min(SHORTEST_WAIT_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_WAIT_SECONDS)
            self._failures, self._due_at = self._failures + 1, self._monotonic() + wait
            log.warning("no history yet, trying again in %.0f s: %s", wait, found.error.message)
            return False
        self._failures = 0
        for key in wanted:
            if key in found.windows:
                self._forecasting.load_history(key, found.windows[key])
        return True


def stretches(
    lookbacks: Mapping[WorkloadKey, float], fleet: int, now: datetime, step_seconds: float
) -> Iterator[Stretch]:
    """Yield what has to be read of the past of some ModelDeployments, the newest first.

    Args:
        lookbacks: Whose, and how many seconds back.
        fleet: How many there are in all.
        now: The time.
        step_seconds: Between two values.
    """
    if not lookbacks:
        return
    by_name = len(lookbacks) <= max(MOST_NAMED, MANY * fleet)
    keys = sorted(lookbacks)
    batches: Sequence[Sequence[WorkloadKey]] = (
        [keys[at : at + MOST_NAMED] for at in range(0, len(keys), MOST_NAMED)] if by_name else [keys]
    )
    for batch in batches:
        series = len(batch) if by_name else fleet
        start = now - timedelta(seconds=max(lookbacks[key] for key in batch))
        for first, last in spans(start, now, step_seconds, series):
            yield Stretch(first, last, tuple(batch), series)


def spans(start: datetime, end: datetime, step_seconds: float, series: int) -> Iterator[tuple[datetime, datetime]]:
    """Yield the first and last time of stretches of a grid that ends at `end`, the newest first.

    Each has at most `MOST_SAMPLES_AT_ONCE` samples of so many series; together they are the whole grid.
    """
    step, points = timedelta(seconds=step_seconds), max(MOST_SAMPLES_AT_ONCE // max(series, 1), 1)
    while end >= start:
        first = max(end - (points - 1) * step, start)
        yield first, end
        end = first - step
