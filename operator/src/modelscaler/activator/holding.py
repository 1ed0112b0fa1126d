"""How much is held: requests, bytes of their bodies, and when that is too much."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from modelscaler.activator.words import RefusalReason, RefusedError


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an activator takes.

    Attributes:
        hold_seconds: From a request's arrival until it is refused when no replica came.
        most_held: Requests in the house, which they leave when they are answered.
        most_body_bytes: Of one request.
        most_held_bytes: Of all bodies in the house.
        body_seconds: For a client to send the whole body.
    """

    hold_seconds: float = 600.0
    most_held: int = 1000
    most_body_bytes: int = 64 << 20
    most_held_bytes: int = 128 << 20
    body_seconds: float = 60.0


class Holding:
    """Counts what is held.

    Args:
        limits: Beyond which nothing more is taken.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = 0
        self.body_bytes = 0
        self.waiting = 0
        self._admitted = 0
        self._somebody_waits = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    async def empties_within(self, seconds: float) -> None:
        """Wait until no request is in the house, at most that long."""
        await _within(seconds, self._empty)

    async def waited_within(self, seconds: float) -> int:
        """Wait until a request waits for a replica, at most that long; return how many do."""
        await _within(seconds, self._somebody_waits)
        return self.waiting

    def count_waiting(self, more: int) -> None:
        """Count requests that begin to wait for a replica, or, below 0, that no longer do."""
        self.waiting += more
        if self.waiting:
            self._somebody_waits.set()
        else:
            self._somebody_waits.clear()

    @contextmanager
    def place(self, announced_bytes: int | None) -> Iterator["Place"]:
        """Give a request a place until it is answered.

        Args:
            announced_bytes: Length of its body; None when it does not say.

        Raises:
            RefusedError: There is no room for it, or its body is too large.
        """
        if self.requests >= self.limits.most_held:
            raise RefusedError(
                RefusalReason.TOO_MANY,
                f"{self.requests} requests wait for a replica already, which is the most that are held; send it again later.",
            )
        self._check(0, announced_bytes or 0)
        self._admitted += 1
        self._empty.clear()
        place = Place(self, self._admitted)
        try:
            yield place
        finally:
            place.leave()
            if not self.requests:
                self._empty.set()

    def grow(self, body_bytes: int, more_bytes: int) -> None:
        """Count bytes of a body that are about to be kept.

        Args:
            body_bytes: What was kept of it before.
            more_bytes: What is added.

        Raises:
            RefusedError: There is no room for them, or the body becomes too large.
        """
        self._check(body_bytes, more_bytes)
        self.body_bytes += more_bytes

    def _check(self, body_bytes: int, more_bytes: int) -> None:
        limits = self.limits
        if body_bytes + more_bytes > limits.most_body_bytes:
            raise RefusedError(
                RefusalReason.BODY_TOO_LARGE,
                f"The body has more than {limits.most_body_bytes} bytes, which is the most that is held; send less at once.",
            )
        if self.body_bytes + more_bytes > limits.most_held_bytes:
            raise RefusedError(
                RefusalReason.TOO_MANY_BYTES,
                f"The bodies of the requests that wait for a replica would exceed {limits.most_held_bytes} bytes, "
                "which is the most that is held; send it again later.",
            )


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait until it happens, at most that long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Place:
    """One request's part of what is held.

    Args:
        holding: Of all.
        ticket: Rises from request to request: the older has the lower.
    """

    def __init__(self, holding: Holding, ticket: int) -> None:
        self.ticket = ticket
        self._holding = holding
        self._body_bytes = 0
        self._waits = False
        holding.requests += 1
        self.come_back()

    def grow(self, more_bytes: int) -> None:
        """Count bytes of the body; raises what `Holding.grow` does."""
        self._holding.grow(self._body_bytes, more_bytes)
        self._body_bytes += more_bytes

    def free_body(self) -> None:
        """Count the body no longer: it was forwarded, or is not kept."""
        self._holding.body_bytes -= self._body_bytes
        self._body_bytes = 0

    def set_out(self) -> None:
        """It is on its way to a replica: it does not wait here."""
        if self._waits:
            self._waits = False
            self._holding.count_waiting(-1)

    def come_back(self) -> None:
        """It waits here, again."""
        if not self._waits:
            self._waits = True
            self._holding.count_waiting(1)

    def leave(self) -> None:
        """It is answered, or nobody wants the answer."""
        self.free_body()
        self.set_out()
        self._holding.requests -= 1
