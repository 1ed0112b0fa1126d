"""How figures, times and a whole status are written down."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from modelscaler.api.v1alpha1 import ModelDeploymentStatus

SIGNIFICANT_DIGITS: Final = 3
SHARE_PLACES: Final = 4
LONGEST_MESSAGE_CHARACTERS: Final = 1024
LONGEST_WORD_CHARACTERS: Final = 253


def decimal(value: float) -> str:
    """Write a finite, non-negative figure as a plain decimal of three significant digits: 0.00123, 12.3, 1230."""
    rounded = Decimal(f"{value:.{SIGNIFICANT_DIGITS}g}")
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def optional_decimal(value: float | None) -> str | None:
    """Write a figure that may be unknown."""
    return None if value is None else decimal(value)


def optional_share(value: float | None) -> str | None:
    """Write a share or an accuracy between 0 and 1, which may be unknown, as a decimal of four places."""
    return None if value is None else f"{value:.{SHARE_PLACES}f}".rstrip("0").rstrip(".")


def to_the_second(moment: datetime) -> str:
    """Write a time for people, RFC 3339 in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(moment: datetime) -> str:
    """Write a time that decisions are made by, RFC 3339 in UTC to the microsecond."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(text: str) -> datetime | None:
    """Read a time; None when it is not one, since a status may have been edited by hand."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def clipped(text: str, longest: int = LONGEST_MESSAGE_CHARACTERS) -> str:
    """Cut a text to what the schema takes."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def status_body(status: ModelDeploymentStatus) -> dict[str, Any]:
    """Return a status as the API server takes it: camelCase, absent instead of null."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
