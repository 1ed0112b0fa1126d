"""`modelscaler run`: the operator."""

import argparse
import asyncio
from pathlib import Path
from typing import Final

from modelscaler import __version__
from modelscaler.activator.upstream import upstream_url
from modelscaler.cli.shared import add_cluster_arguments, not_negative, positive, refuse, set_up_logging
from modelscaler.cluster.connection import ConnectionSettingsError
from modelscaler.controller.accelerators import NodeSupply
from modelscaler.controller.run import Operator, RunSettings, SettingsError, identity, own_namespace
from modelscaler.render import RenderDefaults

LOOPBACK: Final = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    _add_prometheus(parser)
    _add_times(parser)
    _add_place(parser)
    parser.add_argument(
        "--state-directory", type=Path, default=None, metavar="DIR", help="keep the tuned network there (not kept)"
    )
    parser.add_argument("--server-image", default="modelscaler/modelserver:" + __version__, help="image of the servers")
    parser.add_argument(
        "--activator-image",
        default="modelscaler/operator:" + __version__,
        help="image of activators, which hold requests while no replica runs: the operator's own",
    )
    parser.add_argument(
        "--service-url",
        type=_service_url,
        default="http://{name}.{namespace}.svc",
        metavar="TEMPLATE",
        help="where pods reach a Service, with its {name} and {namespace} (http://{name}.{namespace}.svc)",
    )
    parser.add_argument(
        "--accelerator-supply",
        choices=("Existing", "OnDemand"),
        default="Existing",
        help="share out the accelerators of the nodes that exist, or reckon that an autoscaler adds nodes (Existing)",
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")


def run(arguments: argparse.Namespace) -> int:
    """Run the operator until it is told to stop."""
    set_up_logging(arguments.log_level, arguments.log_format)
    try:
        asyncio.run(_operate(arguments))
    except (ConnectionSettingsError, SettingsError) as error:
        return refuse(str(error))
    return 0


def _add_prometheus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prometheus-url", required=True, help="base address of Prometheus, e.g. http://prometheus:9090"
    )
    parser.add_argument(
        "--prometheus-token-file",
        type=Path,
        metavar="FILE",
        help="bearer token for Prometheus, read for each query (none)",
    )
    parser.add_argument(
        "--prometheus-ca-file", type=Path, metavar="FILE", help="certificates to trust Prometheus by (the system's)"
    )


def _add_times(parser: argparse.ArgumentParser) -> None:
    for name, seconds, what in (
        ("--interval", 15.0, "between ticks"),
        ("--rate-window", 30.0, "of rate(), three scrape intervals or more"),
        ("--history-step", 60.0, "of the load history"),
        ("--stale-after", 60.0, "a sample older than this is stale"),
        ("--status-refresh", 30.0, "least time between refreshes of figures in status"),
    ):
        parser.add_argument(name, type=positive, default=seconds, metavar="SECONDS", help=f"{what} ({seconds:g})")
    parser.add_argument(
        "--tuning-seconds",
        type=not_negative,
        default=1800.0,
        metavar="SECONDS",
        help="for one self-tuning of one ModelDeployment, about once a day, in a process behind all others; 0: none (1800)",
    )


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bind", default="0.0.0.0", help="address for health (8081) and metrics (8080)")  # noqa: S104 - a pod's own
    parser.add_argument("--namespace", default=None, help="manage only this namespace")
    parser.add_argument(
        "--lease-namespace", default=None, help="namespace of the leader lease (the pod's own, else default)"
    )
    parser.add_argument("--lease-name", default="modelscaler", help="name of the leader lease")
    add_cluster_arguments(parser)


def _service_url(text: str) -> str:
    """Return a template that has an address of its own for any Service: what is held for one must not reach another.

    One on this machine is for the local cluster, which has no addresses of Services.

    Raises:
        argparse.ArgumentTypeError: It has none.
    """
    expected = "http://HOST or http://HOST:PORT with {name} and {namespace} in it"
    services = (("a", "x"), ("b", "x"), ("a", "y"))
    try:
        urls = {upstream_url(text.format(name=name, namespace=namespace)) for name, namespace in services}
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}") from error
    if len(urls) < len(services) and urls.pop().host != LOOPBACK:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
    return text


async def _operate(arguments: argparse.Namespace) -> None:
    await Operator(
        RunSettings(
            prometheus_url=arguments.prometheus_url,
            interval_seconds=arguments.interval,
            rate_window_seconds=arguments.rate_window,
            history_step_seconds=arguments.history_step,
            stale_after_seconds=arguments.stale_after,
            state_directory=arguments.state_directory,
            status_refresh_seconds=arguments.status_refresh,
            defaults=RenderDefaults(arguments.server_image, arguments.activator_image, arguments.service_url),
            bind=arguments.bind,
            namespace=arguments.namespace,
            lease_namespace=arguments.lease_namespace or own_namespace(),
            lease_name=arguments.lease_name,
            identity=identity(),
            kubeconfig=arguments.kubeconfig,
            context=arguments.context,
            accelerator_supply=NodeSupply(arguments.accelerator_supply),
            tuning_seconds=arguments.tuning_seconds,
            prometheus_token_file=arguments.prometheus_token_file,
            prometheus_ca_file=arguments.prometheus_ca_file,
        )
    ).run()
