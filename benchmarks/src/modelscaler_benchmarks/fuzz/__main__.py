"""`python -m modelscaler_benchmarks.fuzz`: nonsense for the server, and whether it minds."""

import argparse
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from modelscaler_benchmarks.fuzz.running import Aftermath, run
from modelscaler_benchmarks.fuzz.tally import Tally
from modelscaler_benchmarks.machine import measured_machine
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section

DOCUMENTED_CASES = 50_000
"""A shorter run is not written into the document."""
PACKAGES = ("modelserver", "schemathesis", "hypothesis", "uvicorn", "httptools", "uvloop", "orjson", "numpy")
_MEGABYTE = 2**20


def main() -> int:
    """Run; the exit code is 1 when any answer was wrong or the server is not as before."""
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=DOCUMENTED_CASES, help="at least so many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all counts with their settings to this file")
    given = parser.parse_args()
    if given.cases < 100:
        parser.error(f"--cases {given.cases}: expected 100 or more")
    machine = measured_machine(PACKAGES)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        tally, aftermath = run(given.cases, given.seed, Path(folder))
    seconds = time.monotonic() - began
    text = report(tally, aftermath, seconds)
    print(text)
    if given.cases >= DOCUMENTED_CASES:
        write_section(DOCUMENT, "fuzz", f"Seed {given.seed}. {machine.sentence()}\n\n{text}")
    if given.json:
        settings = {"cases": given.cases, "seed": given.seed, "seconds": round(seconds, 1)}
        figures = {"settings": settings, "machine": machine.as_json(), **tally.as_json(), "after": asdict(aftermath)}
        write_json(given.json, figures)
    return 1 if tally.failed or aftermath.problems else 0


def report(tally: Tally, aftermath: Aftermath, seconds: float) -> str:
    """Return the counts as a table, and what was wrong."""
    rows = [
        [kind, str(sum(statuses.values())), ", ".join(f"{status}: {count}" for status, count in statuses.items())]
        for kind, statuses in tally.by_kind().items()
    ]
    lines = [
        markdown_table(["kind", "cases", "by status (0: closed without an answer)"], rows),
        "",
        f"{tally.cases} cases in {seconds:.0f} s, {tally.failed} of them answered wrongly; memory "
        f"{aftermath.resident_bytes_before / _MEGABYTE:.0f} -> {aftermath.resident_bytes_after / _MEGABYTE:.0f} MiB.",
        *tally.failures,
        *aftermath.problems,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
