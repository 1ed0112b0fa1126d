"""Forecasts that wait for what they forecast, so that their makers can be judged."""

from typing import Final

import numpy as np

from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.panel import Floats32
from modelscaler.forecast.pipeline import MEMBERS
from modelscaler.forecast.table import Rows, Table

MOST_WAITING: Final = (
    6  # at once for one horizon, evenly spaced: what a long horizon would fill is memory, not knowledge
)


class Waiting:
    """What was said for one horizon and has not come yet. The forecasts themselves are rows of a table."""

    def __init__(self, rung: int, ahead: int) -> None:
        """Start without any; `rung` is the number of the horizon and `ahead` its length in steps."""
        self.ahead = ahead
        self.every = -(-ahead // MOST_WAITING)
        self._origins = [-1] * places(ahead)
        self._names = names(rung)

    def wants(self, origin: int) -> bool:
        """Tell whether a forecast from a cell is to be kept: one of several, and only the first from there."""
        return origin % self.every == 0 and self._origins[self._place(origin)] != origin

    def keep(
        self, table: Table, rows: slice, origin: int, members: Floats32, served: Floats32, scale: Floats32
    ) -> None:
        """Keep what was said of a chunk of rows: members (M, 2, B, Q), served (2, B, Q), scale (2, B)."""
        place = self._place(origin)
        for name, said in zip(self._names, (members, served, scale), strict=True):
            kept = table[name][rows, place]
            kept[...] = np.moveaxis(said, 2 if said is members else 1, 0)

    def kept(self, origin: int) -> None:
        """Note that the forecasts from a cell are kept for all rows."""
        self._origins[self._place(origin)] = origin

    def due(self, complete: int) -> list[int]:
        """Return the origins whose outcome is known by cell `complete`, oldest first."""
        return sorted(origin for origin in self._origins if 0 <= origin <= complete - self.ahead)

    def said(self, table: Table, rows: slice, origin: int) -> tuple[Floats32, Floats32, Floats32]:
        """Return what was said of a chunk of rows: members (M, 2, B, Q), served (2, B, Q), scale (2, B)."""
        place = self._place(origin)
        members, served, scale = (table[name][rows, place] for name in self._names)
        return np.moveaxis(members, 0, 2), np.moveaxis(served, 0, 1), np.moveaxis(scale, 0, 1)

    def drop(self, table: Table, origins: list[int]) -> None:
        """Forget forecasts that were judged."""
        for origin in origins:
            place = self._place(origin)
            self._origins[place] = -1
            for name in self._names:
                table[name][:, place] = np.nan

    def _place(self, origin: int) -> int:
        return origin // self.every % len(self._origins)


def places(ahead: int) -> int:
    """Return how many forecasts may wait at once for a horizon."""
    every = -(-ahead // MOST_WAITING)
    return -(-ahead // every) + 1


def names(rung: int) -> tuple[str, str, str]:
    """Return the names of the arrays of a horizon."""
    return f"members{rung}", f"served{rung}", f"scale{rung}"


def blank(rung: int, ahead: int) -> dict[str, Rows]:
    """Return what a new row of those arrays holds."""
    count, quantiles = places(ahead), len(QUANTILES)
    shapes = ((count, len(MEMBERS), TARGETS, quantiles), (count, TARGETS, quantiles), (count, TARGETS))
    return {
        name: np.full((1, *shape), np.nan, dtype=np.float32) for name, shape in zip(names(rung), shapes, strict=True)
    }
