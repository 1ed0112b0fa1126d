"""What `modelscaler replay` takes."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from modelscaler.replay.incidents import IncidentError, flash_crowd, metrics_outage, stock_out
from modelscaler.replay.nodes import node_pool

Incident = TypeVar("Incident")

DEFAULT_DAYS: Final = 2.0
DEFAULT_SEEDS: Final = 5
DEFAULT_STARTS: Final = (60.0,)
DEFAULT_MOST_SETTINGS: Final = 16
MOST_SETTINGS: Final = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    _add_what(parser)
    _add_load(parser)
    _add_effort(parser)
    _add_outputs(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    """Add what is replayed, and with which policies."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="TRACE",
        help="a .csv or .csv.gz of timestamp,requests_per_second, or a directory of them",
    )
    parser.add_argument(
        "--modeldeployment", type=Path, metavar="FILE", help="what is scaled, with its capacities (a standard workload)"
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="the profile that the ModelDeployment names, a ConfigMap (none)"
    )
    parser.add_argument("--policies", default="all", metavar="NAMES", help="with commas; all (which it is)")
    parser.add_argument(
        "--cold-start",
        type=_between(1.0, 3600.0, float),
        action="append",
        default=[],
        metavar="SECONDS",
        help="how long a replica takes to start, again for more (60; a ModelDeployment's own)",
    )
    parser.add_argument(
        "--node-start",
        type=_incident(node_pool),
        action="append",
        default=[],
        metavar="PLACEMENT:SECONDS:REPLICAS_PER_NODE",
        help="new nodes of it take so long before replicas start on them: gpu:180:4; again for more (always there)",
    )
    parser.add_argument("--one-variant", action="store_true", help="replicas of the standard workload hold no rung")
    parser.add_argument(
        "--no-retuning", action="store_true", help="forecast with the network as it ships, and without trees"
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="only say which settings the days recommend, as in the operator",
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    """Add which part of the load, and what befalls it."""
    parser.add_argument(
        "--days",
        type=_between(0.1, 60.0, float),
        metavar="N",
        help="of either part (2; with --tune as in the operator: all there are, from 1 to 3.5)",
    )
    parser.add_argument(
        "--until-day",
        type=_between(0.2, 100_000.0, float),
        metavar="N",
        help="where the newer part ends (the trace's end)",
    )
    parser.add_argument(
        "--mean-rps", type=_between(1e-6, 1e6, float), metavar="RPS", help="scale the load to this (8 replicas' worth)"
    )
    parser.add_argument(
        "--burstiness",
        type=_between(0.0, 3.0, float),
        default=0.0,
        metavar="CV",
        help="of the rate from 5 s to 5 s (0)",
    )
    parser.add_argument(
        "--stock-out",
        type=_incident(stock_out),
        action="append",
        default=[],
        metavar="PLACEMENT:FROM-TO",
        help="on the newer part no new replica of it starts, in hours of that part: gpu:10h-11h30m; again for more (none)",
    )
    parser.add_argument(
        "--flash-crowd",
        type=_incident(flash_crowd),
        action="append",
        default=[],
        metavar="AT:FACTOR:SECONDS",
        help="on the newer part so many times the load for so long: 14h:3:600; again for more (none)",
    )
    parser.add_argument(
        "--metrics-outage",
        type=_incident(metrics_outage),
        action="append",
        default=[],
        metavar="ANSWER:FROM-TO",
        help="on the newer part queries of Prometheus are answered so, empty or none: empty:10h-10h30m; again for more (none)",
    )


def _add_effort(parser: argparse.ArgumentParser) -> None:
    """Add how much is tried."""
    parser.add_argument("--seed", type=_between(0, 10**9, int), default=0, help="the first (0)")
    parser.add_argument("--seeds", type=_between(1, 100, int), default=DEFAULT_SEEDS, metavar="N", help="how many (5)")
    parser.add_argument(
        "--most-settings",
        type=_between(1, MOST_SETTINGS, int),
        metavar="N",
        help="tried of a policy (16; all with --tune)",
    )
    parser.add_argument(
        "--processes", type=_between(1, 256, int), metavar="N", help="beside each other (one per processor)"
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add where results go."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--timeline", type=Path, metavar="FILE", help="write what happened as CSV (.gz: gzipped)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture, PNG")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with everything, in one file")


def _incident(read: Callable[[str], Incident]) -> Callable[[str], Incident]:
    def told(text: str) -> Incident:
        try:
            return read(text)
        except IncidentError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return told


def _between(least: float, most: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"got {text!r}, expected {what} from {least:g} to {most:g}")
        return value

    return read
