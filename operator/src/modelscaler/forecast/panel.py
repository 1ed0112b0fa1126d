"""Load of many series on one grid, at two resolutions, prepared for cheap means and maxima over any stretch of it.

The newest steps are kept as they came, what is older only as means and maxima of ten minutes: two weeks of thousands of series
fit in memory so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.stretches import KNOWN_SHARE_OF_PEAK, Counts, Stretches

Floats32: TypeAlias = NDArray[np.float32]
Floats64: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Columns: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]

COARSE_SECONDS: Final = 600.0
FINE_STEPS: Final = 11_600  # eight days of minutes: what was at the same minute of each day of a week
LEAST_BURST_LEVEL_STEPS: Final = 12


class Tier(Protocol):
    """One resolution of B series with T columns, NaN where unknown."""

    @property
    def columns(self) -> int:
        """How many columns there are."""

    @property
    def series(self) -> int:
        """How many series there are."""

    @property
    def values(self) -> Floats32:
        """Everything, (B, T)."""

    @property
    def maxima(self) -> Floats32:
        """The maxima of all cells, (B, T)."""

    def at(self, index: Ints) -> Floats32:
        """Return the values at columns, shape (B, G); NaN outside the grid."""

    def mean(self, ends: Ints, length: int) -> Floats32:
        """Return the mean of the known values among the `length` that end at each column, shape (B, G); NaN without any."""

    def peak(self, ends: Ints, length: int) -> Floats32:
        """Return the maximum of the `length` values that end at each column, shape (B, G); NaN where too few are known."""

    def known(self, ends: Ints) -> Floats64:
        """Return how many values up to each column are known, shape (B, G)."""

    def bursts(self, times: float, length: int) -> tuple[Columns, Columns]:
        """Return at each column where the last burst began and where the one before it did, shape (B, T); -1 for never."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Reads stretches of arrays of shape (B, T)."""

    every: Floats32
    highest: Floats32

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return int(self.every.shape[1])

    def total(self, start: int, stop: int) -> tuple[Floats64, Counts]:
        """Return the sums of the known values and how many there are, each (B,)."""
        stretch = self.every[:, start:stop]
        known = np.isfinite(stretch)
        return np.where(known, stretch, 0.0).sum(axis=1, dtype=np.float64), known.sum(axis=1)

    def most(self, start: int, stop: int) -> tuple[Floats32, Counts]:
        """Return the largest of the known maxima, NaN without any, and how many there are, each (B,)."""
        stretch = self.highest[:, start:stop]
        known = np.isfinite(stretch)
        most = np.where(known, stretch, -np.inf).max(axis=1, initial=-np.inf).astype(np.float32)
        return np.where(known.any(axis=1), most, np.float32(np.nan)), known.sum(axis=1)

    def known(self, start: int, stop: int) -> Counts:
        """Return how many values are known, (B,)."""
        count: Counts = np.isfinite(self.every[:, start:stop]).sum(axis=1)
        return count


