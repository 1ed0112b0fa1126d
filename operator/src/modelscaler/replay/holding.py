"""The simulated activator: it holds requests while no replica runs, until one serves."""

from dataclasses import dataclass, replace

from modelscaler.replay.pool import Arriving, Tally


@dataclass(slots=True)
class Holding:
    """What is held. All of it is late: no replica starts within a latency objective.

    Attributes:
        most: How many are held at once.
        active: Whether requests come to the activator.
        requests: How many are held.
        unmeasured: How many of a step's arrivals nobody has counted yet; below 0: so many of earlier ones are counted in it.
    """

    most: float
    active: bool = False
    requests: float = 0.0
    unmeasured: float = 0.0

    def take(self, arriving: Arriving) -> Tally:
        """Hold what arrives, and refuse what is too much; those that are held are answered by the pool that gets them."""
        taken = min(arriving.total, self.most - self.requests)
        self.requests += taken
        self.unmeasured += taken
        return Tally(offered=arriving.total, late=taken, refused=arriving.total - taken)

    def let_go(self) -> float:
        """Return how many were held, and hold none any more."""
        released, self.requests = self.requests, 0.0
        self.unmeasured -= released
        return released

    def measured(self, tally: Tally) -> Tally:
        """Return what is measured of a step: what is held counts as offered where it is answered, and how late nobody knows."""
        if not self.unmeasured:
            return tally
        unmeasured, self.unmeasured = self.unmeasured, 0.0
        return replace(tally, offered=tally.offered - unmeasured, late=tally.late - max(unmeasured, 0.0))
