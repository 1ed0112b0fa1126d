"""When something last moved: a server where requests wait and nothing does is not live."""

from collections.abc import Callable

from modelserver.compute.executor import Loaded
from modelserver.engine.answers import BatchDone


class Movement:
    """An `Observer` of the engine.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._moved = clock()

    def stalled_seconds(self) -> float:
        """Return for how long nothing has moved."""
        return self._clock() - self._moved

    def note(self) -> None:
        """Note that something moves, or that nothing has to."""
        self._moved = self._clock()

    def on_loaded(self, worker: int, loaded: Loaded) -> None:  # noqa: ARG002 - the observer's signature
        """See `Observer`."""
        self.note()

    def on_batch(self, done: BatchDone) -> None:  # noqa: ARG002 - ditto
        """See `Observer`."""
        self.note()

    def on_dropped(self, reason: str, rows: int) -> None:
        """See `Observer`; a request that gives up is not what makes a server live."""

    def on_lost(self, worker: int, reason: str) -> None:  # noqa: ARG002 - ditto
        """See `Observer`."""
        self.note()

    def on_stage_lost(self, reason: str) -> None:  # noqa: ARG002 - ditto
        """See `Observer`."""
        self.note()

    def on_cache(self, hit: bool) -> None:
        """See `Observer`."""
