"""Whether the load rises by more than noise, and how fast. Pure.

A forecast knows the hours and the bursts that come again; what never was before it knows only once it is there. Replicas serve
a start later, and a load that has risen for half a minute mostly goes on. So a rise is followed, for a while only: a trend that
is followed for good overshoots (Gardner and McKenzie 1985, "Forecasting trends in time series").

What noise explains is learned. The difference of two Poisson counts has their sum for a variance; that of real loads is a
multiple of it, the index of dispersion. It is estimated on changes of the rise, not of the load: a steady ramp is no noise.
"""

from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

FOLLOWED_SECONDS: Final = 90.0
"""A rise is taken to go on for no longer."""

STANDARD_DEVIATIONS: Final = 4.0
"""Only what is more than so many standard deviations of the noise counts as a rise."""

MOST_MULTIPLE: Final = 2.0
"""No more is added than so many times what the load has risen by lately: it may have been a step, and be over."""

MEMORY_SECONDS: Final = 3600.0
"""What was seen so long ago counts for a third of what is seen now."""

LEAST_SECONDS: Final = 300.0
"""Nothing is a rise before the noise was seen for so long."""

LONGEST_SPAN_WINDOWS: Final = 3.0
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
        rates: The newest, oldest first: what two rate windows without overlap need, and some more.
        dispersion: Index of dispersion, at least 1, learned from the differences between successive rises.
        learned_seconds: For how long.
        rise_rps_per_second: By how much more the load rises than noise explains; 0: it does not, or it is not known.
    """

    rates: tuple[Rate, ...] = ()
    dispersion: float = 1.0
    learned_seconds: float = 0.0
    rise_rps_per_second: float = 0.0

    def after(self, at: float, rps: float | None, window_seconds: float) -> "Course":
        """Return the course with one more reading.

        Args:
            at: When the rate window ended, in seconds; where the clock went back all begins anew.
            rps: Offered load; None: it is not known in full, and what comes next is not compared with what was before.
            window_seconds: Length of the rate window.
        """
        if rps is None or (self.rates and at <= self.rates[-1].at):
            return replace(self, rates=() if rps is None else (Rate(at, rps),), rise_rps_per_second=0.0)
        now, before = Rate(at, rps), self._newest(at, window_seconds)
        longest_seconds = LONGEST_SPAN_WINDOWS * window_seconds
        rates = (*(rate for rate in self.rates if at - rate.at < 2.0 * longest_seconds), now)
        if before is None or at - before.at > longest_seconds:
            return replace(self, rates=rates, rise_rps_per_second=0.0)
        dispersion, seconds = self._learned(now, before, window_seconds)
        return Course(rates, dispersion, seconds, self._rise(now, before, window_seconds))

    def _newest(self, at: float, window_seconds: float) -> Rate | None:
        """Return the newest rate whose window ended before that of a rate `at` began."""
        until = at - window_seconds * (1.0 - SHARED_WINDOW)
        return next((rate for rate in reversed(self.rates) if rate.at <= until), None)

    def _rise(self, now: Rate, before: Rate, window_seconds: float) -> float:
        """Return how steep the rise is that noise does not explain; a load that comes back to where it just was has none."""
        lately = [rate.rps for rate in self.rates]
        if self.learned_seconds < LEAST_SECONDS or now.rps <= max(lately):
            return 0.0
        noise = sqrt(self.dispersion * (now.rps + before.rps) / window_seconds)
        beyond = max(now.rps - before.rps - STANDARD_DEVIATIONS * noise, 0.0)
        return min(beyond / (now.at - before.at), MOST_MULTIPLE * (now.rps - min(lately)) / FOLLOWED_SECONDS)

    def _learned(self, now: Rate, before: Rate, window_seconds: float) -> tuple[float, float]:
        """Return dispersion and how long it was learned, with one more difference; what is far off counts as just a rise."""
        earlier = self._newest(before.at, window_seconds)
        if earlier is None:
            return self.dispersion, self.learned_seconds
        later, sooner = now.at - before.at, before.at - earlier.at
        difference = (now.rps - before.rps) / later - (before.rps - earlier.rps) / sooner
        poisson = now.rps / later**2 + before.rps * (1.0 / later + 1.0 / sooner) ** 2 + earlier.rps / sooner**2
        if poisson <= 0.0:
            return self.dispersion, self.learned_seconds
        seen = min(difference**2 * window_seconds / poisson, STANDARD_DEVIATIONS**2 * self.dispersion)
        passed_seconds = now.at - self.rates[-1].at
        seconds = self.learned_seconds + passed_seconds
        weight = passed_seconds / min(seconds, MEMORY_SECONDS)
        return max(self.dispersion + min(weight, 1.0) * (seen - self.dispersion), 1.0), seconds
