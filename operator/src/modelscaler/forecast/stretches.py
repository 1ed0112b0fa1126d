"""Means, maxima and counts over single stretches of many series, from arrays in which a row is a moment and not a series.

So numpy adds and compares all series side by side, which is several times as fast as along each of them.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats

KNOWN_SHARE_OF_PEAK: Final = 0.7  # a maximum over fewer known values than this would be too low too often

Loads: TypeAlias = NDArray[np.float32]
Counts: TypeAlias = NDArray[np.floating] | NDArray[np.integer]


class Reader(Protocol):
    """Reads stretches of B series, from column `start` up to but not with `stop`."""

    @property
    def columns(self) -> int:
        """How many columns there are."""

    def total(self, start: int, stop: int) -> tuple[Floats, Counts]:
        """Return the sums of the known values and how many there are, each (B,)."""

    def most(self, start: int, stop: int) -> tuple[Loads, Counts]:
        """Return the largest of the known maxima, NaN without any, and how many there are, each (B,)."""

    def known(self, start: int, stop: int) -> Counts:
        """Return how many values are known, (B,)."""


class Stretches:
    """What single stretches hold, shape (B, 1); each is looked at once."""

    def __init__(self, reader: Reader) -> None:
        """Start without a look."""
        self._reader = reader
        self._found: dict[tuple[str, int, int], Loads] = {}

    def mean(self, end: int, length: int) -> Loads:
        """Return the mean of the known values among the `length` that end at a column; NaN without any."""
        return self._remembered("mean", end, length, self._mean)

    def peak(self, end: int, length: int) -> Loads:
        """Return the maximum of the `length` values that end at a column; NaN where too few are known."""
        return self._remembered("peak", end, length, lambda start, stop: self._peak(start, stop, end, length))

    def known(self, end: int) -> Loads:
        """Return how many values up to a column are known."""
        return self._remembered("known", end, self._reader.columns, self._count)

    def _mean(self, start: int, stop: int) -> Loads:
        total, count = self._reader.total(start, stop)
        mean = np.maximum(total / np.maximum(count, 1), 0.0)
        return np.where(count > 0, mean, np.nan).astype(np.float32)

    def _peak(self, start: int, stop: int, end: int, length: int) -> Loads:
        most, count = self._reader.most(start, stop if end + 1 >= length else start)
        return np.where(count >= max(1.0, KNOWN_SHARE_OF_PEAK * length), most, np.float32(np.nan))

    def _count(self, start: int, stop: int) -> Loads:
        return self._reader.known(start, stop).astype(np.float32)

    def _remembered(self, kind: str, end: int, length: int, look: Callable[[int, int], Loads]) -> Loads:
        if (kind, end, length) not in self._found:
            stop = min(max(end, -1), self._reader.columns - 1) + 1
            start = min(max(end + 1 - length, 0), stop)
            self._found[kind, end, length] = look(start, stop)[:, None]
        return self._found[kind, end, length]


class Moments:
    """At most 255 moments of B series, (columns, B), NaN where unknown: prepared for sums and maxima over any of them."""

    def __init__(self, values: Loads) -> None:
        """Look which are known."""
        self.values = values
        self._filled = values  # with zeros where nothing is known
        self._known: NDArray[np.uint8] | None = None  # None: everywhere
        gaps = np.isnan(values)
        if gaps.any():
            self._filled = np.where(gaps, np.float32(0.0), values)
            self._known = np.logical_not(gaps, out=gaps).view(np.uint8)

    def total(self, start: int, stop: int) -> tuple[Loads, Counts]:
        """Return the sums of the known values from one row up to another, and how many there are, each (B,)."""
        return np.add.reduce(self._filled[start:stop], axis=0), self._count(start, stop)

    def most(self, start: int, stop: int) -> tuple[Loads, Counts]:
        """Return the largest known values from one row up to another, and how many are known, each (B,)."""
        return np.fmax.reduce(self.values[start:stop], axis=0), self._count(start, stop)

    def _count(self, start: int, stop: int) -> Counts:
        if self._known is None:
            return np.full(self.values.shape[1], stop - start, dtype=np.uint8)
        count: NDArray[np.uint8] = np.add.reduce(self._known[start:stop], axis=0, dtype=np.uint8)
        return count
