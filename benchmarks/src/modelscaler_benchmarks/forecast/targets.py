"""The targets of our forecasts, and whether a backtest met them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelscaler.backtest.cases import MAIN_HORIZON_SECONDS
from modelscaler.backtest.champion import ZERO_SHOT
from modelscaler.backtest.method import CHAMPION, is_ours
from modelscaler.backtest.report.summary import LEAST_DAYS, is_news, long_enough, main_cells, mean_ratios
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import BEST_NAIVE, NAIVE_NAMES, CellScore, MethodScore
from modelscaler.forecast.base import QUANTILES
from modelscaler_benchmarks.verdicts import Verdict

UPPER = tuple(place for place, level in enumerate(QUANTILES) if level >= 0.9)
"""Places of the quantiles that a planner asks for."""

MEAN_TARGETS: tuple[tuple[str, float, Mapping[str, float]], ...] = (
    (CHAMPION, 0.9, {"value": 0.80, "peak": 0.80}),
    (CHAMPION, 0.99, {"value": 0.78, "peak": 0.84}),
    (ZERO_SHOT, 0.9, {"value": 0.88, "peak": 0.88}),
)
"""Most that the mean over traces of whole minutes may be, by method, quantile and target."""

TRACE_TARGETS: Mapping[str, Mapping[str, float]] = {
    "twitter_stream_1min": {"value": 0.60, "peak": 0.48},
    "nyc_taxi_30min": {"value": 0.50},
    "websessions_1h": {"value": 0.66},
}
"""Most that the ratio at 0.9 may be, by trace and target."""

MOST_RATIO = 1.0
MOST_OFF = 0.01
MOST_OFF_IN_A_DAY = 0.05
MOST_LOST = 0.02
ROUNDING = 1e-9
LEVELS = "/".join(f"{QUANTILES[place]:g}" for place in UPPER)


@dataclass(frozen=True)
class Comparison:
    """Our loss beside a rival's at one trace, horizon, target and quantile.

    Attributes:
        what: Which, in words.
        excess: By how much ours is more, as a share of theirs; infinite where only theirs is 0.
    """

    what: str
    excess: float


def verdicts(found: Backtest) -> list[Verdict]:
    """Return every target with its verdict; those of single traces only where these were forecast."""
    cells = [cell for cell in found.scores if _counts(found, cell)]
    return [
        *(_mean(found, *target) for target in MEAN_TARGETS),
        _every_trace([cell for cell in main_cells(found) if _counts(found, cell)]),
        *(_trace(found, name, bounds) for name, bounds in TRACE_TARGETS.items() if _is_there(found, name)),
        _coverage(cells),
        _coverage_by_day(cells),
        _comparisons(cells),
    ]


def comparisons(cells: Sequence[CellScore]) -> list[Comparison]:
    """Compare ours with every rival at the upper quantiles."""
    return [
        Comparison(
            f"{name}, {cell.trace}, {cell.horizon_seconds:g} s, {cell.target}, {QUANTILES[place]:g}",
            _excess(float(cell.methods[CHAMPION].loss[place]), float(rival.loss[place])),
        )
        for cell in cells
        for name, rival in cell.methods.items()
        if not (is_ours(name) or name == BEST_NAIVE or name in NAIVE_NAMES)
        for place in UPPER
    ]


def _counts(found: Backtest, cell: CellScore) -> bool:
    return CHAMPION in cell.methods and is_news(cell) and long_enough(found.case(cell.trace))


def _is_there(found: Backtest, trace: str) -> bool:
    return any(case.trace.name == trace for case in found.cases)


def _excess(ours: float, theirs: float) -> float:
    if theirs > 0.0:
        return ours / theirs - 1.0
    return float("inf") if ours > 0.0 else 0.0


def _mean(found: Backtest, method: str, level: float, bounds: Mapping[str, float]) -> Verdict:
    of = [mean for mean in mean_ratios(found, [MAIN_HORIZON_SECONDS]) if mean.method == method and not mean.fine]
    measured = {mean.target: float(mean.ratio[QUANTILES.index(level)]) for mean in of}
    return _at_most(f"{method}, mean at {level:g}", measured, bounds)


def _trace(found: Backtest, trace: str, bounds: Mapping[str, float]) -> Verdict:
    of = [cell for cell in main_cells(found) if cell.trace == trace and CHAMPION in cell.methods]
    measured = {cell.target: float(cell.methods[CHAMPION].ratio[QUANTILES.index(0.9)]) for cell in of}
    return _at_most(f"{trace} at 0.9", measured, bounds)


def _at_most(what: str, measured: Mapping[str, float], bounds: Mapping[str, float]) -> Verdict:
    """Judge a figure for each target that has a bound; None measured, none judged."""
    target = f"{what}, {' / '.join(bounds)} ≤ {' / '.join(f'{bound:.2f}' for bound in bounds.values())}"
    there = {name: measured[name] for name in bounds if name in measured}
    if not there:
        return Verdict(target, "", None)
    words = " / ".join(f"{there[name]:.3f}" if name in there else "–" for name in bounds)
    return Verdict(target, words, all(value <= bounds[name] for name, value in there.items()))


def _every_trace(cells: Sequence[CellScore]) -> Verdict:
    target = f"no trace above {MOST_RATIO:.2f} at 0.9, value or peak"
    if not cells:
        return Verdict(target, "", None)
    ratios = {f"{cell.trace} {cell.target}": float(_score(cell).ratio[QUANTILES.index(0.9)]) for cell in cells}
    worst = max(ratios, key=lambda what: ratios[what])
    above = sum(ratio > MOST_RATIO for ratio in ratios.values())
    return Verdict(target, f"{above} of {len(ratios)}; the worst {worst} {ratios[worst]:.3f}", above == 0)


def _score(cell: CellScore) -> MethodScore:
    return cell.methods[CHAMPION]


def _coverage(cells: Sequence[CellScore]) -> Verdict:
    target = f"coverage of {LEVELS} within {100 * MOST_OFF:g} point, at every horizon"
    off = [float(abs(_score(cell).coverage[place] - QUANTILES[place])) for cell in cells for place in UPPER]
    kept = sum(each <= MOST_OFF + ROUNDING for each in off)
    return _share(target, f"{kept} of {len(off)}", len(off), kept == len(off))


def _coverage_by_day(cells: Sequence[CellScore]) -> Verdict:
    target = f"coverage of {LEVELS} within {100 * MOST_OFF_IN_A_DAY:g} points in every day"
    levels = np.array(QUANTILES)
    off = [float(abs(_score(cell).by_day.farthest(levels)[place])) for cell in cells for place in UPPER]
    worse = sum(each > MOST_OFF_IN_A_DAY + ROUNDING for each in off)
    return _share(target, f"{worse} of {len(off)} have a worse day", len(off), worse == 0)


def _comparisons(cells: Sequence[CellScore]) -> Verdict:
    target = f"no loss at {LEVELS} more than {100 * MOST_LOST:g} % above a rival's"
    compared = comparisons(cells)
    lost = sum(each.excess > MOST_LOST + ROUNDING for each in compared)
    worst = max(compared, key=lambda each: each.excess, default=Comparison("", 0.0))
    words = f"{lost} of {len(compared)} lost; the worst {100 * worst.excess:+.1f} % ({worst.what})"
    return _share(target, words, len(compared), lost == 0)


def _share(target: str, words: str, count: int, met: bool) -> Verdict:
    return Verdict(target, words, met) if count else Verdict(target, "", None)


def explained(found: Backtest) -> str:
    """Return what the targets count."""
    short = ", ".join(case.trace.name for case in found.cases if not long_enough(case))
    return (
        f"At 10 minutes unless they say otherwise, on traces of at least {LEAST_DAYS:g} days; means are over those of whole "
        "minutes. Coverage and losses are counted once for each trace, horizon, target and quantile; a peak over one step is "
        f"its value and not counted again.{f' Too short to count: {short}.' if short else ''}"
    )
