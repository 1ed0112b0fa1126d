"""Readings of metrics: absence never looks like zero."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Value:
    """A positive, finite, fresh sample."""

    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Zero:
    """A fresh sample that is truly zero."""

    at: datetime


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A fresh sum that leaves some replicas out: the number is no less than `value`, and `missing` of them are not in it."""

    value: float
    missing: int


@dataclass(frozen=True, slots=True)
class Absent:
    """The source answered, and has no such series."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The newest sample is too old to speak of now."""

    age_seconds: float


@dataclass(frozen=True, slots=True)
class SourceError:
    """The source failed, or answered NaN, an infinity, a negative rate or garbage."""

    message: str


Reading: TypeAlias = Value | Zero | AtLeast | Absent | Stale | SourceError


def known(reading: Reading) -> float | None:
    """Return the number of a value or a true zero; None for everything that is not knowledge."""
    match reading:
        case Value(value=value):
            return value
        case Zero():
            return 0.0
        case _:
            return None


def least(reading: Reading) -> float:
    """Return what a reading is at least: 0 when nothing is known."""
    return reading.value if isinstance(reading, AtLeast) else known(reading) or 0.0


def is_unknown(reading: Reading) -> bool:
    """Tell whether nothing at all is known: there is no number, and no bound of one."""
    return known(reading) is None and not isinstance(reading, AtLeast)
