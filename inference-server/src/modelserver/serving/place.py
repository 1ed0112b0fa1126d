"""A front among its siblings: which share of the server is its own, and what they leave for each other on disk."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from modelserver.serving.settings import ServeSettings

LADDER_FILE = "ladder.json"
METRICS_DIRECTORY = "metrics"
_FRONT_BYTES = 64 * 1024 * 1024
"""What a front takes itself, roughly."""
_WORKERS_SHARE = 0.95
"""Of what fronts leave of the container's memory; the rest is for the kernel's own."""
_LEAST_WORKER_BYTES = 96 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """Where a front stands.

    Attributes:
        index: From 0.
        count: Fronts of the server.
        directory: Private to the fronts of this server; None when there is only one.
        waits_until_ready: Whether it accepts connections only once it is ready: it takes the place of one that crashed,
            and the others answer meanwhile.
    """

    index: int = 0
    count: int = 1
    directory: Path | None = None
    waits_until_ready: bool = False

    def tell_ready(self) -> None:
        """Tell the siblings that this front has been ready."""
        if self.directory is not None:
            self._ready_file(self.index).touch()

    def has_been_ready(self) -> bool:
        """Say whether this front, or one in its place before, has been ready."""
        return self.directory is not None and self._ready_file(self.index).exists()

    def siblings_waited_for(self) -> int:
        """Return how many fronts have not been ready yet, since the server began."""
        if self.directory is None:
            return 0
        return sum(not self._ready_file(index).exists() for index in range(self.count))

    def tell_failure(self, error: Exception) -> None:
        """Leave the reason why this front ends."""
        if self.directory is not None:
            self._failure_file().write_text(str(error))

    def failure(self) -> str | None:
        """Return why this front ended; None when it did not say."""
        if self.directory is None or not self._failure_file().exists():
            return None
        return self._failure_file().read_text()

    def _ready_file(self, index: int) -> Path:
        return self._in_directory(f"ready-{index}")

    def _failure_file(self) -> Path:
        return self._in_directory(f"failure-{self.index}")

    def _in_directory(self, name: str) -> Path:
        if self.directory is None:
            raise AssertionError(f"{name}: expected a directory, since there are several fronts")
        return self.directory / name


def _share(whole: int, place: Place) -> int:
    return max(1, whole // place.count + (place.index < whole % place.count))


def share_of(
    settings: ServeSettings, place: Place, default_workers: int, memory_limit_bytes: int | None
) -> ServeSettings:
    """Return the settings of one front: its share of workers, queue, cache and memory.

    Args:
        settings: Of the whole server.
        place: Of the front.
        default_workers: Of the server, where the settings state none.
        memory_limit_bytes: Of the container; None for no limit.
    """
    workers = settings.workers or default_workers
    all_workers = sum(_share(workers, replace(place, index=index)) for index in range(place.count))
    worker_bytes = settings.worker_memory_limit_bytes
    if worker_bytes is None and memory_limit_bytes is not None:
        left = _WORKERS_SHARE * memory_limit_bytes - place.count * (_FRONT_BYTES + settings.cache_bytes // place.count)
        worker_bytes = max(_LEAST_WORKER_BYTES, int(left) // all_workers)
    return replace(
        settings,
        workers=_share(workers, place),
        max_queue=math.ceil(settings.max_queue / place.count),
        cache_bytes=settings.cache_bytes // place.count,
        worker_memory_limit_bytes=worker_bytes,
    )
