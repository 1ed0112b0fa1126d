"""Keeps the learned model to one thread: the loop, the API server and the training share few cores."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()  # looking the loaded libraries up takes milliseconds, limiting them does not


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which scikit-learn and numpy use one thread; threads that wait for each other only cost time."""
    limit: AbstractContextManager[object] = _pools().limit(limits=1)
    return limit