@dataclass(frozen=True, slots=True)
class Grid:
    """Values of B series at T columns of one resolution, NaN where unknown; sums and maxima are made when first asked for."""

    values: Floats32
    maxima: Floats32
    _sums: list[Floats64] = field(default_factory=list, repr=False)
    _peaks: dict[int, Floats32] = field(default_factory=dict, repr=False)
    _bursts: dict[tuple[float, int], tuple[Columns, Columns]] = field(default_factory=dict, repr=False)
    _single: list[Stretches] = field(default_factory=list, repr=False)

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return int(self.values.shape[1])

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self.values)

    def at(self, index: Ints) -> Floats32:
        """Return the values at columns, shape (B, G); NaN outside the grid."""
        return _taken(self.values, index)

    def mean(self, ends: Ints, length: int) -> Floats32:
        """Return the mean of the known values among the `length` that end at each column, shape (B, G); NaN without any."""
        if self._few(ends):
            return self._stretches().mean(int(ends[0]), length)
        sums, counts = self._prefixes()
        stop = np.clip(ends, -1, self.columns - 1) + 1
        start = np.clip(ends + 1 - length, 0, stop)
        count = counts[:, stop] - counts[:, start]
        mean = (sums[:, stop] - sums[:, start]) / np.maximum(count, 1.0)
        return np.where(count > 0, np.maximum(mean, 0.0), np.nan).astype(np.float32)

    def peak(self, ends: Ints, length: int) -> Floats32:
        """Return the maximum of the `length` values that end at each column, shape (B, G); NaN where too few are known."""
        if self._few(ends):
            return self._stretches().peak(int(ends[0]), length)
        counts = self._prefixes()[1]
        stop = np.clip(ends, -1, self.columns - 1) + 1
        start = np.clip(ends + 1 - length, 0, stop)
        enough = (counts[:, stop] - counts[:, start] >= max(1.0, KNOWN_SHARE_OF_PEAK * length)) & (ends + 1 >= length)
        return np.where(enough, _taken(self._trailing(length), ends), np.float32(np.nan))

    def known(self, ends: Ints) -> Floats64:
        """Return how many values up to each column are known, shape (B, G)."""
        if self._few(ends):
            return self._stretches().known(int(ends[0])).astype(np.float64)
        return self._prefixes()[1][:, np.clip(ends, -1, self.columns - 1) + 1]

    def bursts(self, times: float, length: int) -> tuple[Columns, Columns]:
        """Return at each column where the last burst began and where the one before it did, shape (B, T); -1 for never.

        A burst is a value above `times` the mean of the `length` values before it.
        """
        if (times, length) not in self._bursts:
            self._bursts[times, length] = self._all_bursts(times, length)
        return self._bursts[times, length]

    def _all_bursts(self, times: float, length: int) -> tuple[Columns, Columns]:
        columns = np.arange(self.columns)
        level = self.mean(columns - 1, length)
        above = np.nan_to_num(self.values, nan=-1.0) > times * np.nan_to_num(level, nan=np.inf)
        starts = above.copy()
        starts[:, 1:] &= ~above[:, :-1]
        last = np.maximum.accumulate(np.where(starts, columns.astype(np.int32), np.int32(-1)), axis=1)
        earlier = np.concatenate((np.full((len(last), 1), -1, dtype=np.int32), last[:, :-1]), axis=1)
        return last, np.maximum.accumulate(np.where(starts, earlier, np.int32(-1)), axis=1)

    def _few(self, ends: Ints) -> bool:
        """Tell whether to look at single stretches: for one origin, running sums over everything would cost more."""
        return ends.size == 1 and not self._sums

    def _stretches(self) -> Stretches:
        if not self._single:
            self._single.append(Stretches(Whole(self.values, self.maxima)))
        return self._single[0]

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


@dataclass(slots=True)
class Begun:
    """Where the last two bursts of B series began, as of a cell: `last` and `before` of shape (B,), cells, -1 for never.

    `above` says whether the value at that cell is part of a burst.
    """

    cell: int
    last: Ints
    before: Ints
    above: Flags

    @classmethod
    def of(cls, panel: "Panel", cell: int, times: float, level_seconds: float) -> "Begun":
        """Find the bursts up to a cell, which is in the panel, by a look at everything."""
        length, column = panel.burst_steps(level_seconds), cell - panel.first_cell
        last, before = (found[:, column].astype(np.int64) for found in panel.fine.bursts(times, length))
        cells = [np.where(at >= 0, at + panel.first_cell, -1) for at in (last, before)]
        return cls(cell, cells[0], cells[1], stands_out(panel.fine, column, times, length))

    def advance(self, panel: "Panel", cell: int, times: float, level_seconds: float) -> None:
        """Go on to a later cell, in place."""
        self._go_on(panel.fine, cell - panel.first_cell, times, panel.burst_steps(level_seconds), panel.first_cell)

    def at(self, fine: Tier, column: int, times: float, length: int, first_cell: int) -> tuple[Ints, Ints]:
        """Return where the last two bursts up to a column began, columns of shape (B, 1); -1 for never."""
        then = Begun(self.cell, self.last.copy(), self.before.copy(), self.above.copy())
        then._go_on(fine, column, times, length, first_cell)
        found = [np.maximum(cells - first_cell, -1)[:, None] for cells in (then.last, then.before)]
        return found[0], found[1]

    def _go_on(self, fine: Tier, column: int, times: float, length: int, first_cell: int) -> None:
        for at in range(max(self.cell - first_cell, -1) + 1, column + 1):
            above = stands_out(fine, at, times, length)
            began = above & ~self.above
            self.before = np.where(began, self.last, self.before)
            self.last = np.where(began, at + first_cell, self.last)
            self.above = above
        self.cell = max(self.cell, first_cell + column)


