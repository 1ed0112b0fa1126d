"""History of offered load per series: a ring on a fixed grid, in which what is not known stays unknown."""

import math
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from modelscaler.domain import Floats, LoadWindow

EDGE = 1e-6  # of a step: times that close to the edge of a cell belong to it, whatever the rounding of floats says


class LoadHistory:
    """The newest `capacity_steps` steps of one series, as float32.

    Cell k of the grid holds the mean of what was read in the `step_seconds` that end at k * step_seconds since the epoch.
    """

    def __init__(self, step_seconds: float, capacity_steps: int) -> None:
        """Start empty. Raises ValueError when the step or the capacity is not positive."""
        if not step_seconds > 0 or capacity_steps < 1:
            raise ValueError(
                f"step_seconds={step_seconds}, capacity_steps={capacity_steps}: expected both above 0; set, say, 60 and 20160"
            )
        self.step_seconds = step_seconds
        self._ring: NDArray[np.float32] = np.full(capacity_steps, np.nan, dtype=np.float32)
        self._first = 0
        self._last = -1  # before the first: empty
        self._readings = 0  # how many the last cell is the mean of

    def __len__(self) -> int:
        return self._last - self._first + 1

    def append(self, at: datetime, rps: float | None) -> None:
        """Add a reading; None extends the grid with a gap. Readings in one cell are averaged, older cells are left alone.

        Raises:
            ValueError: `rps` is negative, infinite or NaN.
        """
        if rps is not None and not (math.isfinite(rps) and rps >= 0.0):
            raise ValueError(f"rps={rps}: expected a finite rate of 0 or more; pass None for what is not known")
        cell = cell_of(at, self.step_seconds)
        if len(self) and cell < self._last:
            return
        if cell != self._last:
            self._extend(cell)
        if rps is None:
            return
        slot = cell % len(self._ring)
        before = float(self._ring[slot]) if self._readings else 0.0
        self._readings += 1
        self._ring[slot] = before + (rps - before) / self._readings

    def load(self, window: LoadWindow) -> None:
        """Merge history that was read elsewhere: it fills what is not known here, and changes nothing that is.

        Loading the same window again changes nothing, so history may be re-read after any interruption.
        """
        first, values = on_grid(window, self.step_seconds)
        if not len(values):
            return
        last = max(self._last, first + len(values) - 1) if len(self) else first + len(values) - 1
        start = max(min(self._first, first) if len(self) else first, last - len(self._ring) + 1)
        merged = np.full(last - start + 1, np.nan)
        _paste(merged, values, first - start)
        if len(self):
            _paste(merged, self.cells(self._first, self._last), self._first - start)
        if last != self._last:
            self._readings = 1  # what was loaded counts as one reading of its cell
        self._first, self._last = start, last
        self._ring[:] = np.nan
        self._ring[np.arange(start, last + 1) % len(self._ring)] = merged

    def cells(self, first: int, last: int) -> Floats:
        """Return the cells `first` to `last`, shape (last - first + 1,), rps; NaN where nothing is known."""
        index = np.arange(first, last + 1)
        held = (index >= self._first) & (index <= self._last)
        return np.where(held, self._ring[index % len(self._ring)], np.nan).astype(np.float64)

    def window(self) -> LoadWindow | None:
        """Return everything that is held; None when empty."""
        if not len(self):
            return None
        end = datetime.fromtimestamp(self._last * self.step_seconds, UTC)
        return LoadWindow(self.step_seconds, end, self.cells(self._first, self._last))

    def _extend(self, cell: int) -> None:
        oldest_kept = cell - len(self._ring) + 1
        first_new = max(self._last + 1, oldest_kept) if len(self) else cell
        self._first = max(self._first, oldest_kept) if len(self) else cell
        self._ring[np.arange(first_new, cell + 1) % len(self._ring)] = np.nan
        self._last = cell
        self._readings = 0


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


def _paste(target: Floats, values: Floats, offset: int) -> None:
    """Write the known ones of `values` into `target` from `offset` on; what falls outside is dropped."""
    index = np.arange(len(values)) + offset
    fits = (index >= 0) & (index < len(target)) & np.isfinite(values)
    target[index[fits]] = values[fits]
