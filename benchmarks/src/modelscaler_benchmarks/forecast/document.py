"""What the benchmark writes into the documents."""

from modelscaler.backtest.cases import MAIN_HORIZON_SECONDS
from modelscaler.backtest.report.summary import MeanRatio, main_cells, mean_ratios
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import CellScore
from modelscaler.forecast.base import QUANTILES
from modelscaler_benchmarks.report import markdown_table

SHOWN, TAIL = QUANTILES.index(0.9), QUANTILES.index(0.99)


def section(found: Backtest, seconds: dict[str, float], machine: str, missing: int) -> str:
    """Return the section: means, the table of every trace, and how it was made.

    Args:
        found: The backtest.
        seconds: How long each method took, by name; of cached ones it is reading.
        machine: Facts of the machine, as a sentence.
        missing: How many rivals could not be run.
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
            "Each trace, quantile 0.9: the ratio, its 95 % bootstrap interval and the coverage.",
            _per_trace(found),
            f"Origins: {traces}. Times, those of rivals from their cache where they have one: {times}. {machine}",
            *([f"{missing} rivals were not run."] if missing else []),
        ]
    )


def _means(found: Backtest) -> str:
    means = mean_ratios(found, [MAIN_HORIZON_SECONDS])
    rows = [[mean.method, _what(mean), *(f"{value:.3f}" for value in mean.ratio)] for mean in means]
    return markdown_table(["method", "target, traces", *(f"{level:g}" for level in QUANTILES)], rows)


def _what(mean: MeanRatio) -> str:
    return f"{mean.target}, {len(mean.traces)}{' fine' * mean.fine}"


def _per_trace(found: Backtest) -> str:
    cells = [cell for cell in main_cells(found) if cell.methods and (cell.target == "value" or cell.ahead > 1)]
    rows = [
        [f"{cell.trace} {cell.target}", *(_figure(cell, name) for name in found.methods), cell.best_naive[SHOWN]]
        for cell in cells
    ]
    return markdown_table(["trace", *found.methods, "best naive"], rows)


def _figure(cell: CellScore, name: str) -> str:
    if name not in cell.methods:
        return "–"
    method = cell.methods[name]
    low, high = method.interval[SHOWN]
    return f"{method.ratio[SHOWN]:.2f} ({low:.2f}–{high:.2f}), {method.coverage[SHOWN]:.2f}"
