"""`modelscaler explain`: a ModelDeployment's last decision, in a sentence and a table."""

import argparse
import sys
from pathlib import Path

from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.cli.shared import add_cluster_arguments, refuse
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.connection import ConnectionSettingsError, connect
from modelscaler.cluster.errors import ApiCallError
from modelscaler.explain import explain
from modelscaler.workload import parse_status
from modelscaler.workload.files import FileError, read_statuses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("name", nargs="?", help="name of the ModelDeployment")
    parser.add_argument(
        "--file",
        "-f",
        metavar="FILE",
        help="read what `kubectl get mdep -o yaml` printed instead of asking a cluster; -: stdin",
    )
    parser.add_argument("--namespace", "-n", default="default")
    add_cluster_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what the status of each says."""
    try:
        statuses = _in_file(arguments) if arguments.file else _in_cluster(arguments)
    except (ApiCallError, ConnectionSettingsError, FileError, OSError) as error:
        return refuse(str(error))
    except UnicodeDecodeError as error:
        return refuse(f"{arguments.file}: cannot be read: {error}")
    print("\n\n".join(explain(name, status) for name, status in statuses))
    return 0


def _in_file(arguments: argparse.Namespace) -> list[tuple[str, ModelDeploymentStatus]]:
    if arguments.file == "-":
        return read_statuses(sys.stdin.read(), "stdin", arguments.name)
    return read_statuses(Path(arguments.file).read_text(encoding="utf-8"), arguments.file, arguments.name)


def _in_cluster(arguments: argparse.Namespace) -> list[tuple[str, ModelDeploymentStatus]]:
    if arguments.name is None:
        raise FileError("explain: got no name, expected that of a ModelDeployment, or --file FILE")
    calls = ClusterCalls(connect(arguments.kubeconfig, arguments.context))
    body = calls.model_deployment(arguments.namespace, arguments.name)
    return [(f"{arguments.namespace}/{arguments.name}", parse_status(body.get("status")))]
