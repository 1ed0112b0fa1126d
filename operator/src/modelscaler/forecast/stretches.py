"""Means, maxima and counts over single stretches of many series, from pieces in which a row is a moment and not a series.

So numpy adds and compares all series side by side, which is several times as fast as along each of them.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats

KNOWN_SHARE_OF_PEAK: Final = 0.7  # a maximum over fewer known values than this would be too low too often

Loads: TypeAlias = NDArray[np.float32]
Pieces: TypeAlias = Sequence[Loads]


class Reader(Protocol):
    """Reads stretches of B series, from column `start` up to but not with `stop`."""

    @property
    def columns(self) -> int:
        """How many columns there are."""

    def values(self, start: int, stop: int) -> Pieces:
        """Return the values, (columns, B) in one or more pieces; at least one piece."""

    def maxima(self, start: int, stop: int) -> Pieces:
        """Return the maxima that the cells hold, in pieces as well."""

    def total(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Return the sums of the known values and how many there are, each (B,)."""


class Stretches:
    """What single stretches hold, shape (B, 1); each is looked at once."""

    def __init__(self, reader: Reader) -> None:
        """Start without a look."""
        self._reader = reader
        self._found: dict[tuple[str, int, int], Loads] = {}

    def mean(self, end: int, length: int) -> Loads:
        """Return the mean of the known values among the `length` that end at a column; NaN without any."""
        return self._remembered("mean", end, length, lambda start, stop: mean_of(*self._reader.total(start, stop)))

    def peak(self, end: int, length: int) -> Loads:
        """Return the maximum of the `length` values that end at a column; NaN where too few are known."""
        return self._remembered("peak", end, length, lambda start, stop: self._peak(start, stop, end, length))

    def known(self, end: int) -> Loads:
        """Return how many values up to a column are known."""
        return self._remembered("known", end, self._reader.columns, self._count)

    def _peak(self, start: int, stop: int, end: int, length: int) -> Loads:
        return peak_of(self._reader.maxima(start, stop if end + 1 >= length else start), length)

    def _count(self, start: int, stop: int) -> Loads:
        return self._reader.total(start, stop)[1].astype(np.float32)

    def _remembered(self, kind: str, end: int, length: int, look: Callable[[int, int], Loads]) -> Loads:
        if (kind, end, length) not in self._found:
            stop = min(max(end, -1), self._reader.columns - 1) + 1
            start = min(max(end + 1 - length, 0), stop)
            self._found[kind, end, length] = look(start, stop)[:, None]
        return self._found[kind, end, length]


def total_of(pieces: Pieces) -> tuple[Floats, Floats]:
    """Return the sums of the known values of a stretch and how many there are, each (B,)."""
    total, count = (np.zeros(pieces[0].shape[1]) for _ in range(2))
    for piece in pieces:
        sums = np.add.reduce(piece, axis=0)
        gaps = np.flatnonzero(np.isnan(sums))
        count += len(piece)
        if len(gaps):
            known = np.isfinite(piece[:, gaps])
            sums[gaps] = np.where(known, piece[:, gaps], 0.0).sum(axis=0)
            count[gaps] += known.sum(axis=0) - len(piece)
        total += sums
    return total, count


def mean_of(total: Floats, count: Floats) -> Loads:
    """Return means, not below zero; NaN where nothing is known."""
    mean = np.maximum(total / np.maximum(count, 1.0), 0.0)
    return np.where(count > 0, mean, np.nan).astype(np.float32)


def peak_of(pieces: Pieces, length: int) -> Loads:
    """Return the maxima of a stretch that has `length` columns when whole, (B,); NaN where too few are known."""
    least = max(1.0, KNOWN_SHARE_OF_PEAK * length)
    if sum(len(piece) for piece in pieces) < least:
        return np.full(pieces[0].shape[1], np.nan, dtype=np.float32)
    most: Loads = np.maximum.reduce([np.maximum.reduce(piece, axis=0) for piece in pieces if len(piece)])
    gaps = np.flatnonzero(np.isnan(most))
    if len(gaps):
        stretch = np.concatenate([piece[:, gaps] for piece in pieces])
        known = np.isfinite(stretch)
        found = np.where(known, stretch, -np.inf).max(axis=0)
        most[gaps] = np.where(known.sum(axis=0) >= least, found, np.float32(np.nan))
    return most
