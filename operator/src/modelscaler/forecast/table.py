"""Arrays with one row for each series, which come and go together."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[Any]

FIRST_ROWS = 16


class Table:
    """Named arrays whose first axis is the series. Rows are kept without holes: what is removed is replaced by the last one."""

    def __init__(self, blank: Mapping[str, Rows], expected: int = 0) -> None:
        """Start empty; `blank` holds what a new row has, each of shape (1, ...); about `expected` rows are likely to come."""
        self._blank = dict(blank)
        self._arrays = {name: _room(row, max(expected, FIRST_ROWS)) for name, row in self._blank.items()}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, name: str) -> Rows:
        """Return a view of one array, shape (rows, ...)."""
        return self._arrays[name][: self._count]

    def add(self) -> int:
        """Add a blank row at the end and return its number."""
        if self._count == len(next(iter(self._arrays.values()))):
            for name in self._arrays:  # one after the other, so that two copies of all do not exist at once
                larger = _room(self._blank[name], 2 * self._count)
                larger[: self._count] = self._arrays[name]
                self._arrays[name] = larger
        self._count += 1
        self.clear(self._count - 1)
        return self._count - 1

    def clear(self, row: int) -> None:
        """Make a row blank again."""
        for name, array in self._arrays.items():
            array[row] = self._blank[name][0]

    def remove(self, row: int) -> None:
        """Remove a row; the last one takes its place."""
        for array in self._arrays.values():
            array[row] = array[self._count - 1]
        self._count -= 1


def _room(blank: Rows, rows: int) -> Rows:
    """Return room for rows; memory that nothing was written to is not taken yet."""
    return np.zeros((rows, *blank.shape[1:]), dtype=blank.dtype)
