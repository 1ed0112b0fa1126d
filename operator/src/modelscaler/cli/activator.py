"""`modelscaler activator`: holds the requests to a ModelDeployment without replicas, and forwards them when one is ready."""

import argparse
import asyncio
import os

from prometheus_client import disable_created_metrics
from yarl import URL

from modelscaler.activator.holding import Limits
from modelscaler.activator.labels import LabelsError, parse_labels
from modelscaler.activator.run import ActivatorSettings, ListenError
from modelscaler.activator.run import run as run_activator
from modelscaler.activator.upstream import upstream_url
from modelscaler.api import METRIC_LABELS_VARIABLE
from modelscaler.cli.shared import not_negative, positive, refuse, set_up_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "--upstream",
        type=_upstream,
        required=True,
        metavar="URL",
        help="the ModelDeployment's Service, e.g. http://NAME.NAMESPACE.svc",
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (0.0.0.0)")  # noqa: S104 - a pod's own
    parser.add_argument("--port", type=_port, default=8080, help="of the requests; 0: any that is free (8080)")
    parser.add_argument("--status-port", type=_port, default=8081, metavar="PORT", help="of health (8081)")
    _add_limits(parser)
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Run the activator until it is told to stop."""
    set_up_logging(arguments.log_level, arguments.log_format)
    # A `_created` series per counter would double what is scraped, for nobody.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    try:
        asyncio.run(run_activator(_settings(arguments)))
    except (LabelsError, ListenError) as error:
        return refuse(str(error))
    return 0


def _add_limits(parser: argparse.ArgumentParser) -> None:
    default = Limits()
    for name, number, what in (
        ("--most-held", default.most_held, "requests in the house at once"),
        ("--most-body-bytes", default.most_body_bytes, "of one request"),
        ("--most-held-bytes", default.most_held_bytes, "of the bodies of all requests in the house"),
    ):
        parser.add_argument(name, type=_count, default=number, metavar="N", help=f"{what} ({number})")
    parser.add_argument(
        "--hold-seconds",
        type=positive,
        default=default.hold_seconds,
        metavar="SECONDS",
        help=f"for a replica to become ready, then a request is refused ({default.hold_seconds:g})",
    )
    parser.add_argument(
        "--shutdown-seconds",
        type=not_negative,
        default=30.0,
        metavar="SECONDS",
        help="once told to stop, for what is held; then it is refused (30)",
    )


def _settings(arguments: argparse.Namespace) -> ActivatorSettings:
    return ActivatorSettings(
        upstream=arguments.upstream,
        host=arguments.host,
        port=arguments.port,
        status_port=arguments.status_port,
        limits=Limits(
            hold_seconds=arguments.hold_seconds,
            most_held=arguments.most_held,
            most_body_bytes=arguments.most_body_bytes,
            most_held_bytes=arguments.most_held_bytes,
        ),
        shutdown_seconds=arguments.shutdown_seconds,
        labels=parse_labels(os.environ.get(METRIC_LABELS_VARIABLE, "")),
    )


def _upstream(text: str) -> URL:
    try:
        return upstream_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a port, 0 to 65535")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 1 or more")
    return value
