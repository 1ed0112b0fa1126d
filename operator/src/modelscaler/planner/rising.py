"""Whether the load rises by more than noise, and how fast. Pure.

A forecast knows the hours and the bursts that come again; what never was before it knows only once it is there. Replicas serve
a start later, and a load that has risen for half a minute mostly goes on. So a rise is followed, for a while only: a trend that
is followed for good overshoots (Gardner and McKenzie 1985, "Forecasting trends in time series").

What noise explains is learned. The difference of two Poisson counts has their sum for a variance; that of real loads is a
multiple of it, the index of dispersion. It is estimated on changes of the rise, not of the load: a steady ramp is no noise.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

FOLLOWED_SECONDS: Final = 90.0
"""A rise is taken to go on for no longer."""

STANDARD_DEVIATIONS: Final = 4.0
"""Only what is more than so many standard deviations of the noise counts as a rise."""

MEMORY_SECONDS: Final = 3600.0
"""What was seen so long ago counts for a third of what is seen now."""

LEAST_CHANGES: Final = 8
"""Nothing is a rise before the noise was seen so often."""

LONGEST_SPAN_WINDOWS: Final = 2.0
"""Between readings farther apart nothing is known of what the load did."""

SHARED_WINDOW: Final = 0.1
"""Two windows may have so much of themselves in common: ticks do not come to the millisecond."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Offered load, averaged over the rate window that ends `at`, in seconds since whenever."""

    at: float
    rps: float


@dataclass(frozen=True, slots=True)
class Course:
    """What the load did lately, as far as it says where it goes.

    Attributes:
        readings: The newest, oldest first: what two rate windows without overlap need.
        dispersion: Index of dispersion, at least 1; of `changes` changes of the rise.
        changes: How many it was learned from.
        rise_rps_per_second: By how much more the load rises than noise explains; 0: it does not, or it is not known.
    """

    readings: tuple[Rate, ...] = ()
    dispersion: float = 1.0
    changes: int = 0
    rise_rps_per_second: float = 0.0

    def after(self, at: float, rps: float | None, window_seconds: float) -> "Course":
        """Return the course with one more reading.

        Args:
            at: When the rate window ended, in seconds; a clock that went back begins anew.
            rps: Offered load; None: it is not known in full, and what comes next is not compared with what was before.
            window_seconds: Length of the rate window.
        """
        if rps is None:
            return Course((), self.dispersion, self.changes)
        now = Rate(at, rps)
        if self.readings and at <= self.readings[-1].at:
            return Course((now,), self.dispersion, self.changes)
        before = self._newest(at, window_seconds)
        if before is None or at - before.at > LONGEST_SPAN_WINDOWS * window_seconds:
            return Course(self._with(now, window_seconds), self.dispersion, self.changes)
        noise = (now.rps + before.rps) / window_seconds
        dispersion, changes = self._learned(now, before, window_seconds)
        beyond = now.rps - before.rps - STANDARD_DEVIATIONS * sqrt(self.dispersion * noise)
        rise = max(beyond, 0.0) / (at - before.at) if self.changes >= LEAST_CHANGES else 0.0
        return Course(self._with(now, window_seconds), dispersion, changes, rise)

    def _newest(self, at: float, window_seconds: float) -> Rate | None:
        """Return the newest reading whose window ended before that of a reading `at` began."""
        until = at - window_seconds * (1.0 - SHARED_WINDOW)
        return next((reading for reading in reversed(self.readings) if reading.at <= until), None)

    def _with(self, now: Rate, window_seconds: float) -> tuple[Rate, ...]:
        oldest = now.at - 2.0 * LONGEST_SPAN_WINDOWS * window_seconds
        return (*(reading for reading in self.readings if oldest <= reading.at), now)

    def _learned(self, now: Rate, before: Rate, window_seconds: float) -> tuple[float, int]:
        """Return dispersion and number of changes with one more; what is far off counts as being just a rise."""
        earlier = self._newest(before.at, window_seconds)
        if earlier is None or now.rps + before.rps + earlier.rps <= 0.0:
            return self.dispersion, self.changes
        later, sooner = now.at - before.at, before.at - earlier.at
        change = (now.rps - before.rps) / later - (before.rps - earlier.rps) / sooner
        poisson = now.rps / later**2 + before.rps * (1.0 / later + 1.0 / sooner) ** 2 + earlier.rps / sooner**2
        seen = min(change**2 * window_seconds / poisson, STANDARD_DEVIATIONS**2 * self.dispersion)
        weight = max((now.at - self.readings[-1].at) / MEMORY_SECONDS, 1.0 / (self.changes + 1))
        return max(self.dispersion + min(weight, 1.0) * (seen - self.dispersion), 1.0), self.changes + 1
