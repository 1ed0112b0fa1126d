"""What the benchmark writes into the documents."""

from collections.abc import Sequence

import numpy as np

from modelscaler.backtest.cases import MAIN_HORIZON_SECONDS
from modelscaler.backtest.method import CHAMPION
from modelscaler.backtest.report.summary import MeanRatio, is_news, main_cells, mean_ratios
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import CellScore
from modelscaler.forecast.base import QUANTILES
from modelscaler_benchmarks.forecast.targets import explained, verdicts
from modelscaler_benchmarks.report import markdown_table
from modelscaler_benchmarks.verdicts import verdict_table

SHOWN, TAIL = QUANTILES.index(0.9), QUANTILES.index(0.99)


def section(
    found: Backtest, horizons_seconds: Sequence[float], seconds: dict[str, float], machine: str, not_run: Sequence[str]
) -> str:
    """Return the section: means, the tables of every trace, targets, and how it was made.

    Args:
        found: The backtest.
        horizons_seconds: What horizons the means are taken at.
        seconds: How long each method took, by name; of cached ones it is reading.
        machine: Facts of the machine, as a sentence.
        not_run: The methods that were not run, by name.
    """
    traces = ", ".join(
        f"{case.trace.name} ({len(case.origins)}{f', each {case.every}th' if case.every > 1 else ''})"
        for case in found.cases
    )
    times = ", ".join(f"{name} {each:.0f} s" for name, each in seconds.items())
    return "\n\n".join(
        [
            "![Forecasts](images/bench-forecast.png)",
            "Ratio of the pinball loss at 10 minutes (one step where it is longer) to the best of eight naive forecasts "
            "with hindsight, geometric means over traces; lower is better.",
            _means(found),
            "The same at every horizon, quantiles 0.9 / 0.99, over the traces that were asked for it; those with longer steps "
            "count at 10 minutes only.",
            means_by_horizon(found, horizons_seconds),
            "### Targets",
            explained(found),
            verdict_table(verdicts(found)),
            "### Each trace at 10 minutes",
            "Quantile 0.9: the ratio, its 95 % bootstrap interval and the coverage.",
            _per_trace(found),
            f"Quantile 0.99: the ratio. And how often what came was at or below {CHAMPION}'s quantiles, in all and on the day "
            "that is farthest off.",
            tails_by_trace(found),
            f"Origins: {traces}. Times, those of rivals from their cache where they have one; networks that are shared count "
            f"where they were tuned: {times}. {machine}",
            *([f"Not run: {', '.join(not_run)}."] if not_run else []),
        ]
    )


def _means(found: Backtest) -> str:
    means = mean_ratios(found, [MAIN_HORIZON_SECONDS])
    rows = [[mean.method, _what(mean), *(f"{value:.3f}" for value in mean.ratio)] for mean in means]
    return markdown_table(["method", "target, traces", *(f"{level:g}" for level in QUANTILES)], rows)


def means_by_horizon(found: Backtest, horizons_seconds: Sequence[float]) -> str:
    """Return the table of means at each horizon, a column for each method."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for mean in mean_ratios(found, horizons_seconds):
        said = rows.setdefault((duration(mean.horizon_seconds), _what(mean)), {})
        said[mean.method] = f"{mean.ratio[SHOWN]:.3f} / {mean.ratio[TAIL]:.3f}"
    return markdown_table(
        ["horizon", "target, traces", *found.methods],
        [[*where, *(said.get(name, "–") for name in found.methods)] for where, said in rows.items()],
    )


def duration(seconds: float) -> str:
    """Return a time in words: minutes from one minute on."""
    return f"{seconds / 60.0:g} min" if seconds >= 60.0 else f"{seconds:g} s"


def _what(mean: MeanRatio) -> str:
    return f"{mean.target}, {len(mean.traces)}{' fine' * mean.fine}"


def _shown(found: Backtest) -> list[CellScore]:
    return [cell for cell in main_cells(found) if cell.methods and is_news(cell)]


def _per_trace(found: Backtest) -> str:
    rows = [
        [f"{cell.trace} {cell.target}", *(_figure(cell, name) for name in found.methods), cell.best_naive[SHOWN]]
        for cell in _shown(found)
    ]
    return markdown_table(["trace", *found.methods, "best naive"], rows)


def _figure(cell: CellScore, name: str) -> str:
    if name not in cell.methods:
        return "–"
    method = cell.methods[name]
    low, high = method.interval[SHOWN]
    return f"{method.ratio[SHOWN]:.2f} ({low:.2f}–{high:.2f}), {method.coverage[SHOWN]:.2f}"


def tails_by_trace(found: Backtest) -> str:
    """Return the table of each trace's ratios at 0.99, with the coverage of our own upper quantiles."""
    levels = [f"{level:g}" for level in QUANTILES[SHOWN:]]
    rows = [
        [f"{cell.trace} {cell.target}", *(_tail(cell, name) for name in found.methods), *_covered(cell)]
        for cell in _shown(found)
    ]
    header = ["trace", *found.methods, f"coverage of {' / '.join(levels)}", f"of {levels[0]}, farthest day"]
    return markdown_table(header, rows)


def _tail(cell: CellScore, name: str) -> str:
    return f"{cell.methods[name].ratio[TAIL]:.2f}" if name in cell.methods else "–"


def _covered(cell: CellScore) -> list[str]:
    if CHAMPION not in cell.methods:
        return ["–", "–"]
    ours = cell.methods[CHAMPION]
    farthest = QUANTILES[SHOWN] + ours.by_day.farthest(np.array(QUANTILES))[SHOWN]
    return [" / ".join(f"{share:.3f}" for share in ours.coverage[SHOWN:]), f"{farthest:.2f}"]
