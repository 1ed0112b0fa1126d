"""The day so far as text: bars of offered load, the forecast band, and what the ready replicas carry."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from modelscaler_demo.snapshot import Snapshot

BLOCKS = " ▁▂▃▄▅▆▇█"
LOAD, BAND, CAPACITY, AXIS = "cyan", "yellow", "bold green", "dim"


@dataclass(frozen=True, slots=True)
class Column:
    """What one column of the chart shows, in requests per second; None for nothing."""

    offered: float | None = None
    lower: float | None = None
    planned: float | None = None
    capacity: float | None = None


def columns(snapshots: Sequence[Snapshot], day_seconds: float, width: int) -> list[Column]:
    """Return the last moment that falls into each column of a day; columns ahead are empty."""
    found = [Column()] * width
    for snapshot in snapshots:
        position = int(snapshot.seconds / day_seconds * width)
        if snapshot.seconds >= 0 and position < width:
            band = snapshot.told.band
            found[position] = Column(
                offered=snapshot.served.offered_rps,
                lower=band.lower_rps if band else None,
                planned=band.planned_rps if band else None,
                capacity=snapshot.capacity_rps,
            )
    return found


def draw(shown: Sequence[Column], height: int, top_rps: float) -> Text:
    """Draw the columns over a scale from 0 to `top_rps`, with an axis of the rate on the left."""
    text = Text()
    for row in range(height - 1, -1, -1):
        label = top_rps * (row + 1) / height if row == height - 1 else (0.0 if row == 0 else None)
        text.append(f"{label:4.0f} ┤" if label is not None else "     │", style=AXIS)
        for column in shown:
            text.append(*_cell(column, row, height, top_rps))
        text.append("\n")
    text.append("     └" + _hours(len(shown)), style=AXIS)
    return text


def top_of(shown: Sequence[Column], at_least: float) -> float:
    """Return a round top for the scale that shows every column, up to twice the load for capacity."""
    loads = [max(column.offered or 0.0, column.planned or 0.0) for column in shown]
    return max(at_least, -(-max(loads, default=0.0) * 1.25 // 10) * 10)


def _cell(column: Column, row: int, height: int, top_rps: float) -> tuple[str, str]:
    if _row_of(column.capacity, height, top_rps) == row:
        return "━", CAPACITY
    filled = (column.offered or 0.0) / top_rps * height - row
    planned, lower = (_row_of(value, height, top_rps) for value in (column.planned, column.lower))
    if planned == row and filled < 1.0:
        return "▔" if filled <= 0 else BLOCKS[max(int(filled * 8), 1)], BAND if filled <= 0 else LOAD
    if filled > 0:
        return BLOCKS[min(int(filled * 8) + 1, 8)], LOAD
    in_band = planned is not None and lower is not None and lower <= row < planned
    return ("░", BAND) if in_band else (" ", AXIS)


def _row_of(rps: float | None, height: int, top_rps: float) -> int | None:
    return None if rps is None else min(int(rps / top_rps * height), height - 1)


def _hours(width: int) -> str:
    axis = ["─"] * width
    for hour in range(0, 24, 3):
        for offset, letter in enumerate(f"{hour:02d}"):
            axis[min(int(hour / 24 * width) + offset, width - 1)] = letter
    return "".join(axis)
