"""The one error of a spec that cannot be used: it names the field, the value and what was expected."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

LONGEST_SHOWN_CHARACTERS: Final = 80


class InvalidSpec(ValueError):  # noqa: N818 - the same word as the condition's reason
    """A spec, profile or file that cannot be used.

    Args:
        field: Dotted path, for example `spec.variants[0].accuracy`.
        value: What was found there; None when the field is missing.
        expected: What would be right, as a phrase: "at most scaling.maxReplicas (3)".
    """

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: {_shown(value)}, expected {expected}")


def invalid_from(error: ValidationError, root: str = "") -> list[InvalidSpec]:
    """Turn pydantic's errors into ours, in the order of the spec."""
    return [_one(details, root) for details in error.errors(include_url=False, include_context=False)]


def _one(details: ErrorDetails, root: str) -> InvalidSpec:
    field = dotted(details["loc"], root)
    match details["type"]:
        case "missing":
            return InvalidSpec(field, None, "a value: the field is required")
        case "extra_forbidden":
            return InvalidSpec(
                field, details["input"], "no such field; see `kubectl explain modeldeployment --recursive`"
            )
        case _:
            return InvalidSpec(field, details["input"], _phrase(details["msg"]))


def dotted(location: Sequence[Any], root: str = "") -> str:
    """Write a location as people write paths: `spec.variants[0].accuracy`."""
    path = root
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f".{part}" if path else str(part)
    return path


def _phrase(message: str) -> str:
    """Turn "Input should be less than 3" into "less than 3"."""
    for opening in ("Input should be ", "Value should have ", "List should have ", "Dictionary should have "):
        message = message.removeprefix(opening)
    return message[:1].lower() + message[1:]


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    text = repr(value)
    cut = text if len(text) <= LONGEST_SHOWN_CHARACTERS else text[: LONGEST_SHOWN_CHARACTERS - 1] + "…"
    return f"got {cut}"
