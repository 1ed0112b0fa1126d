"""The monitoring system of the simulated cluster: running sums, read over windows that end a while ago."""

from modelscaler.replay.pool import Tally

OFFERED, VIOLATING, WAITING, BUSY, READY = range(5)


class Metering:
    """Keeps what was measured in each tick, and answers as a `Meter` does for the time it was last told of."""

    def __init__(self, tick_seconds: float, lag_seconds: float) -> None:
        self._sums: list[tuple[float, float, float, float, float]] = [(0.0, 0.0, 0.0, 0.0, 0.0)]
        self._queued = [0.0]
        self._tick_seconds = tick_seconds
        self._lag = round(lag_seconds / tick_seconds)

    def note(self, tally: Tally, ready: int, queued: float) -> None:
        """Note what happened in the next tick."""
        offered, violating, waiting, busy, ready_seconds = self._sums[-1]
        self._sums.append(
            (
                offered + tally.offered,
                violating + (tally.late + tally.refused),
                waiting + tally.waiting_seconds,
                busy + tally.busy_seconds,
                ready_seconds + ready * self._tick_seconds,
            )
        )
        self._queued.append(queued)

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
        return self._queued[self._last_scraped()]

    def _window(self, what: int, window_seconds: float) -> tuple[float, float]:
        """Return a sum over the window, and how many seconds of it there are."""
        end = self._last_scraped()
        begin = max(end - round(window_seconds / self._tick_seconds), 0)
        return self._sums[end][what] - self._sums[begin][what], (end - begin) * self._tick_seconds

    def _last_scraped(self) -> int:
        return max(len(self._queued) - 1 - self._lag, 0)
