"""History of offered load of the whole fleet: two tiers of rings on one grid, in which what is not known stays unknown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats, LoadWindow
from modelscaler.forecast.halves import MOST, UNKNOWN, Halves, decoded, encoded, exponent
from modelscaler.forecast.pages import Pages, Reel
from modelscaler.forecast.panel import FINE_STEPS, Grid, Ints, Panel, coarse_factor, coarsened

EDGE = 1e-6  # of a step: times that close to the edge of a cell belong to it, whatever the rounding of floats says
KEPT_SECONDS: Final = 15 * 86_400.0
LONGEST_AHEAD_STEPS: Final = 180
FIRST_SLOTS: Final = 16
ALL: Final = 2**40  # steps: no limit to how far is looked back

Slots: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Tiers:
    """How much is kept: `fine` cells of one step, and `coarse` cells of `factor` steps; no coarse ones with a factor of 1."""

    fine: int
    factor: int
    coarse: int

    @classmethod
    def of(cls, step_seconds: float) -> "Tiers":
        """Return what is kept at a step: everything of the last days, as it came where that is not too much."""
        factor = coarse_factor(step_seconds)
        kept = math.ceil(KEPT_SECONDS / step_seconds)
        whole = factor == 1 or kept <= FINE_STEPS
        fine = (kept if whole else FINE_STEPS) + LONGEST_AHEAD_STEPS
        return cls(fine=fine, factor=factor, coarse=0 if factor == 1 else math.ceil(kept / factor) + 1)


class LoadStore:
    """The newest two weeks of every series, in one place: a slot is a series, a column a cell of the grid.

    Cell k holds the mean of what was read in the `step_seconds` that end at k * step_seconds since the epoch, in 16 bits next
    to a power of two for each series: a two-thousandth of a value is lost, a sixth of the least typical error.
    """

    def __init__(self, step_seconds: float) -> None:
        """Start empty. Raises ValueError when the step is not positive."""
        if not step_seconds > 0:
            raise ValueError(f"step_seconds={step_seconds}: expected more than 0; set, say, 60")
        self.step_seconds = step_seconds
        self.tiers = Tiers.of(step_seconds)
        self.last = -1  # the newest cell of any series; before the first: empty
        self._free: list[int] = []
        self._slots = 0
        self._fine = _blank(FIRST_SLOTS, self.tiers.fine)
        self._means = _blank(FIRST_SLOTS, self.tiers.coarse)
        self._maxima = _blank(FIRST_SLOTS, self.tiers.coarse)
        self._exponents = np.zeros(FIRST_SLOTS, dtype=np.int16)
        self._scaled = np.zeros(
            FIRST_SLOTS, dtype=np.bool_
        )  # whether anything but zeros came, and an exponent was chosen
        self._newest = np.full(FIRST_SLOTS, -1, dtype=np.int64)  # the newest known cell of each slot
        self._first = np.full(FIRST_SLOTS, -1, dtype=np.int64)  # the oldest cell that was ever spoken of
        self._mean = np.zeros(FIRST_SLOTS)  # of the readings of the newest cell so far
        self._readings = np.zeros(FIRST_SLOTS, dtype=np.int64)
        self._unwritten = False  # whether the newest cell has means that are not in the rings yet
        self._coarse_until = -1  # the newest cell that the coarse tier knows of

    @property
    def first(self) -> int:
        """The oldest cell that is kept as it came."""
        return self.last - self.tiers.fine + 1

    def take(self) -> int:
        """Return a slot for a new series."""
        if self._free:
            return self._free.pop()
        if self._slots == len(self._fine):
            self._grow()
        self._slots += 1
        return self._slots - 1

    def free(self, slot: int) -> None:
        """Forget a series; its slot goes to the next one."""
        for tier in (self._fine, self._means, self._maxima):
            tier[slot] = UNKNOWN
        self._exponents[slot], self._scaled[slot] = 0, False
        self._newest[slot] = self._first[slot] = -1
        self._readings[slot] = 0
        self._free.append(slot)

    def newest(self, slots: Slots) -> Ints:
        """Return the newest known cell of series; -1 without any."""
        return self._newest[slots]

    def append(self, slot: int, at: datetime, rps: float | None) -> None:
        """Add a reading; None extends the grid with a gap. Readings in one cell are averaged, older cells are left alone.

        Raises:
            ValueError: `rps` is negative, infinite or NaN.
        """
        if rps is not None and not (math.isfinite(rps) and rps >= 0.0):
            raise ValueError(f"rps={rps}: expected a finite rate of 0 or more; pass None for what is not known")
        cell = cell_of(at, self.step_seconds)
        if cell < self.last:
            return
        self._extend(cell)
        if self._first[slot] < 0:
            self._first[slot] = cell
        if rps is None:
            return
        if self._newest[slot] != cell:
            self._mean[slot], self._readings[slot], self._newest[slot] = 0.0, 0, cell
        self._readings[slot] += 1
        self._mean[slot] += (rps - self._mean[slot]) / self._readings[slot]
        self._unwritten = True

    def load(self, slot: int, window: LoadWindow) -> None:
        """Merge history that was read elsewhere: it fills what is not known here, and changes nothing that is.

        Loading the same window again changes nothing, so history may be re-read after any interruption.
        """
        first, values = on_grid(window, self.step_seconds)
        if not len(values):
            return
        self.settle()
        self._extend(max(self.last, first + len(values) - 1))
        self._load_coarse(slot, first, values)
        start = max(first, self.first)
        values = values[start - first :]
        before = self.cells(slot, start, start + len(values) - 1)
        merged = np.where(np.isfinite(before), before, values)
        known = np.flatnonzero(np.isfinite(merged))
        self._first[slot] = first if self._first[slot] < 0 else min(self._first[slot], first)
        self._make_room(slot, merged)
        index = np.arange(start, start + len(merged)) % self.tiers.fine
        self._fine[slot, index] = encoded(merged[None], self._exponents[slot : slot + 1])[0]
        if self.tiers.coarse:
            self._update_coarse(as_slots([slot]), start, self.last)
        if len(known) and start + known[-1] > self._newest[slot]:
            self._newest[slot] = start + known[-1]
            self._mean[slot], self._readings[slot] = merged[known[-1]], 1

    def cells(self, slot: int, first: int, last: int) -> Floats:
        """Return the cells `first` to `last` of a series, shape (last - first + 1,), rps; NaN where nothing is known."""
        self.settle()
        index = np.arange(first, last + 1)
        held = (index > self.last - self.tiers.fine) & (index <= self.last)
        row = decoded(self._fine[slot][None, index % self.tiers.fine], self._exponents[slot : slot + 1])[0]
        return np.where(held, row, np.nan).astype(np.float64)

    def window(self, slot: int, newest_steps: int) -> LoadWindow | None:
        """Return at most so many of the newest steps of a series, older ones as coarse means; None when empty."""
        first = int(self._first[slot])
        if first < 0:
            return None
        first = max(first, self.last - newest_steps + 1)
        fine_from = max(first, self.first)
        rps = self.cells(slot, fine_from, self.last)
        if first < fine_from and self.tiers.coarse:
            rps = np.concatenate([self._means_of(slot, first, fine_from - 1), rps])
        end = datetime.fromtimestamp(self.last * self.step_seconds, UTC)
        return LoadWindow(self.step_seconds, end, rps)

    def panel(self, slots: Slots, lookback: Ints | int = ALL) -> Panel:
        """Return the history of series up to the newest cell, unpacked: it does not change with later readings.

        Args:
            slots: Which series.
            lookback: How many of the newest steps of each are known, shape (B,).
        """
        panel = self.glance(slots, lookback)
        fine = Grid(panel.fine.values, panel.fine.maxima)
        coarse = fine if panel.factor == 1 else Grid(panel.coarse.values, panel.coarse.maxima)
        return Panel(panel.step_seconds, panel.first_cell, fine, coarse, panel.factor, panel.first_coarse)

    def glance(self, slots: Slots, lookback: Ints | int = ALL) -> Panel:
        """Return the same panel for looks from single origins until the next reading: unpacked where it is looked at."""
        self.settle()
        steps = np.broadcast_to(np.asarray(lookback, dtype=np.int64), slots.shape)
        reel = self._reel(self._fine, slots, self.last, self.tiers.fine - steps)
        fine = Pages(reel, reel)
        if self.tiers.factor == 1:
            return Panel(self.step_seconds, self.first, fine, fine, 1, self.first)
        newest = (self.last - 1) // self.tiers.factor
        first = newest - self.tiers.coarse + 1
        known_from = (self.last - steps) // self.tiers.factor - first + 1
        means, maxima = (self._reel(ring, slots, newest, known_from) for ring in (self._means, self._maxima))
        return Panel(self.step_seconds, self.first, fine, Pages(means, maxima), self.tiers.factor, first)

    def _reel(self, ring: Halves, slots: Slots, newest: int, known_from: Ints) -> Reel:
        follow = len(slots) > 0 and bool((np.diff(slots) == 1).all())
        rows = slice(int(slots[0]), int(slots[-1]) + 1) if follow else slots
        return Reel(ring, rows, self._exponents[slots], newest, known_from)

    def _extend(self, cell: int) -> None:
        if cell <= self.last:
            return
        self.settle()
        self._clear(self._fine, self.tiers.fine, self.last, cell)
        if self.tiers.coarse:
            factor = self.tiers.factor
            before, after = (self.last - 1) // factor, (cell - 1) // factor
            self._clear(self._means, self.tiers.coarse, before, after)
            self._clear(self._maxima, self.tiers.coarse, before, after)
        self.last = cell

    def _clear(self, ring: Halves, columns: int, before: int, after: int) -> None:
        new = np.arange(max(before + 1, after - columns + 1), after + 1)
        ring[: self._slots, new % columns] = UNKNOWN

    def settle(self) -> None:
        """Write what was read of the newest cell, for all series at once. Reading does so by itself, yet not in two threads."""
        if not self._unwritten:
            return
        self._unwritten = False
        slots = np.flatnonzero(self._newest == self.last)
        for slot in slots[self._outgrown(slots)]:
            self._make_room(int(slot), self._mean[slot : slot + 1])
        halves = encoded(self._mean[slots][:, None], self._exponents[slots])[:, 0]
        self._fine[slots, self.last % self.tiers.fine] = halves
        if self.tiers.coarse:
            self._update_coarse(
                np.arange(self._slots), max(self._coarse_until, self.last - self.tiers.factor), self.last
            )
            self._coarse_until = self.last

    def _outgrown(self, slots: Slots) -> NDArray[np.bool_]:
        mean = self._mean[slots]
        wide: NDArray[np.bool_] = np.ldexp(mean, -self._exponents[slots].astype(np.int32)) >= MOST
        return wide | (~self._scaled[slots] & (mean > 0.0))

    def _make_room(self, slot: int, values: Floats) -> None:
        """Choose the power of two that the values of a series are kept next to, anew when larger ones come."""
        before = self._exponents[slot : slot + 1]
        wanted = exponent(values, int(before[0]) if self._scaled[slot] else None)
        if wanted is None or (self._scaled[slot] and wanted == before[0]):
            return
        after = np.array([wanted], dtype=np.int16)
        for tier in (self._fine, self._means, self._maxima):
            tier[slot] = encoded(decoded(tier[slot][None], before), after)[0]
        self._exponents[slot], self._scaled[slot] = wanted, True

    def _update_coarse(self, slots: Slots, first: int, last: int) -> None:
        """Make the coarse cells anew that lie within the fine tier and have cells between `first` and `last`."""
        factor = self.tiers.factor
        begin = max((first - 1) // factor * factor + 1, self._first_whole())
        end = (last - 1) // factor * factor + factor
        if end < begin:
            return
        index = np.arange(begin, end + 1)
        cells = decoded(self._fine[slots[:, None], index % self.tiers.fine], self._exponents[slots])
        cells[:, index > self.last] = np.nan
        number, means, maxima = coarsened(cells, begin, factor)
        at = np.arange(number, number + means.shape[1]) % self.tiers.coarse
        self._means[slots[:, None], at] = encoded(means, self._exponents[slots])
        self._maxima[slots[:, None], at] = encoded(maxima, self._exponents[slots])

    def _first_whole(self) -> int:
        """Return the first cell of the first coarse cell that the fine tier holds all of."""
        return -((1 - self.first) // self.tiers.factor) * self.tiers.factor + 1

    def _load_coarse(self, slot: int, first: int, values: Floats) -> None:
        """Fill coarse cells older than what the fine tier holds, where they are not known."""
        older = min(self._first_whole() - first, len(values))
        if not self.tiers.coarse or older <= 0:
            return
        self._make_room(slot, values)
        number, means, maxima = coarsened(values[None, :older].astype(np.float32), first, self.tiers.factor)
        oldest = (self.last - 1) // self.tiers.factor - self.tiers.coarse + 1
        drop = max(oldest - number, 0)
        means, maxima, number = means[:, drop:], maxima[:, drop:], number + drop
        index = np.arange(number, number + means.shape[1]) % self.tiers.coarse
        known = self._means[slot, index] != UNKNOWN
        scale = self._exponents[slot : slot + 1]
        self._means[slot, index] = np.where(known, self._means[slot, index], encoded(means, scale)[0])
        self._maxima[slot, index] = np.where(known, self._maxima[slot, index], encoded(maxima, scale)[0])

    def _means_of(self, slot: int, first: int, last: int) -> Floats:
        """Return the coarse means of a series at cells; NaN where older than what is kept."""
        number = (np.arange(first, last + 1) - 1) // self.tiers.factor
        held = number > (self.last - 1) // self.tiers.factor - self.tiers.coarse
        row = decoded(self._means[slot][None, number % self.tiers.coarse], self._exponents[slot : slot + 1])[0]
        return np.where(held, row, np.nan).astype(np.float64)

    def _grow(self) -> None:
        more = len(self._fine)
        self._fine = _grown(self._fine)
        self._means = _grown(self._means)
        self._maxima = _grown(self._maxima)
        self._exponents = np.concatenate([self._exponents, np.zeros(more, dtype=np.int16)])
        self._scaled = np.concatenate([self._scaled, np.zeros(more, dtype=np.bool_)])
        self._newest = np.concatenate([self._newest, np.full(more, -1)])
        self._first = np.concatenate([self._first, np.full(more, -1)])
        self._mean = np.concatenate([self._mean, np.zeros(more)])
        self._readings = np.concatenate([self._readings, np.zeros(more, dtype=np.int64)])


def as_slots(slots: Sequence[int]) -> Slots:
    """Return slots as an index."""
    return np.array(slots, dtype=np.intp)


def cell_of(at: datetime, step_seconds: float) -> int:
    """Return the cell of the grid that a time falls in: the one that ends at it or next after it."""
    return math.ceil(at.timestamp() / step_seconds - EDGE)


def complete_cell(now: datetime, step_seconds: float) -> int:
    """Return the newest cell of the grid that can get no further reading."""
    return math.floor(now.timestamp() / step_seconds + EDGE)


def on_grid(window: LoadWindow, step_seconds: float) -> tuple[int, Floats]:
    """Bring a window onto the grid of another step.

    A finer window is averaged over its known values; a coarser one gives its value to every cell that it covers.

    Returns:
        The first cell and the values from it on, NaN where nothing is known.
    """
    end = window.end.timestamp()
    ends = end - window.step_seconds * np.arange(len(window.rps) - 1, -1, -1.0)
    if window.step_seconds > step_seconds * (1.0 + EDGE):
        return _spread(window, ends, step_seconds)
    cells = np.ceil(ends / step_seconds - EDGE).astype(np.int64)
    if not len(cells):
        return 0, np.empty(0)
    first = int(cells[0])
    known = np.isfinite(window.rps)
    size = int(cells[-1]) - first + 1
    sums = np.bincount(cells[known] - first, weights=window.rps[known], minlength=size)
    counts = np.bincount(cells[known] - first, minlength=size)
    return first, np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _spread(window: LoadWindow, ends: Floats, step_seconds: float) -> tuple[int, Floats]:
    if not len(ends):
        return 0, np.empty(0)
    first = math.floor((ends[0] - window.step_seconds) / step_seconds + EDGE) + 1
    last = math.ceil(ends[-1] / step_seconds - EDGE)
    cell_ends = np.arange(first, last + 1) * step_seconds
    source = np.searchsorted(ends, cell_ends - EDGE * step_seconds)
    return first, window.rps[np.clip(source, 0, len(ends) - 1)]


def _grown(tier: Halves) -> Halves:
    """Return a tier with room for twice as many series; memory that nothing was written to is not taken yet."""
    larger = _blank(2 * len(tier), tier.shape[1])
    larger[: len(tier)] = tier
    return larger


def _blank(slots: int, columns: int) -> Halves:
    return np.zeros((slots, columns), dtype=np.uint16)  # all UNKNOWN
