"""The grammar of the command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from localcluster.commands import lifecycle, nodes, reading
from localcluster.spec import NodeSpec, PrometheusSpec, Timing


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line; ``command`` is the function to call with it."""
    words, after = _split(words)
    arguments = _parser().parse_args(words)
    arguments.rest = after
    return arguments


def _split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Part the words at the first ``--``, or after ``kubectl``: what follows belongs to another program."""
    for position, word in enumerate(words):
        if word == "--":
            return words[:position], words[position + 1 :]
        if word == "kubectl":
            rest = words[position + 1 :]
            return words[: position + 1], rest[1:] if rest[:1] == ["--"] else rest
    return words, ()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localcluster", description="A real Kubernetes control plane as local processes. Pods are processes too."
    )
    parser.add_argument("--name", default="default", help="which cluster (default: %(default)s)")
    parser.add_argument("--state-dir", type=Path, help="its directory (default: below ~/.local/state/modelscaler)")
    parser.add_argument("--kubeconfig", help="use another cluster, for kubectl and status")
    parser.add_argument("--context", help="use another cluster, for kubectl and status")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_up(commands)
    down = commands.add_parser("down", help="end the cluster and remove what it left")
    down.set_defaults(command=lifecycle.down)
    status = commands.add_parser("status", help="show what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=reading.status)
    kubectl = commands.add_parser("kubectl", help="run kubectl against the cluster", add_help=False)
    kubectl.set_defaults(command=reading.kubectl)
    _add_node(commands)
    _add_image(commands)
    part = commands.add_parser("part", help="stop, start, pause or resume one process, for example prometheus")
    part.add_argument("action", choices=("stop", "start", "pause", "resume"))
    part.add_argument("part")
    part.set_defaults(command=lifecycle.part)
    # Also after the command, where people write them.
    for command in (down, status, part, *_leaves(commands)):
        _repeat_common(command)
    return parser


def _leaves(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> list[argparse.ArgumentParser]:
    return [parser for name, parser in commands.choices.items() if name in ("up", "node", "image")]


def _repeat_common(parser: argparse.ArgumentParser) -> None:
    for flag, kind in (("--name", str), ("--state-dir", Path), ("--kubeconfig", str), ("--context", str)):
        parser.add_argument(flag, type=kind, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    timing = Timing()
    up = commands.add_parser("up", help="start a cluster and return when it is ready")
    up.add_argument("--foreground", action="store_true", help="stay until Ctrl-C, then end the cluster")
    up.add_argument("--api-only", action="store_true", help="only etcd and the API server")
    up.add_argument("--nodes", type=int, default=1, help="plain nodes to begin with (default: %(default)s)")
    up.add_argument("--prometheus", action="store_true", help="start Prometheus too")
    up.add_argument("--prometheus-data", metavar="DIR", help="TSDB directory to begin with (it is copied)")
    up.add_argument(
        "--scrape-interval", type=float, default=PrometheusSpec().scrape_interval_seconds, metavar="SECONDS"
    )
    up.add_argument(
        "--node-monitor-grace",
        type=float,
        default=timing.node_monitor_grace_seconds,
        metavar="SECONDS",
        help="silence after which a node counts as dead (default: %(default)s)",
    )
    up.add_argument(
        "--unreachable-toleration",
        type=int,
        default=timing.unreachable_toleration_seconds,
        metavar="SECONDS",
        help="how long pods stay on a dead node (default: %(default)s)",
    )
    up.add_argument(
        "--crash-backoff", type=float, default=timing.crash_backoff_seconds, metavar="SECONDS", help="first back-off"
    )
    up.add_argument("--cfs-period-ms", type=int, default=timing.cfs_period_ms, help="period of CPU limits")
    up.set_defaults(command=lifecycle.up)


def _add_node(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    default = NodeSpec("")
    node = commands.add_parser("node", help="add, list, fail and recover nodes")
    node.add_argument("action", choices=("add", "set", "cordon", "uncordon", "fail", "recover", "list"))
    node.add_argument("node", nargs="?")
    node.add_argument("--cpu", default=default.cpu)
    node.add_argument("--memory", default=default.memory)
    node.add_argument("--pods", type=int, default=default.pods)
    node.add_argument("--accelerator", action="append", default=[], metavar="RESOURCE=COUNT")
    node.add_argument("--label", action="append", default=[], metavar="KEY=VALUE")
    node.add_argument("--taint", action="append", default=[], metavar="KEY=VALUE:EFFECT")
    node.set_defaults(command=nodes.node)


def _add_image(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    image = commands.add_parser("image", help="add and list images: names that stand for programs of this machine")
    image.add_argument("action", choices=("add", "list"))
    image.add_argument("image", nargs="?")
    image.add_argument("--env", action="append", default=[], metavar="KEY=VALUE")
    image.add_argument("--path", action="append", default=[], metavar="DIR", help="put before the container's PATH")
    image.add_argument("--keep", action="append", default=[], metavar="DIR", help="stays visible under volumes")
    image.set_defaults(command=nodes.image)
