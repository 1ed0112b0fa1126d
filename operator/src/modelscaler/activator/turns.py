"""Whose turn it is to be forwarded: while a replica is known to be there, a few at once, oldest first."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Final

from modelscaler.activator.words import RefusalReason, RefusedError

MOST_AT_ONCE: Final = 64
FRESH_SECONDS: Final = 1.0
LONGEST_TURN_SECONDS: Final = 5.0


class Turn:
    """Leave to forward one request.

    Args:
        on_end: Called once.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._timer = asyncio.get_running_loop().call_later(LONGEST_TURN_SECONDS, self.end)
        self._has_ended = False

    def end(self) -> None:
        """Let another one go; by itself after a while, since a slow answer must not keep all others waiting."""
        if not self._has_ended:
            self._has_ended = True
            self._timer.cancel()
            self._on_end()


class Turns:
    """Gives turns.

    Args:
        clock: Seconds, monotonic.
        most_at_once: Turns that have not ended, so that not all held requests reach a new replica in one moment.
    """

    def __init__(self, clock: Callable[[], float], most_at_once: int = MOST_AT_ONCE) -> None:
        self.someone_waits = asyncio.Event()
        self._clock = clock
        self._free = most_at_once
        self._fresh_until = float("-inf")
        self._order: list[int] = []
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._order)

    @property
    def is_replica_known(self) -> bool:
        """Whether a replica was seen a moment ago, and nothing spoke against it since."""
        return self._clock() < self._fresh_until

    def seen(self, ready: bool) -> None:
        """Note that a replica answered, or that none did."""
        self._fresh_until = self._clock() + FRESH_SECONDS if ready else float("-inf")
        self._let_go()

    async def take(self, ticket: int) -> Turn:
        """Wait for a turn.

        Args:
            ticket: Of the request; of those that wait, the lowest is next.

        Raises:
            RefusedError: The activator stops.
        """
        given = self._enqueue(ticket)
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled() and given.exception() is None:
                self._end_one()
            raise
        finally:
            self._forget(ticket)
        return Turn(self._end_one)

    def close(self) -> None:
        """Refuse all that wait, and all that come and would have to wait."""
        self._is_closed = True
        for given in list(self._waiting.values()):
            if not given.done():
                given.set_exception(_stopping())

    def _enqueue(self, ticket: int) -> asyncio.Future[None]:
        if self._is_closed and not (self.is_replica_known and self._free > 0):
            raise _stopping()
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        insort(self._order, ticket)
        self._waiting[ticket] = given
        self.someone_waits.set()
        self._let_go()
        return given

    def _let_go(self) -> None:
        while self._free > 0 and self._order and self.is_replica_known:
            given = self._waiting[self._order[0]]
            self._forget(self._order[0])
            if not given.done():
                self._free -= 1
                given.set_result(None)

    def _forget(self, ticket: int) -> None:
        if self._waiting.pop(ticket, None) is not None:
            del self._order[bisect_left(self._order, ticket)]
        if not self._order:
            self.someone_waits.clear()

    def _end_one(self) -> None:
        self._free += 1
        self._let_go()


def _stopping() -> RefusedError:
    return RefusedError(
        RefusalReason.STOPPING, "This activator stops, and no replica became ready in time; send it again now."
    )
