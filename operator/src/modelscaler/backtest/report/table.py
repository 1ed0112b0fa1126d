"""A backtest as text."""

from collections.abc import Iterator, Sequence
from typing import Final

from modelscaler.backtest.cases import MAIN_HORIZON_SECONDS
from modelscaler.backtest.report.summary import compared_names, long_enough, main_cells, mean_ratios
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import CellScore, MethodScore
from modelscaler.forecast.base import QUANTILES

SHOWN_LEVEL: Final = 0.9
SECOND_LEVEL: Final = 0.99
HEADER: Final = (
    "trace", "horizon s", "target", "origins", "method", "loss .9", "ratio .9", "95 %", "ratio .99",
    "cov .9", "cov .95", "cov .99", "best naive",
)  # fmt: skip


def score_rows(found: Backtest, horizon_seconds: float | None = MAIN_HORIZON_SECONDS) -> list[list[str]]:
    """Return the cells of the table of scores; None: at every horizon."""
    cells = found.scores if horizon_seconds is None else main_cells(found, horizon_seconds)
    return [row for cell in cells for row in _rows(cell, compared_names(found))]


def mean_rows(found: Backtest, horizons_seconds: Sequence[float]) -> list[list[str]]:
    """Return the cells of the table of geometric means."""
    return [
        [
            f"{mean.horizon_seconds:g}",
            mean.target,
            mean.method,
            f"{len(mean.traces)}{' fine' * mean.fine}",
            *map(number, mean.ratio),
        ]
        for mean in mean_ratios(found, horizons_seconds)
    ]


MEAN_HEADER: Final = ("horizon s", "target", "method", "traces", *(f"ratio {level:g}" for level in QUANTILES))


def notes(found: Backtest) -> list[str]:
    """Return what a reader has to know beside the table."""
    said = [f"{case.trace.name}: each {case.every}th origin is scored" for case in found.cases if case.every > 1]
    said += [f"{case.trace.name}: too short for the mean" for case in found.cases if not long_enough(case)]
    for cell in found.scores:
        said += [f"{cell.trace}, {cell.horizon_seconds:g} s, {cell.target}: {name} is left out, it {why}"
                 for name, why in cell.left_out.items()]  # fmt: skip
    return said


def text(found: Backtest, horizons_seconds: Sequence[float], everything: bool) -> str:
    """Return scores, means and notes for a terminal.

    Args:
        found: The backtest.
        horizons_seconds: What horizons the means are taken at.
        everything: Whether scores at every horizon are shown, or at the main one only.
    """
    parts = [aligned(HEADER, score_rows(found, None if everything else MAIN_HORIZON_SECONDS))]
    if means := mean_rows(found, horizons_seconds):
        parts.append("Geometric means over traces:\n" + aligned(MEAN_HEADER, means))
    return "\n\n".join([*parts, "\n".join(notes(found))]).strip()


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with columns as wide as they need to be."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def number(value: float) -> str:
    """Return a ratio or a share in a few characters."""
    return f"{value:.3f}"


def _rows(cell: CellScore, names: Sequence[str]) -> Iterator[list[str]]:
    if not cell.methods:
        yield [cell.trace, f"{cell.horizon_seconds:g}", cell.target, "0", *["–"] * (len(HEADER) - 4)]
    for name in names:
        if name in cell.methods:
            yield _row(cell, name, cell.methods[name])


def _row(cell: CellScore, name: str, found: MethodScore) -> list[str]:
    shown, second = QUANTILES.index(SHOWN_LEVEL), QUANTILES.index(SECOND_LEVEL)
    low, high = found.interval[shown]
    return [
        cell.trace, f"{cell.horizon_seconds:g}", cell.target, str(cell.origins), name, f"{found.loss[shown]:.4g}",
        number(found.ratio[shown]), f"{low:.2f}–{high:.2f}", number(found.ratio[second]),
        *(number(share) for share in found.coverage[shown:]), cell.best_naive[shown],
    ]  # fmt: skip
