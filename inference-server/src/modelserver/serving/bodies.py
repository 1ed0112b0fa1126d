"""The memory of all bodies that are being read or answered, counted as it comes: a promised body costs nothing."""

from modelserver.errors import UnavailableError


class Bodies:
    """Bounds them together.

    Args:
        limit_bytes: Of them all; one alone is always taken.

    Attributes:
        held_bytes: Of them all, now.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.held_bytes = 0

    def check(self, own_bytes: int, more_bytes: int) -> None:
        """Refuse a body, or more of it, when others leave no room.

        Args:
            own_bytes: Of it, that are held.
            more_bytes: Of it, that come.

        Raises:
            UnavailableError: Saying how many are held.
        """
        others = self.held_bytes - own_bytes
        if others and self.held_bytes + more_bytes > self._limit_bytes:
            raise UnavailableError(
                f"bodies: {others} bytes of other requests are held and {own_bytes + more_bytes} more were sent, expected "
                f"at most {self._limit_bytes}; try again later"
            )


class HeldBody:
    """One body.

    Args:
        bodies: All of them.
    """

    __slots__ = ("_bodies", "_bytes")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._bytes = 0

    def grow(self, more_bytes: int) -> None:
        """Count more of it.

        Raises:
            UnavailableError: When others leave no room.
        """
        self._bodies.check(self._bytes, more_bytes)
        self.settle(self._bytes + more_bytes)

    def settle(self, size_bytes: int) -> None:
        """Count it as it is now."""
        self._bodies.held_bytes += size_bytes - self._bytes
        self._bytes = size_bytes
