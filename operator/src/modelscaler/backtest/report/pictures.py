"""Pictures of a backtest. Needs matplotlib, which comes with the extra modelscaler[backtest]."""

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from modelscaler.backtest.report.summary import compared_names, is_news, main_cells
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import BEST_NAIVE, CellScore
from modelscaler.backtest.targets import targets
from modelscaler.forecast.base import QUANTILES

FAN_DAYS: Final = 2.0
SHOWN: Final = QUANTILES.index(0.9)
COLOURS: Final = ("#0b6e99", "#d9822b", "#7a5195", "#5f8f3e", "#b04a5a", "#8c8c8c", "#3b3b3b")
FAN, MEDIAN, CAME = "#0b6e99", "#084c6b", "#222222"


class PlottingUnavailableError(Exception):
    """Matplotlib is not installed."""


def png(figure: Any) -> bytes:
    """Return a figure as PNG."""
    kept = io.BytesIO()
    figure.savefig(kept, dpi=110, format="png")
    return kept.getvalue()


def overview(found: Backtest) -> Any:
    """Return the picture of a whole backtest: a fan, ratios with intervals, and coverage day by day."""
    figure = new_figure(12.0, 4.2 + 4.0 + 0.32 * len(found.cases))
    grid = figure.add_gridspec(2, 2, height_ratios=[4.0, 3.0 + 0.35 * len(found.cases)])
    draw_fan(figure.add_subplot(grid[0, :]), found, most_telling(found), 1)
    draw_ratios(figure.add_subplot(grid[1, 0]), found)
    draw_coverage(figure.add_subplot(grid[1, 1]), found)
    return figure


def fan(found: Backtest, trace: str) -> Any:
    """Return the picture of a trace: value and peak as they were forecast, beside what came."""
    figure = new_figure(12.0, 5.6)
    above, below = figure.subplots(2, 1, sharex=True)
    draw_fan(above, found, trace, 0)
    draw_fan(below, found, trace, 1)
    return figure


def most_telling(found: Backtest) -> str:
    """Return the trace where the first method gains most on the best naive forecast, among those with whole days."""
    first = found.methods[0] if found.methods else BEST_NAIVE
    gains = {
        cell.trace: cell.methods[first].ratio[SHOWN] * (1.0 + (len(cell.methods[first].by_day.days) < FAN_DAYS))
        for cell in main_cells(found)
        if first in cell.methods
    }
    return min(gains, key=lambda trace: gains[trace], default=found.cases[0].trace.name)


def draw_fan(axes: Any, found: Backtest, trace: str, column: int) -> None:
    """Draw the quantiles of the first method over two days, at the time they are about, beside what came."""
    case = found.case(trace)
    method = found.methods[0] if found.methods else "ma30/add"
    cells = [cell.ahead for cell in main_cells(found) if cell.trace == trace]
    row = case.horizons.index(cells[0]) if cells else 0
    ahead = case.horizons[row]
    middle = len(case.origins) // 2
    chosen = slice(middle, middle + max(int(FAN_DAYS * case.trace.steps_per_day / case.every), 2))
    origins = case.origins[chosen]
    when = [case.trace.time(int(index)) for index in origins + ahead]
    said = found.said(method, trace)[row, column, chosen]
    axes.fill_between(when, said[:, 0], said[:, 4], color=FAN, alpha=0.16, linewidth=0, label="0.1 to 0.99")
    axes.fill_between(when, said[:, 0], said[:, 2], color=FAN, alpha=0.3, linewidth=0, label="0.1 to 0.9")
    axes.plot(when, said[:, 1], color=MEDIAN, linewidth=1.0, label="0.5")
    came = targets(case.trace.rps, ahead)[column][origins]
    axes.plot(when, came, color=CAME, linewidth=0.6, label="what came")
    what = ("value in", "largest value within")[column]
    axes.set_title(f"{trace}: {what} {case.seconds(ahead):g} s, by {method}", loc="left", fontsize=10)
    axes.set_ylabel("requests/s")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", fontsize=8, ncol=4, frameon=False)
    _plain(axes)


def draw_ratios(axes: Any, found: Backtest) -> None:
    """Draw the ratio to the best naive forecast of each trace, with its interval, at quantile 0.9."""
    cells = [cell for cell in main_cells(found) if cell.methods and is_news(cell)]
    names = [name for name in compared_names(found) if name != BEST_NAIVE]
    for place, name in enumerate(names):
        _draw_method_ratios(axes, cells, name, COLOURS[place % len(COLOURS)], place / max(len(names), 1) * 0.6 - 0.25)
    axes.axvline(1.0, color="#999999", linewidth=0.8)
    _name_rows(axes, cells)
    axes.set_title("loss at 0.9 ÷ the best naive forecast's, 95 % interval", loc="left", fontsize=10)
    axes.set_xlim(0.3, 1.5)
    if names:
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    _plain(axes)


def draw_coverage(axes: Any, found: Backtest) -> None:
    """Draw how often what came stayed at or below the 0.9 quantile of the first method: each day a dot, the whole a bar."""
    name = found.methods[0] if found.methods else BEST_NAIVE
    cells = [cell for cell in main_cells(found) if name in cell.methods and is_news(cell)]
    for row, cell in enumerate(cells):
        method = cell.methods[name]
        whole = method.by_day.whole
        axes.plot(method.by_day.shares[whole, SHOWN], np.full(whole.sum(), row), ".", color=FAN, alpha=0.35)
        axes.plot([method.coverage[SHOWN]], [row], "|", color=CAME, markersize=11, markeredgewidth=2)
    axes.axvspan(0.85, 0.95, color="#e8f0e4", zorder=0)
    axes.axvline(0.9, color="#999999", linewidth=0.8)
    _name_rows(axes, cells)
    axes.set_title(f"coverage of 0.9 by {name}: each day, and over all", loc="left", fontsize=10)
    _plain(axes)


def _draw_method_ratios(axes: Any, cells: Sequence[CellScore], name: str, colour: str, shift: float) -> None:
    rows = [(row, cell.methods[name]) for row, cell in enumerate(cells) if name in cell.methods]
    for row, method in rows:
        axes.plot(method.interval[SHOWN], [row + shift] * 2, color=colour, linewidth=1.2)
    ratios = [method.ratio[SHOWN] for _, method in rows]
    axes.plot(ratios, [row + shift for row, _ in rows], "o", color=colour, markersize=4, label=name)


def _name_rows(axes: Any, cells: Sequence[CellScore]) -> None:
    axes.set_yticks(range(len(cells)), [f"{cell.trace} {cell.target}" for cell in cells], fontsize=8)
    axes.set_ylim(max(len(cells), 1) - 0.5, -0.5)


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of so many inches."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra that the operator's image does without
    except ModuleNotFoundError as error:
        raise PlottingUnavailableError(
            f"pictures need {error.name}, which is not installed; pip install 'modelscaler[backtest]'"
        ) from None
    return Figure(figsize=(width, height), layout="constrained")


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
