"""`modelscaler-demo`: run the demo, or one of its parts."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from localcluster.errors import LocalClusterError
from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.command import add_load_command


def parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    top = argparse.ArgumentParser(prog="modelscaler-demo", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_run_command(commands)
    add_load_command(commands)
    return top


def _add_run_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("run", help="run the demo: a day of load in under five minutes")
    command.add_argument("--out", type=Path, default=Path("demo-output"), help="for the report (default: %(default)s)")
    command.add_argument("--plain", action="store_true", help="lines instead of the live screen")
    command.add_argument("--seed", type=int, default=7, help="of the days and the load (default: %(default)s)")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from modelscaler_demo.demo import run  # noqa: PLC0415 - `load` starts faster without the plots

    return run(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (DemoError, LocalClusterError) as error:
        print(f"modelscaler-demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
