"""``node`` and ``image``."""

import argparse

from rich.console import Console
from rich.table import Table

from localcluster.commands.reading import kubectl
from localcluster.commands.target import own_cluster, pairs
from localcluster.errors import LocalClusterError
from localcluster.images import ImageTable
from localcluster.quantities import parse_quantity
from localcluster.spec import Image, NodeSpec, Taint

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
KUBECTL_ACTIONS = ("cordon", "uncordon")


def node(arguments: argparse.Namespace) -> int:
    """Do one thing to one node, or list them."""
    if arguments.action == "list":
        arguments.rest = ["get", "nodes", "-o", "wide"]
        return kubectl(arguments)
    if not arguments.node:
        raise LocalClusterError(f"node {arguments.action}: expected a node's name")
    if arguments.action in KUBECTL_ACTIONS:
        arguments.rest = [arguments.action, arguments.node]
        return kubectl(arguments)
    cluster = own_cluster(arguments, f"node {arguments.action}")
    match arguments.action:
        case "add":
            cluster.add_node(_node_spec(arguments))
        case "set":
            cluster.set_accelerators(arguments.node, _accelerators(arguments))
        case "fail":
            cluster.fail_node(arguments.node)
        case _:
            cluster.recover_node(arguments.node)
    return 0


def _node_spec(arguments: argparse.Namespace) -> NodeSpec:
    for flag, quantity in (("--cpu", arguments.cpu), ("--memory", arguments.memory)):
        try:
            parse_quantity(quantity)
        except ValueError as error:
            raise LocalClusterError(f"{flag}: {error}") from None
    return NodeSpec(
        arguments.node,
        cpu=arguments.cpu,
        memory=arguments.memory,
        pods=arguments.pods,
        accelerators=_accelerators(arguments),
        labels=pairs(arguments.label, "--label"),
        taints=tuple(_taint(word) for word in arguments.taint),
    )


def _accelerators(arguments: argparse.Namespace) -> dict[str, int]:
    counts = pairs(arguments.accelerator, "--accelerator")
    for name, count in counts.items():
        if not count.isdecimal() or "/" not in name:
            raise LocalClusterError(f"--accelerator {name}={count}: expected RESOURCE=COUNT, as in nvidia.com/gpu=4")
    return {name: int(count) for name, count in counts.items()}


def _taint(word: str) -> Taint:
    pair, colon, effect = word.rpartition(":")
    key, _, value = pair.partition("=")
    if not colon or not key or effect not in EFFECTS:
        raise LocalClusterError(f"--taint {word!r}: expected KEY=VALUE:EFFECT, the effect one of {', '.join(EFFECTS)}")
    return Taint(key, value, effect)


def image(arguments: argparse.Namespace) -> int:
    """Add an image, or list them."""
    cluster = own_cluster(arguments, "image")
    table = ImageTable(cluster.files.images)
    if arguments.action == "list":
        _print_images(table)
        return 0
    if not arguments.image:
        raise LocalClusterError("image add: expected a name, as containers will write it")
    table.add(
        Image(
            arguments.image,
            env=pairs(arguments.env, "--env"),
            path=tuple(arguments.path),
            command=tuple(arguments.rest),
            keep=tuple(arguments.keep),
        )
    )
    return 0


def _print_images(images: ImageTable) -> None:
    table = Table("IMAGE", "COMMAND", "PATH", "ENV", box=None, pad_edge=False)
    for row in images.rows():
        environment = " ".join(f"{key}={value}" for key, value in row.env.items())
        table.add_row(row.name, " ".join(row.command), ":".join(row.path), environment)
    Console(soft_wrap=True).print(table)
