"""`modelscaler backtest`: forecasts, scored on recorded load or on that of a live Prometheus."""

import argparse
from functools import partial

from modelscaler.backtest.command import backtest
from modelscaler.backtest.options import add_arguments as add_backtest_arguments
from modelscaler.backtest.trace import Trace
from modelscaler.cli.recorded import recorded
from modelscaler.cli.shared import positive
from modelscaler.domain import WorkloadKey


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_backtest_arguments(parser)
    parser.add_argument("--prometheus-url", help="read ModelDeployments' load from this Prometheus instead of files")
    parser.add_argument("--namespace", "-n", default="default", help="of the ModelDeployments (default)")
    parser.add_argument("--days", type=positive, default=14.0, help="how far back to read (14)")
    parser.add_argument("--step", type=positive, default=60.0, metavar="SECONDS", help="of that history (60)")


def run(arguments: argparse.Namespace) -> int:
    """Score, print and write what was asked for."""
    return backtest(arguments, partial(_live_traces, arguments) if arguments.prometheus_url else None)


def _live_traces(arguments: argparse.Namespace) -> list[Trace]:
    keys = [WorkloadKey(arguments.namespace, name) for name in arguments.sources]
    return recorded(arguments.prometheus_url, keys, arguments.days, max(arguments.step, 1.0))
