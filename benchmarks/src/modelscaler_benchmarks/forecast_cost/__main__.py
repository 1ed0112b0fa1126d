"""`python -m modelscaler_benchmarks.forecast_cost`: what it costs to forecast a fleet, features included."""

import argparse
import dataclasses
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from modelscaler_benchmarks.forecast_cost.document import (
    MOST_MEBIBYTES,
    MOST_RETUNING_SECONDS,
    MOST_SECONDS,
    Cost,
    report,
    section,
)
from modelscaler_benchmarks.forecast_cost.fleet import HISTORY_STEPS, STEP_SECONDS, Measured, fleet
from modelscaler_benchmarks.forecast_cost.parts import by_part
from modelscaler_benchmarks.forecast_cost.retuning import retuned
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, write_json, write_section

PACKAGES = ("modelscaler", "numpy", "scipy", "safetensors", "torch")
RETUNED_SERIES = 200
MEBIBYTE = 2**20


def main() -> int:
    """Measure; the exit code tells whether it ran, not whether bounds were kept."""
    given = _arguments()
    machine = quiet_machine(PACKAGES)
    with fleet(given.series, given.steps, given.warmed, given.seed) as measured:
        loaded = resident_mebibytes()
        warming, rows = warmed(measured, given)
        restarted = resident_mebibytes()
        seconds = ticked(measured, given.ticks, given.seed)
        parts = by_part(measured)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBIBYTE
    memory = {"loaded": loaded, "restarted": restarted, "after": resident_mebibytes(), "peak": peak}
    retuning = retuned(RETUNED_SERIES, given.steps * STEP_SECONDS, given.seed) if given.retuning else None
    cost = Cost(given.series, given.steps, seconds, warming, rows, parts, memory, retuning)
    print(report(cost))
    if given.write:
        write_section(DOCUMENT, "forecast-cost", section(cost, machine.sentence()))
    if given.json:
        write_json(given.json, {"machine": machine.as_json(), **figures(cost, given)})
    return 0


def figures(cost: Cost, given: argparse.Namespace) -> dict[str, Any]:
    """Return every figure with its settings and bounds."""
    settings = {name: value for name, value in vars(given).items() if name not in {"json", "write"}}
    return {
        "settings": settings | {"stepSeconds": STEP_SECONDS, "historySteps": HISTORY_STEPS},
        "bounds": {"seconds": MOST_SECONDS, "mebibytes": MOST_MEBIBYTES, "retuningSeconds": MOST_RETUNING_SECONDS},
        "tickSeconds": cost.seconds,
        "warmingSeconds": cost.warming,
        "warmed": cost.warmed,
        "partSeconds": cost.parts,
        "mebibytes": cost.mebibytes,
        "retuning": dataclasses.asdict(cost.retuning) if cost.retuning else None,
    }


def warmed(measured: Measured, given: argparse.Namespace) -> tuple[list[float], int]:
    """Tick a few times as after a restart, when each tick warms some series too.

    Returns how long each took, in seconds, and how many series were warmed in all.

    The others then go on without: what they cost is the same.
    """
    seconds, now = [], measured.tick(0, np.random.default_rng(given.seed))
    for _ in tqdm(range(given.warming_ticks), desc="warming", leave=False):
        began = time.perf_counter()
        measured.forecast(now)
        seconds.append(time.perf_counter() - began)
    rows = 0
    for cohort in measured.forecasting.fleet.in_use():
        rows += int(cohort.table["warm"].sum())
        cohort.table["warm"][:] = True
    return seconds, rows


def ticked(measured: Measured, ticks: int, seed: int) -> list[float]:
    """Forecast everything once a minute; return how long each time took, in seconds."""
    rng, seconds = np.random.default_rng(seed), []
    for minute in range(1, ticks + 1):
        now = measured.tick(minute, rng)
        began = time.perf_counter()
        came = measured.forecast(now)
        seconds.append(time.perf_counter() - began)
        if came != len(measured.keys):
            raise RuntimeError(f"{came} forecasts of {len(measured.keys)} series")
    return seconds


def resident_mebibytes() -> float:
    """Return what this process holds in memory now."""
    return float(psutil.Process().memory_info().rss / MEBIBYTE)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.forecast_cost", description=__doc__)
    parser.add_argument("--series", type=int, default=5_000, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="ahead, of a minute each (default: %(default)s)")
    parser.add_argument("--ticks", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--warmed", type=int, default=64, help="series that are warmed at once (default: %(default)s)")
    parser.add_argument("--warming-ticks", type=int, default=3, help="before those that count (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the load (default: %(default)s)")
    parser.add_argument(
        "--retuning", action="store_true", help=f"tune the network on {RETUNED_SERIES} series too (5 minutes)"
    )
    parser.add_argument("--write", action="store_true", help="write the figures into docs/benchmarks.md")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
