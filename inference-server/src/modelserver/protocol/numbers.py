"""JSON has one kind of number: 2.0 is as whole as 2."""

from typing import Any

_EXACT = 2.0**53
"""Beyond it a double is no longer the number that the client wrote."""


def as_whole(value: Any) -> Any:
    """Return a whole float as an int, anything else as it is."""
    return int(value) if type(value) is float and abs(value) <= _EXACT and value.is_integer() else value
