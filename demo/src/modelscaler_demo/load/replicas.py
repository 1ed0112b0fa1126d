"""Which replica gets the next request: least outstanding, refusing ones left alone for a moment."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

EJECT_SECONDS = 1.0
"""How long a replica that refused a connection is left alone the first time; doubles each time in a row."""
MAX_EJECT_SECONDS = 8.0
MOST_DOUBLINGS = 16
"""More would be too large a number long before a replica that stays away is given up."""


@dataclass(slots=True)
class Replica:
    """One address that answers requests, with what is under way to it."""

    base_url: str
    outstanding: int = 0
    failures_in_row: int = 0
    ejected_until: float = 0.0

    def failed(self, now: float) -> None:
        """Leave this replica alone for a while: it could not be reached, or broke off."""
        self.failures_in_row += 1
        pause = min(EJECT_SECONDS * 2.0 ** min(self.failures_in_row - 1, MOST_DOUBLINGS), MAX_EJECT_SECONDS)
        self.ejected_until = now + pause

    def answered(self) -> None:
        """Trust this replica again."""
        self.failures_in_row = 0
        self.ejected_until = 0.0


@dataclass(slots=True)
class Replicas:
    """The replicas a Service selects now."""

    _by_url: dict[str, Replica] = field(default_factory=dict)
    _turn: int = 0

    def __len__(self) -> int:
        return len(self._by_url)

    def replace(self, base_urls: Iterable[str]) -> None:
        """Take over the present set of addresses; what is known of those that stay is kept."""
        self._by_url = {url: self._by_url.get(url) or Replica(url) for url in sorted(base_urls)}

    def choose(self, tried: Set[str], now: float) -> Replica | None:
        """Return the replica with the fewest requests under way, round robin among equals.

        Args:
            tried: Addresses that this request tried already; they are not chosen.
            now: Monotonic seconds.

        Returns:
            None when no untried replica is left. Ejected replicas are chosen only when there are no others.
        """
        untried = [replica for url, replica in self._by_url.items() if url not in tried]
        if not untried:
            return None
        trusted = [replica for replica in untried if replica.ejected_until <= now] or untried
        fewest = min(replica.outstanding for replica in trusted)
        idle = [replica for replica in trusted if replica.outstanding == fewest]
        self._turn += 1
        return idle[self._turn % len(idle)]
