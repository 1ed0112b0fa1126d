"""Chunks of the fleet side by side: numpy lets go of the interpreter while it computes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Final, TypeVar

from threadpoolctl import ThreadpoolController

WORKERS: Final = 2  # the loop and the API server want a core as well

Part = TypeVar("Part")
Result = TypeVar("Result")


class Abreast:
    """Does the same work on several parts, two at a time."""

    def __init__(self) -> None:
        """Start nothing; threads come with the first work that has more than one part."""
        self._pool: ThreadPoolExecutor | None = None

    def each(self, work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Return what comes of the work on each part, in their order."""
        with one_thread_each():
            if len(parts) < 2:
                return [work(part) for part in parts]
            if self._pool is None:
                self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="forecast")
            return list(self._pool.map(work, parts))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def one_thread_each() -> AbstractContextManager[object]:
    """Return a context in which matrix products use one thread: several that wait for each other only cost time."""
    limit: AbstractContextManager[object] = _pools().limit(limits=1)
    return limit


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()  # looking the loaded libraries up takes milliseconds, limiting them does not
