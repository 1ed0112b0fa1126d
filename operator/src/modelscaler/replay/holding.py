"""The simulated activator: it holds requests while no replica runs, until one serves."""

from dataclasses import dataclass
from typing import Final

from modelscaler.replay.pool import Arriving, Tally

MOST_HELD: Final = 1000.0
"""As `scaling.scaleToZero.maxHeldRequests` is by default."""


@dataclass(slots=True)
class Holding:
    """What is held. All of it is late: no replica starts within a latency objective.

    Attributes:
        active: Whether requests come to the activator.
        requests: How many are held.
    """

    active: bool = False
    requests: float = 0.0

    def take(self, arriving: Arriving) -> Tally:
        """Hold what arrives, and refuse what is too much; those that are held are answered by the pool that gets them."""
        taken = min(arriving.total, MOST_HELD - self.requests)
        self.requests += taken
        return Tally(offered=arriving.total, late=taken, refused=arriving.total - taken)

    def let_go(self) -> float:
        """Return how many were held, and hold none any more."""
        released, self.requests = self.requests, 0.0
        return released
