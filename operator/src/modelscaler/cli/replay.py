"""`modelscaler replay`: policies, compared on recorded load or on a ModelDeployment's own."""

import argparse
from functools import partial
from typing import Final

from modelscaler.backtest.trace import Trace
from modelscaler.cli.recorded import recorded
from modelscaler.cli.shared import positive
from modelscaler.domain import WorkloadKey
from modelscaler.replay.command import command
from modelscaler.replay.options import add_arguments as add_replay_arguments

STEP_SECONDS: Final = 60.0
"""Of a history that is replayed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_replay_arguments(parser)
    parser.add_argument(
        "--prometheus", metavar="URL", help="replay the ModelDeployment's own load, as this Prometheus remembers it"
    )
    parser.add_argument(
        "--lookback",
        type=positive,
        default=14.0,
        metavar="DAYS",
        help=f"how far back to read that, at a step of {STEP_SECONDS:g} s (14)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Replay, print and write what was asked for."""
    return command(arguments, partial(_own_trace, arguments) if arguments.prometheus else None)


def _own_trace(arguments: argparse.Namespace, key: WorkloadKey) -> Trace:
    return recorded(arguments.prometheus, [key], arguments.lookback, STEP_SECONDS)[0]
