"""The bounded queue of rows between the event loop and the compute thread."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelserver.errors import QueueFullError, UnavailableError


@dataclass
class PendingRequest:
    """A request whose rows are on their way. Touched by the compute thread only, once it is queued.

    Attributes:
        rows: The model's rows.
        finish: Called once, on the compute thread, with the answers in row order or the first error.
        answers: By row; filled in any order.
        missing: Rows not yet settled.
        error: First error of a row.
    """

    rows: Sequence[Any]
    finish: Callable[["PendingRequest"], object]
    answers: list[Any] = field(init=False)
    missing: int = field(init=False)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.missing = len(self.rows)
        self.answers = [None] * self.missing

    def settle(self, row: int, answer: object, error: Exception | None = None) -> None:
        """Record a row's answer or error; the last one finishes the request."""
        self.answers[row] = answer
        self.error = self.error or error
        self.missing -= 1
        if self.missing == 0:
            self.finish(self)


@dataclass(frozen=True)
class QueuedRow:
    """One row of a pending request."""

    request: PendingRequest
    index: int

    @property
    def row(self) -> object:
        """Return the model's row."""
        return self.request.rows[self.index]


class RowQueue:
    """First in, first out, bounded.

    Args:
        capacity: Rows that may wait. An empty queue takes any one request, so that a large one is not refused for ever.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rows: deque[QueuedRow] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def requests_waiting(self) -> int:
        """Return how many requests have rows that wait."""
        with self._changed:
            return len({id(queued.request) for queued in self._rows})

    def put(self, request: PendingRequest) -> None:
        """Queue all rows of a request, or none.

        Raises:
            QueueFullError: When they do not fit.
            UnavailableError: When the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise UnavailableError("the server is shutting down; send the request elsewhere")
            waiting = len(self._rows)
            if waiting and waiting + len(request.rows) > self._capacity:
                raise QueueFullError(
                    f"{waiting} rows wait and {len(request.rows)} more were sent, expected at most {self._capacity} "
                    "waiting; try again later"
                )
            self._rows.extend(QueuedRow(request, index) for index in range(len(request.rows)))
            self._changed.notify()

    def take(self, limit: int) -> list[QueuedRow]:
        """Wait for rows and return at most `limit` of them, whatever is there; none when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._rows or self._closed)
            return [self._rows.popleft() for _ in range(min(limit, len(self._rows)))]

    def close(self) -> None:
        """Take nothing more; what is queued can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
