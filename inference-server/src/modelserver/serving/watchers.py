"""Several observers of one engine, which may come after it: workers start before what watches them is imported."""

from modelserver.compute.executor import Loaded
from modelserver.engine.answers import BatchDone, Observer


class Watchers:
    """An `Observer` that tells others.

    Attributes:
        others: Whom.
    """

    def __init__(self) -> None:
        self.others: list[Observer] = []

    def on_loaded(self, worker: int, loaded: Loaded) -> None:
        """See `Observer`."""
        for other in self.others:
            other.on_loaded(worker, loaded)

    def on_batch(self, done: BatchDone) -> None:
        """See `Observer`."""
        for other in self.others:
            other.on_batch(done)

    def on_dropped(self, reason: str, rows: int) -> None:
        """See `Observer`."""
        for other in self.others:
            other.on_dropped(reason, rows)

    def on_lost(self, worker: int, reason: str) -> None:
        """See `Observer`."""
        for other in self.others:
            other.on_lost(worker, reason)

    def on_stage_lost(self, reason: str) -> None:
        """See `Observer`."""
        for other in self.others:
            other.on_stage_lost(reason)

    def on_cache(self, hit: bool) -> None:
        """See `Observer`."""
        for other in self.others:
            other.on_cache(hit)
