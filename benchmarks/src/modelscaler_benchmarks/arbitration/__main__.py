"""`python -m modelscaler_benchmarks.arbitration`: what it costs to share accelerators out among a fleet."""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from random import Random

from modelscaler.domain import WorkloadKey
from modelscaler.planner.arbitration import Arbitration, Claim, Supply, Use, arbitrate
from modelscaler_benchmarks.machine import MachineFacts, quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section

PACKAGES = ("modelscaler", "numpy", "scipy")
MOST_SECONDS = 1.0
LIMIT_SECONDS = 30.0
"""For the solver; wide, so that the time to the proof is seen."""
RESOURCE = "example.com/gpu"
CASES = {
    "one unit each, one priority": ((1,), 1),
    "1, 2 or 4 units each, one priority": ((1, 2, 4), 1),
    "1, 2 or 4 units each, three priorities": ((1, 2, 4), 3),
}
"""Units per replica, and how many priorities."""


def main() -> int:
    """Measure; the exit code tells whether it ran, not whether the bound was kept."""
    given = _arguments()
    machine = quiet_machine(PACKAGES)
    timings = {
        name: [measured(claims(given.size, seed, *case), given.units) for seed in range(given.seeds)]
        for name, case in CASES.items()
    }
    text = report(timings, given.size, given.units, machine)
    print(text)
    if given.json:
        figures = {name: [{"seconds": s, "exact": e} for s, e in each] for name, each in timings.items()}
        asked = {"size": given.size, "units": given.units, "seeds": given.seeds}
        write_json(given.json, {"machine": machine.as_json(), "settings": asked, "cases": figures})
    if given.write:
        write_section(DOCUMENT, "arbitration", text)
    return 0


def claims(size: int, seed: int, units: Sequence[int], priorities: int) -> list[Claim]:
    """Return claims for one to four replicas, each replica worth less than the one before, that have waited up to two hours."""
    rng = Random(seed)  # noqa: S311 - chance, not secrecy
    return [_claim(number, rng, units, priorities) for number in range(size)]


def _claim(number: int, rng: Random, units: Sequence[int], priorities: int) -> Claim:
    each, first = rng.choice(units), rng.uniform(0.2, 3.0)
    worth = tuple(accumulate(first * each * 0.8**replica for replica in range(rng.randint(1, 4))))
    key = WorkloadKey("fleet", f"model-{number:05}")
    return Claim(key, (Use("gpu", RESOURCE, each, worth),), rng.randrange(priorities), rng.uniform(0.0, 7200.0))


def measured(fleet: Sequence[Claim], units: int) -> tuple[float, bool]:
    """Return the seconds that one arbitration took by the clock, and whether it is proven best."""
    began = time.perf_counter()
    result: Arbitration = arbitrate(fleet, Supply({RESOURCE: units}), LIMIT_SECONDS)
    return time.perf_counter() - began, result.exact


def report(timings: dict[str, list[tuple[float, bool]]], size: int, units: int, machine: MachineFacts) -> str:
    """Return the figures as text."""
    rows = [[name, *_row(each)] for name, each in timings.items()]
    return "\n".join(
        [
            f"{size:,} ModelDeployments that share {units} accelerators, one generated fleet for each seed: time by the clock. "
            f"The bound is {MOST_SECONDS:g} s. {machine.sentence()}",
            "",
            markdown_table(["fleet", "s, median", "least and most", "proven best"], rows),
        ]
    )


def _row(each: Sequence[tuple[float, bool]]) -> list[str]:
    seconds = [took for took, _ in each]
    spread = f"{min(seconds):.2f}–{max(seconds):.2f}"
    return [f"{statistics.median(seconds):.2f}", spread, f"{sum(exact for _, exact in each)} of {len(each)}"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.arbitration", description=__doc__)
    parser.add_argument("--size", type=int, default=500, help="ModelDeployments (default: %(default)s)")
    parser.add_argument("--units", type=int, default=64, help="accelerators (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=20, help="fleets per case (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