@dataclass(frozen=True, slots=True)
class Panel:
    """B series, the columns of `fine` one step apart; column j ends at `first_cell + j` steps since the epoch.

    `coarse` has columns of `factor` steps, the first being number `first_coarse` since the epoch; with a factor of 1 it is
    `fine`.
    `begun` says by threshold which bursts are known already, so that one origin does not need a look at everything.
    """

    step_seconds: float
    first_cell: int
    fine: Tier
    coarse: Tier
    factor: int
    first_coarse: int
    begun: Mapping[float, Begun] = field(default_factory=dict)

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
        return self.fine.series

    @property
    def columns(self) -> int:
        """How many steps of the fine grid there are."""
        return self.fine.columns

    def steps(self, seconds: float) -> int:
        """Return a time in steps, at least one."""
        return max(round(seconds / self.step_seconds), 1)

    def end_seconds(self, columns: Ints) -> Floats64:
        """Return the times since the epoch at which columns end, shape (G,)."""
        return np.asarray((self.first_cell + columns) * self.step_seconds, dtype=np.float64)

    def value(self, origins: Ints, back: int) -> Floats32:
        """Return the values `back` steps before each origin, (B, G); where older than the fine grid, the mean around them."""
        at = origins - back
        return self._read(back, at, lambda: self.fine.at(at), lambda: self.coarse.at(self._cells(at)))

    def mean(self, origins: Ints, back: int, length: int) -> Floats32:
        """Return means over the `length` steps that end `back` steps before each origin, shape (B, G)."""
        ends, cells = origins - back, max(round(length / self.factor), 1)
        first = ends - length + 1
        fine, coarse = self.fine.mean, self.coarse.mean
        return self._read(back + length, first, lambda: fine(ends, length), lambda: coarse(self._ended(ends), cells))

    def peak(self, origins: Ints, back: int, length: int) -> Floats32:
        """Return maxima over the `length` steps that end `back` steps before each origin, shape (B, G)."""
        ends, cells = origins - back, max(round(length / self.factor), 1)
        first = ends - length + 1
        fine, coarse = self.fine.peak, self.coarse.peak
        return self._read(back + length, first, lambda: fine(ends, length), lambda: coarse(self._cells(ends), cells))

    def known(self, origins: Ints) -> Floats64:
        """Return how many steps up to each origin are known, shape (B, G)."""
        return self.coarse.known(self._ended(origins)) * self.factor

    def bursts(self, origins: Ints, times: float, level_seconds: float) -> tuple[Ints, Ints]:
        """Return where the last two bursts before each origin began, columns of shape (B, G); -1 for never."""
        length = self.burst_steps(level_seconds)
        if times in self.begun and origins.size == 1:
            return self.begun[times].at(self.fine, int(origins[0]), times, length, self.first_cell)
        last, before = self.fine.bursts(times, length)
        return last[:, origins].astype(np.int64), before[:, origins].astype(np.int64)

    def burst_steps(self, level_seconds: float) -> int:
        """Return over how many steps the level is taken that bursts stand out from."""
        return max(self.steps(level_seconds), LEAST_BURST_LEVEL_STEPS)

    def _read(self, reach: int, first: Ints, fine: Callable[[], Floats32], coarse: Callable[[], Floats32]) -> Floats32:
        """Read from the fine grid; from the coarse one what reaches back too far for it, or begins before it does."""
        if self.factor > 1 and reach > FINE_STEPS:
            return coarse()
        older = self._only_coarse(first)
        return np.where(older, coarse(), fine()) if older.any() else fine()

    def _only_coarse(self, first: Ints) -> NDArray[np.bool_]:
        """Return which of the columns lie before the fine grid, and yet in the coarse one."""
        earliest = self.first_coarse * self.factor + 1 - self.first_cell
        return (first < 0) & (first >= earliest) & (self.factor > 1)

    def _ended(self, columns: Ints) -> Ints:
        """Return the last coarse cells that end at the columns or before: a later one may hold what comes after."""
        cells: Ints = (self.first_cell + columns) // self.factor - 1 - self.first_coarse
        return cells

    def _cells(self, columns: Ints) -> Ints:
        cells: Ints = (self.first_cell + columns - 1) // self.factor - self.first_coarse
        return cells


def stands_out(tier: Tier, column: int, times: float, length: int) -> Flags:
    """Return whether the value at a column is above `times` the mean of the `length` values before it, shape (B,)."""
    level = tier.mean(np.array([column - 1]), length)[:, 0]
    value = tier.at(np.array([column]))[:, 0]
    return np.nan_to_num(value, nan=-1.0) > times * np.nan_to_num(level, nan=np.inf)


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
