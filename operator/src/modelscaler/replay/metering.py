"""The monitoring system of the simulated cluster: running sums, read over windows that end a while ago."""

import numpy as np

from modelscaler.domain import Floats
from modelscaler.replay.pool import Tally

OFFERED, VIOLATING, WAITING, BUSY, READY = range(5)


class Metering:
    """Keeps what was measured in each tick, and answers as a `Meter` does for the time it was last told of."""

    def __init__(self, ticks: int, tick_seconds: float, lag_seconds: float) -> None:
        self._sums: Floats = np.zeros((5, ticks + 1))
        self._queued: Floats = np.zeros(ticks + 1)
        self._tick_seconds = tick_seconds
        self._lag = round(lag_seconds / tick_seconds)
        self._ticks = 0

    def note(self, tally: Tally, ready: int, queued: float) -> None:
        """Note what happened in the next tick."""
        seconds, now = self._tick_seconds, self._ticks
        measured = (
            tally.offered,
            tally.late + tally.refused,
            tally.waiting_seconds,
            tally.busy_seconds,
            ready * seconds,
        )
        self._sums[:, now + 1] = self._sums[:, now] + measured
        self._queued[now + 1] = queued
        self._ticks = now + 1

    def offered_rps(self, window_seconds: float) -> float:
        """Return arrivals per second, averaged over the window."""
        offered, seconds = self._window(OFFERED, window_seconds)
        return offered / seconds if seconds else 0.0

    def concurrency(self, window_seconds: float) -> float:
        """Return requests in the system, averaged over the window."""
        waiting, seconds = self._window(WAITING, window_seconds)
        return waiting / seconds if seconds else 0.0

    def busy_share(self, window_seconds: float) -> float:
        """Return what share of the ready replicas' time was spent computing, in [0, 1]."""
        busy, _ = self._window(BUSY, window_seconds)
        ready, _ = self._window(READY, window_seconds)
        return min(busy / ready, 1.0) if ready else 0.0

    def violating_share(self, window_seconds: float) -> float:
        """Return what share of the window's arrivals was late or refused, in [0, 1]."""
        violating, _ = self._window(VIOLATING, window_seconds)
        offered, _ = self._window(OFFERED, window_seconds)
        return violating / offered if offered else 0.0

    def queued(self) -> float:
        """Return requests that wait, as last scraped."""
        return float(self._queued[max(self._ticks - self._lag, 0)])

    def _window(self, what: int, window_seconds: float) -> tuple[float, float]:
        """Return a sum over the window, and how many seconds of it there are."""
        end = max(self._ticks - self._lag, 0)
        begin = max(end - round(window_seconds / self._tick_seconds), 0)
        return float(self._sums[what, end] - self._sums[what, begin]), (end - begin) * self._tick_seconds
