"""Rates that follow what happened lately."""

import math


class Rate:
    """Events per second, older ones weighing less and less.

    Args:
        time_constant_seconds: After which an event weighs 1/e.
    """

    def __init__(self, time_constant_seconds: float) -> None:
        self._time_constant_seconds = time_constant_seconds
        self._per_second = 0.0
        self._at = -math.inf

    def add(self, events: float, now: float) -> None:
        """Count events, now."""
        self._per_second = self.per_second(now) + events / self._time_constant_seconds
        self._at = now

    def per_second(self, now: float) -> float:
        """Return the rate, now."""
        return self._per_second * math.exp(min(0.0, self._at - now) / self._time_constant_seconds)
