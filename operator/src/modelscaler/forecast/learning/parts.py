"""Some of a panel's series, up to a column, so that nothing later can be seen and memory stays small."""

import numpy as np

from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.panel import Grid, Panel, Tier


def part_of(panel: Panel, rows: slice, cutoff: int) -> Panel:
    """Return the series `rows` of a panel with no column after `cutoff`.

    The coarse cell that `cutoff` lies in goes too, unless it ends there: it may hold later values.
    """
    fine = _cut(panel.fine, rows, cutoff + 1)
    if panel.factor == 1:
        return Panel(panel.step_seconds, panel.first_cell, fine, fine, 1, panel.first_coarse)
    ended = (panel.first_cell + cutoff) // panel.factor - panel.first_coarse
    coarse = _cut(panel.coarse, rows, ended)
    return Panel(panel.step_seconds, panel.first_cell, fine, coarse, panel.factor, panel.first_coarse)


def clocks_of(calendar: Calendar, rows: slice) -> Calendar:
    """Return the clocks of the series `rows`."""
    offsets = calendar.offset_seconds[rows]
    start = rows.start or 0
    holidays = {row - start: days for row, days in calendar.holidays.items() if 0 <= row - start < len(offsets)}
    return Calendar(offsets, holidays)


def _cut(grid: Tier, rows: slice, columns: int) -> Grid:
    if columns <= 0:  # a grid has at least one column; this one tells nothing
        blank = np.full((len(grid.values[rows]), 1), np.nan, dtype=np.float32)
        return Grid(blank, blank)
    values = grid.values[rows, :columns]
    return Grid(values, values if grid.maxima is grid.values else grid.maxima[rows, :columns])
