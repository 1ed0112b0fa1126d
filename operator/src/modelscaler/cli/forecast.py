"""`modelscaler forecast`: the network that ships with the package."""

import argparse
from pathlib import Path

from modelscaler.backtest.progress import progress_bar
from modelscaler.backtest.reading import TraceError, read_traces
from modelscaler.cli.shared import positive, refuse, set_up_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    pretrain = commands.add_parser("pretrain", help="make the network that ships with the package, from generated load")
    pretrain.add_argument(
        "--minutes", type=positive, default=15.0, help="about how much work, in minutes of two cores (15)"
    )
    pretrain.add_argument("--seed", type=int, default=0, help="what everything random follows from (0)")
    pretrain.add_argument("--out", type=Path, default=None, metavar="FILE", help="the weights (into the package)")
    pretrain.add_argument("--traces", type=Path, default=None, metavar="DIR", help="learn from these CSV files as well")
    pretrain.add_argument(
        "--examples", type=Path, default=None, metavar="DIR", help="keep what is generated, to go on from (not kept)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the network."""
    try:
        from modelscaler.forecast.learning.command import pretrain  # noqa: PLC0415 - torch is an extra
    except ModuleNotFoundError as error:
        return refuse(f"{error}: training needs torch; install modelscaler[learning]")
    set_up_logging("info", "text")
    try:
        traces = read_traces([arguments.traces]) if arguments.traces else []
        recorded = [(trace.rps, trace.step_seconds, trace.start) for trace in traces]
        pretrain(arguments.minutes, arguments.seed, arguments.out, arguments.examples, recorded, progress_bar())
    except (TraceError, OSError) as error:
        return refuse(str(error))
    return 0
