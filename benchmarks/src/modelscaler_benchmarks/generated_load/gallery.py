"""The picture of generated load: every kind, named."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from modelscaler.domain import Floats
from modelscaler.forecast.learning.generated import GeneratedPanel
from modelscaler_benchmarks.generated_load.statistics import DAY_SECONDS

COLUMNS = 4
LEAST_KNOWN = 0.75
"""Of a series that is shown; in training there are younger ones."""


def chosen(panel: GeneratedPanel, number: int) -> list[int]:
    """Return which series to show: the first well-known one of each kind, then second ones, sorted by kind."""
    known = np.isfinite(panel.rps).mean(axis=1) >= LEAST_KNOWN
    turns: dict[str, int] = {}
    ranked = []
    for row in np.flatnonzero(known):
        kind = panel.kinds[row]
        ranked.append((turns.setdefault(kind, 0), int(row)))
        turns[kind] += 1
    rows = [row for _, row in sorted(ranked)[:number]]
    return sorted(rows, key=lambda row: panel.kinds[row])


def draw(panel: GeneratedPanel, rows: Sequence[int], path: Path) -> None:
    """Write the picture as PNG."""
    lines = -(-len(rows) // COLUMNS)
    figure, grid = pyplot.subplots(lines, COLUMNS, figsize=(15.0, 1.75 * lines), sharex=True, squeeze=False)
    days = np.arange(panel.rps.shape[1], dtype=np.float64) * panel.step_seconds / DAY_SECONDS
    for axes in grid.flat[len(rows) :]:
        axes.set_axis_off()
    for axes, row in zip(grid.flat, rows, strict=False):
        _draw_series(axes, days, panel.rps[row], panel.kinds[row])
    figure.supylabel("requests per second", fontsize=9)
    figure.supxlabel("days", fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=75)
    pyplot.close(figure)


def _draw_series(axes: Axes, days: Floats, rps: NDArray[np.float32], kind: str) -> None:
    axes.plot(days, rps, linewidth=0.5)
    axes.set_title(kind, fontsize=9, loc="left", pad=2)
    axes.set_ylim(bottom=0.0)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
