"""One resolution of the store's history that is unpacked only where it is looked at.

A forecast from one origin looks at the last day, at windows in the same minutes of earlier days, and else only at a few means:
a small part of what is kept. What is looked at one by one is unpacked in pages, long sums are made from packed numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats
from modelscaler.forecast.halves import UNKNOWN, Halves, decoded, summed, turned
from modelscaler.forecast.panel import Columns, Floats32, Floats64, Grid, Ints
from modelscaler.forecast.stretches import Counts, Moments, Stretches

PAGE: Final = 64  # columns
LONG: Final = 4 * PAGE  # a longer stretch is summed without being unpacked for others
ROWS_AT_ONCE: Final = 32  # are summed: what lies between stays in the cache

Exponents: TypeAlias = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Reel:
    """Rows of a ring in the order of time: its last column is cell `newest`, and what is before `known_from` (B,) unknown.

    `rows` are slots of the ring, a slice where they follow each other; `exponents` of shape (B,).
    """

    ring: Halves
    rows: slice | NDArray[np.intp]
    exponents: Exponents
    newest: int
    known_from: Ints

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return int(self.ring.shape[1])

    def part(self, start: int, stop: int, some: slice = slice(None)) -> Halves:
        """Return columns as they are packed, (B, columns); `some` of the rows."""
        rows = self._rows(some)
        first = (self.newest + 1 + start) % self.columns
        last = first + stop - start
        if last <= self.columns:
            found = self.ring[rows, first:last]
        else:
            found = np.concatenate([self.ring[rows, first:], self.ring[rows, : last - self.columns]], axis=1)
        blind = self.known_from[some] > start
        if blind.any():
            found = np.where(np.arange(start, stop) < self.known_from[some][:, None], UNKNOWN, found)
        return found

    def whole(self) -> Floats32:
        """Return everything, (B, columns)."""
        return np.concatenate(
            [decoded(self.part(0, self.columns, some), self.exponents[some]) for some in self._some()]
        )

    def total(self, start: int, stop: int) -> tuple[Floats, Floats]:
        """Return the sums of the known values from one column up to another, and how many there are, each (B,)."""
        total, count = (np.zeros(len(self.exponents)) for _ in range(2))
        for some in self._some():
            halves = self.part(start, stop, some)
            total[some] = summed(halves, self.exponents[some])
            count[some] = np.count_nonzero(halves, axis=1)
        return total, count

    def known(self, start: int, stop: int) -> Counts:
        """Return how many values are known from one column up to another, (B,)."""
        return np.concatenate([np.count_nonzero(self.part(start, stop, some), axis=1) for some in self._some()])

    def _some(self) -> list[slice]:
        return [slice(at, at + ROWS_AT_ONCE) for at in range(0, len(self.exponents), ROWS_AT_ONCE)]

    def _rows(self, some: slice) -> slice | NDArray[np.intp]:
        if not isinstance(self.rows, slice):
            return self.rows[some]
        stop = self.rows.stop if some.stop is None else min(self.rows.start + some.stop, self.rows.stop)
        return slice(self.rows.start + (some.start or 0), stop)


class Paged:
    """Reads stretches of reels, page by page; a page is unpacked once."""

    def __init__(self, means: Reel, highest: Reel) -> None:
        """Start without a look; `highest` is `means` where a cell holds one value."""
        self._means, self._highest = means, highest
        self._pages: dict[tuple[bool, int], Moments] = {}

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return self._means.columns

    def at(self, column: int) -> Floats32:
        """Return the values at a column, (B,)."""
        values: Floats32 = self._page(self._means, column // PAGE).values[column % PAGE]
        return values

    def total(self, start: int, stop: int) -> tuple[Floats, Counts]:
        """Return the sums of the known values and how many there are, each (B,)."""
        if stop - start > LONG:
            return self._means.total(start, stop)
        total, count = (np.zeros(len(self._means.exponents)) for _ in range(2))
        for page, first, last in self._cuts(self._means, start, stop):
            some, known = page.total(first, last)
            total += some
            count += known
        return total, count

    def most(self, start: int, stop: int) -> tuple[Floats32, Counts]:
        """Return the largest of the known maxima, NaN without any, and how many there are, each (B,)."""
        most, count = (
            np.full(len(self._means.exponents), np.nan, dtype=np.float32),
            np.zeros(len(self._means.exponents)),
        )
        for page, first, last in self._cuts(self._highest, start, stop):
            some, known = page.most(first, last)
            np.fmax(most, some, out=most)
            count += known
        return most, count

    def known(self, start: int, stop: int) -> Counts:
        """Return how many values are known, (B,)."""
        return self._means.known(start, stop)

    def _cuts(self, reel: Reel, start: int, stop: int) -> Iterator[tuple[Moments, int, int]]:
        """Yield the pages of a stretch, each with its first row and the one after its last."""
        for number in range(start // PAGE, -(-stop // PAGE) if start < stop else 0):
            first = number * PAGE
            yield self._page(reel, number), max(start - first, 0), min(stop - first, PAGE)

    def _page(self, reel: Reel, number: int) -> Moments:
        key = (reel is self._means, number)
        if key not in self._pages:
            first = number * PAGE
            part = reel.part(first, min(first + PAGE, reel.columns))
            self._pages[key] = Moments(turned(part, reel.exponents))
        return self._pages[key]


class Pages:
    """A resolution of B series, for looks from one origin at a time; any other is answered from all of it, unpacked."""

    def __init__(self, means: Reel, highest: Reel) -> None:
        """Start without a look; `highest` is `means` where a cell holds one value."""
        self._means, self._highest = means, highest
        self._paged = Paged(means, highest)
        self._single = Stretches(self._paged)
        self._unpacked: list[Grid] = []

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return self._means.columns

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self._means.exponents)

    @property
    def values(self) -> Floats32:
        """Everything, (B, T)."""
        return self._whole().values

    @property
    def maxima(self) -> Floats32:
        """The maxima of all cells, (B, T)."""
        return self._whole().maxima

    def at(self, index: Ints) -> Floats32:
        """Return the values at columns, shape (B, G); NaN outside the grid."""
        if index.size != 1:
            return self._whole().at(index)
        column = int(index[0])
        if not 0 <= column < self.columns:
            return np.full((self.series, 1), np.nan, dtype=np.float32)
        return self._paged.at(column)[:, None]

    def mean(self, ends: Ints, length: int) -> Floats32:
        """Return the mean of the known values among the `length` that end at each column, shape (B, G); NaN without any."""
        return self._single.mean(int(ends[0]), length) if ends.size == 1 else self._whole().mean(ends, length)

    def peak(self, ends: Ints, length: int) -> Floats32:
        """Return the maximum of the `length` values that end at each column, shape (B, G); NaN where too few are known."""
        return self._single.peak(int(ends[0]), length) if ends.size == 1 else self._whole().peak(ends, length)

    def known(self, ends: Ints) -> Floats64:
        """Return how many values up to each column are known, shape (B, G)."""
        if ends.size != 1:
            return self._whole().known(ends)
        return self._single.known(int(ends[0])).astype(np.float64)

    def bursts(self, times: float, length: int) -> tuple[Columns, Columns]:
        """Return at each column where the last burst began and where the one before it did, shape (B, T); -1 for never."""
        return self._whole().bursts(times, length)

    def _whole(self) -> Grid:
        if not self._unpacked:
            values = self._means.whole()
            self._unpacked.append(Grid(values, values if self._highest is self._means else self._highest.whole()))
        return self._unpacked[0]
