"""One replica in one slot: how large batches are, how fast it goes, who waits too long. Pure.

A replica that takes whatever waits, up to B, does batches of x = r (a x + b) at a steady rate r, so x = r b / (1 - r a); what
is left over from earlier slots is in its batches besides. An arrival waits for the batch under way, which it finds at a
uniform point, then for its own: between one and two batch times. What exceeds B waits for its turn before that. How close this
comes to a simulation of every single request is measured in the tests.
"""

from dataclasses import dataclass

from modelscaler.domain import ReplicaCapacity


@dataclass(frozen=True, slots=True)
class Speed:
    """A replica's batch of n takes `overhead_seconds + n * per_request_seconds`, n up to `most`."""

    per_request_seconds: float
    overhead_seconds: float
    most: float

    @classmethod
    def of(cls, capacity: ReplicaCapacity) -> "Speed":
        """Return the speed of a replica."""
        return cls(capacity.per_request_seconds, capacity.overhead_seconds, float(capacity.max_batch))

    @property
    def largest_rps(self) -> float:
        """Throughput with full batches."""
        return self.most / self.batch_seconds(self.most)

    def batch_seconds(self, requests: float) -> float:
        """Return how long a batch takes."""
        return self.overhead_seconds + requests * self.per_request_seconds

    def waiting(self, left: float, rps: float) -> float:
        """Return how many requests wait when a batch starts.

        Args:
            left: Per replica, left over from earlier.
            rps: Arrivals per second and replica.

        Returns:
            At least 1; above `most` when one batch cannot take them all.
        """
        spare = 1.0 - rps * self.per_request_seconds
        full = left + rps * self.batch_seconds(self.most)
        if spare <= 0.0:
            return max(full, 1.0)
        steady = (left + rps * self.overhead_seconds) / spare
        return max(steady if steady <= self.most else full, 1.0)

    def served_rps(self, waiting: float) -> float:
        """Return the throughput while so many wait at the start of a batch."""
        batch = min(waiting, self.most)
        return batch / self.batch_seconds(batch)

    def late_share(self, waiting: float, seconds: float) -> float:
        """Return what share of arrivals is answered later than `seconds` after they came, while so many wait."""
        batch = self.batch_seconds(min(waiting, self.most))
        turn = max(waiting - self.most, 0.0) / self.largest_rps
        return min(max((turn + 2.0 * batch - seconds) / batch, 0.0), 1.0)

    def calm_rps(self, seconds: float) -> float:
        """Return the steady rate up to which nobody is late; 0 where somebody always is."""
        if 2.0 * self.batch_seconds(1.0) > seconds:
            return 0.0
        batch = min((seconds / 2.0 - self.overhead_seconds) / self.per_request_seconds, self.most)
        return batch / self.batch_seconds(batch)
