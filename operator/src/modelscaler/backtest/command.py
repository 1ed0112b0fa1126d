"""`modelscaler backtest`: score forecasts on recorded load."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelscaler.backtest.cases import (
    COARSE_HORIZONS_SECONDS,
    FINE_HORIZONS_SECONDS,
    FINE_STEP_SECONDS,
    Case,
    case_of,
)
from modelscaler.backtest.champion import champions
from modelscaler.backtest.method import Method
from modelscaler.backtest.progress import progress_bar
from modelscaler.backtest.reading import TraceError, read_traces
from modelscaler.backtest.report import pictures
from modelscaler.backtest.report.figures import figures
from modelscaler.backtest.report.page import page
from modelscaler.backtest.report.rows import write_forecasts, written_methods
from modelscaler.backtest.report.table import text
from modelscaler.backtest.rivals.choice import UnknownRivalError, chosen_rivals
from modelscaler.backtest.running import Backtest, run
from modelscaler.backtest.trace import Trace

REFUSALS: Final = (TraceError, UnknownRivalError, pictures.PlottingUnavailableError, OSError)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where what was found is written; None: nowhere."""

    json: Path | None = None
    forecasts: Path | None = None
    plot: Path | None = None
    html: Path | None = None


def backtest(arguments: argparse.Namespace, traces: Callable[[], Sequence[Trace]] | None = None) -> int:
    """Run the command; return its exit status: 0 fine, 1 refused.

    Args:
        arguments: What was given.
        traces: Reads the load; None: from the files given.
    """
    try:
        methods = [*champions(), *chosen_rivals(arguments.rivals.split(","))]
        found_traces = (traces or (lambda: read_traces([Path(each) for each in arguments.sources], arguments.fine)))()
        cases = [case_of(trace, arguments.horizon, arguments.most_origins) for trace in found_traces]
        found = scored(cases, methods, arguments.seed)
        horizons_seconds = nominal_horizons(cases, arguments.horizon)
        print(text(found, horizons_seconds, arguments.all_horizons or bool(arguments.horizon)))
        outputs = Outputs(arguments.json, arguments.forecasts, arguments.plot, arguments.html)
        write(found, horizons_seconds, outputs, mostOrigins=arguments.most_origins)
    except REFUSALS as error:
        print(f"modelscaler: {error}", file=sys.stderr)
        return 1
    return 0


def scored(cases: Sequence[Case], methods: Sequence[Method], seed: int) -> Backtest:
    """Run a backtest and show how far it has come."""
    progress = progress_bar()
    try:
        return run(cases, methods, progress, seed)
    finally:
        progress.close()


def nominal_horizons(cases: Sequence[Case], asked_seconds: Sequence[float]) -> list[float]:
    """Return the horizons as they were asked for, in seconds, before they were rounded to whole steps."""
    if asked_seconds:
        return sorted(set(asked_seconds))
    fine = any(case.trace.step_seconds < FINE_STEP_SECONDS for case in cases)
    return sorted({*COARSE_HORIZONS_SECONDS, *(FINE_HORIZONS_SECONDS if fine else ())})


def write(found: Backtest, horizons_seconds: Sequence[float], outputs: Outputs, **settings: object) -> None:
    """Write what was found to where it is wanted."""
    if outputs.json:
        outputs.json.parent.mkdir(parents=True, exist_ok=True)
        told = json.dumps(figures(found, horizons_seconds, settings), indent=1, allow_nan=False)
        outputs.json.write_text(told + "\n", encoding="utf-8")
    if outputs.forecasts:
        write_forecasts(outputs.forecasts, found, written_methods(found))
    if outputs.plot:
        outputs.plot.parent.mkdir(parents=True, exist_ok=True)
        outputs.plot.write_bytes(pictures.png(pictures.overview(found)))
    if outputs.html:
        outputs.html.parent.mkdir(parents=True, exist_ok=True)
        outputs.html.write_text(page(found, horizons_seconds), encoding="utf-8")
