"""``status`` and ``kubectl``."""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from localcluster.binaries.search import find
from localcluster.cluster import Cluster
from localcluster.commands.target import is_foreign, kubectl_flags, state_dir
from localcluster.errors import LocalClusterError

STALE = "dead"


def kubectl(arguments: argparse.Namespace) -> int:
    """Become kubectl."""
    program = _kubectl_program()
    command = [program, *kubectl_flags(arguments), *arguments.rest]
    sys.stdout.flush()
    os.execv(program, command)  # noqa: S606 - becoming kubectl keeps its terminal and exit code


def _kubectl_program() -> str:
    program = find("kubectl")
    if program is None:
        raise LocalClusterError("kubectl is neither on PATH nor in the cache; `localcluster up` builds one")
    return str(program)


def status(arguments: argparse.Namespace) -> int:
    """Show what runs."""
    if is_foreign(arguments):
        return _foreign_status(arguments)
    cluster = Cluster(state_dir(arguments))
    state = cluster.state
    phase = state.phase.value if cluster.running else STALE
    nodes = cluster.nodes() if cluster.running and state.control_url else []
    if arguments.json:
        secretless = {**asdict(state), "phase": phase, "nodes": nodes}
        sys.stdout.write(json.dumps(secretless, indent=2, default=str) + "\n")
    else:
        _print(cluster, phase, nodes)
    return 0 if phase == "ready" else 1


def _foreign_status(arguments: argparse.Namespace) -> int:
    base = [_kubectl_program(), *kubectl_flags(arguments)]
    output = ["-o", "json"] if arguments.json else ["-o", "wide"]
    return subprocess.run([*base, "get", "nodes", *output], check=False).returncode


def _print(cluster: Cluster, phase: str, nodes: list[dict[str, object]]) -> None:
    state = cluster.state
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("cluster", state.name)
    table.add_row("phase", phase if phase != STALE else "dead: its supervisor ended; clean up with `localcluster down`")
    if state.message:
        table.add_row("message", state.message)
    table.add_row("kubeconfig", state.kubeconfig)
    table.add_row("prometheus", state.prometheus_url or "not started")
    table.add_row("pod network", state.pod_network or "none")
    table.add_row("logs", str(cluster.files.logs))
    for node in nodes:
        label = "failed" if node["failed"] else "ready"
        resources = node["resources"]
        shown = " ".join(f"{key}={value}" for key, value in resources.items()) if isinstance(resources, dict) else ""
        table.add_row(f"node {node['name']}", f"{label}  {shown}")
    Console(soft_wrap=True).print(table)
