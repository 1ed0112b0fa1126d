"""Timestamps as files have them: read, and written again the same way."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_LATEST_SECONDS: Final = 253_402_300_799.0  # the end of year 9999, the last that a datetime can hold


@dataclass(frozen=True, slots=True)
class StampStyle:
    """How a file writes its times.

    Attributes:
        seconds: Whether as a number of seconds; the rest is about ISO 8601.
        separator: Between date and time.
        offset: From UTC; None: not written, and taken for UTC.
        zulu: Whether UTC is written as Z.
    """

    seconds: bool = False
    separator: str = "T"
    offset: timedelta | None = timedelta(0)
    zulu: bool = True

    def write(self, when: datetime) -> str:
        """Return a time as the file would have it."""
        if self.seconds:
            return f"{when.timestamp():.6f}".rstrip("0").rstrip(".")
        local = when.astimezone(timezone(self.offset or timedelta(0)))
        if self.offset is None:
            return local.replace(tzinfo=None).isoformat(self.separator)
        text = local.isoformat(self.separator)
        return text.removesuffix("+00:00") + "Z" if self.zulu and not self.offset else text


def style_of(text: str) -> StampStyle:
    """Return how a timestamp is written.

    Raises:
        ValueError: it is no timestamp.
    """
    if _is_number(text):
        return StampStyle(seconds=True)
    when = datetime.fromisoformat(text)
    separator = text[10:11] or "T"
    return StampStyle(separator=separator, offset=when.utcoffset(), zulu=text.endswith(("Z", "z")))


def epoch_seconds(text: str, seconds: bool) -> float:
    """Return a timestamp in seconds since 1970, UTC.

    Args:
        text: The timestamp.
        seconds: Whether the file writes seconds.

    Raises:
        ValueError: it is no timestamp of that kind, or none that a calendar has.
    """
    if seconds:
        value = float(text)
        if not 0.0 <= value <= _LATEST_SECONDS:
            raise ValueError(f"{text} s is not between 1970 and 9999")
        return value
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
