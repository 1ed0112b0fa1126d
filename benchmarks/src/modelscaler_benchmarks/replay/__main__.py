"""`python -m modelscaler_benchmarks.replay DIRECTORY`: every policy on every trace of a directory.

Writes docs/benchmarks.md and its picture, with --json every figure, with --timeline what happened, one file per trace.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from modelscaler.backtest.reading import TraceError, read_traces
from modelscaler.backtest.report.pictures import png
from modelscaler.replay.command import (
    Outputs,
    ReplayError,
    compared,
    foresights,
    given,
    settings_for,
    timelines,
    write,
)
from modelscaler.replay.comparison import Comparison
from modelscaler.replay.offered import chosen_names
from modelscaler.replay.options import add_arguments
from modelscaler.replay.report import pictures
from modelscaler.replay.report.rows import write_timelines
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.replay.document import section
from modelscaler_benchmarks.report import DOCUMENT, IMAGES, write_section

PACKAGES = ("numpy", "scipy")


def main() -> int:
    """Run; the exit code tells whether it ran."""
    arguments = _arguments()
    machine, began = quiet_machine(PACKAGES), monotonic()
    try:
        traces = read_traces([Path(each) for each in arguments.sources])
        names = chosen_names(arguments.policies)
    except (TraceError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    found = list[Comparison]()
    for trace in traces:
        try:
            by_mode = [settings_for(trace, each) for each in modes(arguments)]
        except ReplayError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        mine = list[Comparison]()
        for same_start in zip(*by_mode, strict=True):
            foreseen = foresights(same_start[0], names, arguments)  # the same for one variant: the load is
            mine += [compared(setting, names, foreseen, arguments) for setting in same_start]
        found += mine
        if arguments.timeline_directory:
            write_timelines(arguments.timeline_directory / f"{trace.name}.csv.gz", timelines(mine))
        told = {**given(arguments), "machine": machine.as_json(), "seconds": round(monotonic() - began)}
        write(found, Outputs(json=arguments.json), told)  # after each trace: what is interrupted is not lost
    if not found:
        print("no trace is long enough", file=sys.stderr)
        return 1
    write(found, Outputs(plot=arguments.plot, html=arguments.html), {})
    if not arguments.no_document:
        (IMAGES / "bench-replay.png").write_bytes(png(pictures.fronts(found)))
        write_section(DOCUMENT, "replay", section(found, monotonic() - began, machine.sentence()))
    return 0


def modes(arguments: argparse.Namespace) -> list[argparse.Namespace]:
    """Return what was asked for, once as it is, and with --both once more with one variant."""
    single = argparse.Namespace(**{**vars(arguments), "one_variant": True})
    return [arguments, single] if arguments.both else [arguments]


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.replay", description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--timeline-directory", type=Path, metavar="DIR", help="write what happened there, one .csv.gz for each trace"
    )
    parser.add_argument("--both", action="store_true", help="with the rung and, once more, with one variant")
    parser.add_argument(
        "--no-document", action="store_true", help="leave docs/benchmarks.md and its picture as they are"
    )
    arguments = parser.parse_args(argv)
    if arguments.both and (arguments.one_variant or arguments.modeldeployment):
        given = "--one-variant" if arguments.one_variant else f"--modeldeployment {arguments.modeldeployment}"
        parser.error(f"--both: got {given} too, expected the standard workload with its rung: both would be the same")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
