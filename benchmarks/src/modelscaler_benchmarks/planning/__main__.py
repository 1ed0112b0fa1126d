"""`python -m modelscaler_benchmarks.planning`: what it costs to plan for a fleet, the next safe step included."""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from modelscaler.planner.plan import plan
from modelscaler.planner.transition import next_step
from modelscaler_benchmarks.machine import MachineFacts, quiet_machine
from modelscaler_benchmarks.planning.fleet import LEAD_SECONDS, PLACEMENTS, VARIANTS, Member, fleet, moved
from modelscaler_benchmarks.planning.fortnight import fortnight_seconds
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section

PACKAGES = ("modelscaler", "numpy")
MOST_SECONDS = 1.0
MOST_FORTNIGHT_SECONDS = 60.0
CASES = {
    "the same load, with a reflex": (True, 1.0),
    "the same load, without": (False, 1.0),
    "half as much again everywhere, with a reflex": (True, 1.5),
    "four times as much everywhere, with a reflex: most switch": (True, 4.0),
}
"""Reflex, and the change of load since the last tick."""


def main() -> int:
    """Measure; the exit code tells whether it ran, not whether the bound was kept."""
    given = _arguments()
    machine = quiet_machine(PACKAGES)
    timings = {
        name: measured(fleet(given.size, given.seed, reflex=reflex), factor, given.rounds)
        for name, (reflex, factor) in tqdm(CASES.items(), desc="cases", leave=False)
    }
    fortnights = [fortnight_seconds(given.seed + number) for number in range(given.fortnights)]
    text = report(timings, given.size, fortnights, machine)
    print(text)
    if given.json:
        settings = {name: value for name, value in vars(given).items() if name not in {"json", "write"}}
        figures = {
            "seconds": timings,
            "boundSeconds": MOST_SECONDS,
            "fortnightSeconds": fortnights,
            "boundFortnightSeconds": MOST_FORTNIGHT_SECONDS,
        }
        write_json(given.json, {"machine": machine.as_json(), "settings": settings, **figures})
    if given.write:
        write_section(DOCUMENT, "planning", text)
    return 0


def measured(members: Sequence[Member], factor: float, rounds: int) -> list[float]:
    """Plan for all of a fleet whose load has changed, again and again; return the CPU time that each time took, in seconds."""
    seconds = []
    for _ in range(rounds):
        changed = [moved(member, factor) for member in members]
        began = time.process_time()
        for member in changed:
            wanted, state = plan(member.workload, member.observation, member.forecast, member.state, LEAD_SECONDS)
            next_step(member.workload, member.observation, wanted, state)
        seconds.append(time.process_time() - began)
    return seconds


def report(timings: dict[str, list[float]], size: int, fortnights: Sequence[float], machine: MachineFacts) -> str:
    """Return the figures as text."""
    rows = [
        [name, f"{statistics.median(each):.2f}", f"{min(each):.2f}–{max(each):.2f}", f"{microseconds(each, size):.0f}"]
        for name, each in timings.items()
    ]
    count = len(PLACEMENTS) * len(VARIANTS)
    return "\n".join(
        [
            f"{size:,} ModelDeployments with {count} candidates each: CPU time on one core, speeds solved before. "
            f"The bound is {MOST_SECONDS:g} s. {machine.sentence()}",
            "",
            markdown_table(["fleet", "s, median", "least and most", "µs each"], rows),
            *(["", fortnight_sentence(fortnights)] if fortnights else []),
        ]
    )


def fortnight_sentence(seconds: Sequence[float]) -> str:
    """Return what two replayed weeks cost, one run at least."""
    spread = f"{min(seconds):.0f}–{max(seconds):.0f}"
    return (
        f"Two weeks of minutes of one ModelDeployment, replayed with its forecasts: {statistics.median(seconds):.0f} s "
        f"({spread}) of CPU time. The bound is {MOST_FORTNIGHT_SECONDS:g} s."
    )


def microseconds(seconds: Sequence[float], size: int) -> float:
    """Return the median time for one ModelDeployment."""
    return statistics.median(seconds) / size * 1e6


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.planning", description=__doc__)
    parser.add_argument("--size", type=int, default=5_000, help="ModelDeployments (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="per case (default: %(default)s)")
    parser.add_argument("--fortnights", type=int, default=2, help="replays of two weeks (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the load (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
