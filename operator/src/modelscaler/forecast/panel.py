"""Load of many series on one grid, at two resolutions, prepared for cheap means and maxima over any stretch of it.

The newest steps are kept as they came, what is older only as means and maxima of ten minutes: two weeks of thousands of series
fit in memory so.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats32: TypeAlias = NDArray[np.float32]
Floats64: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

COARSE_SECONDS: Final = 600.0
FINE_STEPS: Final = 11_600  # eight days of minutes: what was at the same minute of each day of a week
KNOWN_SHARE_OF_PEAK: Final = 0.7  # a maximum over fewer known values than this would be too low too often


@dataclass(frozen=True, slots=True)
class Grid:
    """Values of B series at T columns of one resolution, NaN where unknown; sums and maxima are made when first asked for."""

    values: Floats32
    maxima: Floats32
    _sums: list[Floats64] = field(default_factory=list, repr=False)
    _peaks: dict[int, Floats32] = field(default_factory=dict, repr=False)

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return self.values.shape[1]

    def at(self, index: Ints) -> Floats32:
        """Return the values at columns, shape (B, G); NaN outside the grid."""
        return _taken(self.values, index)

    def mean(self, ends: Ints, length: int) -> Floats32:
        """Return the mean of the known values among the `length` that end at each column, shape (B, G); NaN without any."""
        sums, counts = self._prefixes()
        stop = np.clip(ends, -1, self.columns - 1) + 1
        start = np.clip(ends + 1 - length, 0, stop)
        count = counts[:, stop] - counts[:, start]
        mean = (sums[:, stop] - sums[:, start]) / np.maximum(count, 1.0)
        return np.where(count > 0, np.maximum(mean, 0.0), np.nan).astype(np.float32)

    def peak(self, ends: Ints, length: int) -> Floats32:
        """Return the maximum of the `length` values that end at each column, shape (B, G); NaN where too few are known."""
        counts = self._prefixes()[1]
        stop = np.clip(ends, -1, self.columns - 1) + 1
        start = np.clip(ends + 1 - length, 0, stop)
        enough = (counts[:, stop] - counts[:, start] >= max(1.0, KNOWN_SHARE_OF_PEAK * length)) & (ends + 1 >= length)
        return np.where(enough, _taken(self._trailing(length), ends), np.float32(np.nan))

    def known(self, ends: Ints) -> Floats64:
        """Return how many values up to each column are known, shape (B, G)."""
        return self._prefixes()[1][:, np.clip(ends, -1, self.columns - 1) + 1]

    def bursts(self, times: float, length: int) -> tuple[Ints, Ints]:
        """Return at each column where the last burst began and where the one before it did, shape (B, T); -1 for never.

        A burst is a value above `times` the mean of the `length` values before it.
        """
        columns = np.arange(self.columns)
        level = self.mean(columns - 1, length)
        above = np.nan_to_num(self.values, nan=-1.0) > times * np.nan_to_num(level, nan=np.inf)
        starts = above.copy()
        starts[:, 1:] &= ~above[:, :-1]
        last = np.maximum.accumulate(np.where(starts, columns, -1), axis=1)
        earlier = np.concatenate((np.full((len(last), 1), -1), last[:, :-1]), axis=1)
        return last, np.maximum.accumulate(np.where(starts, earlier, -1), axis=1)

    def _trailing(self, length: int) -> Floats32:
        if length not in self._peaks:
            half = max((n for n in self._peaks if n < length <= 2 * n), default=0)
            widened = _widened(self._peaks[half], length - half) if half else _doubled(self.maxima, length)
            self._peaks[length] = widened
        return self._peaks[length]

    def _prefixes(self) -> tuple[Floats64, Floats64]:
        if not self._sums:
            known = np.isfinite(self.values)
            zero = np.zeros((len(self.values), 1))
            self._sums.append(
                np.concatenate((zero, np.cumsum(np.where(known, self.values, 0.0), axis=1, dtype=np.float64)), axis=1)
            )
            self._sums.append(np.concatenate((zero, np.cumsum(known, axis=1, dtype=np.float64)), axis=1))
        return self._sums[0], self._sums[1]


@dataclass(frozen=True, slots=True)
class Panel:
    """B series, the columns of `fine` one step apart; column j ends at `first_cell + j` steps since the epoch.

    `coarse` has columns of `factor` steps, the first being number `first_coarse` since the epoch; with a factor of 1 it is `fine`.
    """

    step_seconds: float
    first_cell: int
    fine: Grid
    coarse: Grid
    factor: int
    first_coarse: int

    @classmethod
    def of(cls, rps: NDArray[np.floating], step_seconds: float, first_cell: int) -> "Panel":
        """Prepare whole histories of shape (B, T), NaN where unknown; column 0 ends at `first_cell` steps since the epoch."""
        values = np.asarray(rps, dtype=np.float32)
        fine = Grid(values, values)
        factor = coarse_factor(step_seconds)
        if factor == 1:
            return cls(step_seconds, first_cell, fine, fine, 1, first_cell)
        first_coarse, means, maxima = coarsened(values, first_cell, factor)
        return cls(step_seconds, first_cell, fine, Grid(means, maxima), factor, first_coarse)

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self.fine.values)

    @property
    def columns(self) -> int:
        """How many steps of the fine grid there are."""
        return self.fine.columns

    def steps(self, seconds: float) -> int:
        """Return a time in steps, at least one."""
        return max(round(seconds / self.step_seconds), 1)

    def end_seconds(self, columns: Ints) -> Floats64:
        """Return the times since the epoch at which columns end, shape (G,)."""
        return (self.first_cell + columns) * self.step_seconds

    def value(self, origins: Ints, back: int) -> Floats32:
        """Return the values `back` steps before each origin, (B, G); where older than the fine grid, the mean around them."""
        if self._kept(back):
            return self.fine.at(origins - back)
        return self.coarse.at(self._cells(origins - back))

    def mean(self, origins: Ints, back: int, length: int) -> Floats32:
        """Return means over the `length` steps that end `back` steps before each origin, shape (B, G)."""
        if self._kept(back + length):
            return self.fine.mean(origins - back, length)
        return self.coarse.mean(self._cells(origins - back), max(round(length / self.factor), 1))

    def peak(self, origins: Ints, back: int, length: int) -> Floats32:
        """Return maxima over the `length` steps that end `back` steps before each origin, shape (B, G)."""
        if self._kept(back + length):
            return self.fine.peak(origins - back, length)
        return self.coarse.peak(self._cells(origins - back), max(round(length / self.factor), 1))

    def known(self, origins: Ints) -> Floats64:
        """Return how many steps up to each origin are known, shape (B, G)."""
        return self.coarse.known(self._cells(origins)) * self.factor

    def bursts(self, times: float, level_seconds: float) -> tuple[Ints, Ints]:
        """Return at each column where the last two bursts began, shape (B, T) each; -1 for never."""
        return self.fine.bursts(times, max(self.steps(level_seconds), 12))

    def _kept(self, back: int) -> bool:
        return self.factor == 1 or back <= FINE_STEPS

    def _cells(self, columns: Ints) -> Ints:
        cells: Ints = (self.first_cell + columns - 1) // self.factor - self.first_coarse
        return cells


def coarse_factor(step_seconds: float) -> int:
    """Return how many steps one coarse cell has."""
    return max(round(COARSE_SECONDS / step_seconds), 1)


def coarsened(values: Floats32, first_cell: int, factor: int) -> tuple[int, Floats32, Floats32]:
    """Return the number of the first coarse cell, and means and maxima of whole cells, shape (B, cells); NaN where empty."""
    before = (first_cell - 1) % factor
    after = -(before + values.shape[1]) % factor
    padded = np.pad(values, ((0, 0), (before, after)), constant_values=np.nan).reshape(len(values), -1, factor)
    known = np.isfinite(padded)
    count = known.sum(axis=2)
    means = np.where(known, padded, 0.0).sum(axis=2, dtype=np.float64) / np.maximum(count, 1)
    maxima = np.where(known, padded, -np.inf).max(axis=2)
    empty = count == 0
    blank = np.float32(np.nan)
    return (
        (first_cell - 1) // factor,
        np.where(empty, blank, means).astype(np.float32),
        np.where(empty, blank, maxima).astype(np.float32),
    )


def _taken(values: Floats32, index: Ints) -> Floats32:
    inside = (index >= 0) & (index < values.shape[1])
    found = values[:, np.where(inside, index, 0)]
    if not inside.all():
        found[:, ~inside] = np.nan
    return found


def _doubled(values: Floats32, length: int) -> Floats32:
    found, reach = values, 1
    while reach < length:
        shift = min(reach, length - reach)
        found = _widened(found, shift)
        reach += shift
    return found


def _widened(found: Floats32, shift: int) -> Floats32:
    """Return the maxima of each entry and the one `shift` before it."""
    wider = found.copy()
    np.fmax(found[:, shift:], found[:, :-shift], out=wider[:, shift:])
    return wider
