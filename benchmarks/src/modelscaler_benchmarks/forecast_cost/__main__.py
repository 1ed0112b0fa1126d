"""`python -m modelscaler_benchmarks.forecast_cost`: what it costs to forecast a fleet, features included."""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from modelscaler_benchmarks.forecast_cost.fleet import HISTORY_STEPS, STEP_SECONDS, Measured, fleet
from modelscaler_benchmarks.forecast_cost.parts import by_part
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.report import markdown_table, write_json

PACKAGES = ("modelscaler", "numpy", "scipy", "safetensors")
MOST_SECONDS = 1.5
MOST_MEBIBYTES = 500.0
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
    print(report(seconds, warming, rows, parts, memory))
    if given.json:
        settings = {name: value for name, value in vars(given).items() if name != "json"}
        settings |= {"stepSeconds": STEP_SECONDS, "historySteps": HISTORY_STEPS}
        bounds = {"seconds": MOST_SECONDS, "mebibytes": MOST_MEBIBYTES}
        figures = {
            "tickSeconds": seconds,
            "warmingSeconds": warming,
            "warmed": rows,
            "partSeconds": parts,
            "mebibytes": memory,
        }
        write_json(given.json, {"machine": machine.as_json(), "settings": settings, "bounds": bounds, **figures})
    return 0


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


def report(
    seconds: Sequence[float], warming: Sequence[float], rows: int, parts: dict[str, float], memory: dict[str, float]
) -> str:
    """Return the figures as text."""
    took = [[name, f"{value:.2f}"] for name, value in parts.items()]
    lines = [
        f"a tick: median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s of {len(seconds)} "
        f"(bound {MOST_SECONDS:g} s)",
        f"memory: {memory['loaded']:.0f} MiB with the history, {memory['after']:.0f} MiB at the end, "
        f"{memory['peak']:.0f} MiB at most (bound {MOST_MEBIBYTES:g} MiB)",
        *([_after_restart(warming, rows)] if warming else []),
        "",
        markdown_table(["part, on one core", "s"], took),
    ]
    return "\n".join(lines)


def _after_restart(warming: Sequence[float], rows: int) -> str:
    median, each = statistics.median(warming), rows / len(warming)
    return f"a tick after a restart: median {median:.2f} s, in which the state of {each:.0f} series is made anew"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.forecast_cost", description=__doc__)
    parser.add_argument("--series", type=int, default=5_000, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="ahead, of a minute each (default: %(default)s)")
    parser.add_argument("--ticks", type=int, default=20, help="(default: %(default)s)")
    parser.add_argument("--warmed", type=int, default=64, help="series that are warmed at once (default: %(default)s)")
    parser.add_argument("--warming-ticks", type=int, default=3, help="before those that count (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the load (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
