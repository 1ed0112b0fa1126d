"""``up``, ``down`` and ``part``."""

import argparse
import signal
import sys
import time
from types import FrameType

from localcluster.cluster import Cluster
from localcluster.commands.target import own_cluster, state_dir
from localcluster.spec import ClusterSpec, NodeSpec, PrometheusSpec, Timing

WATCH_SECONDS = 0.5


def up(arguments: argparse.Namespace) -> int:
    """Start a cluster."""
    own_cluster(arguments, "up")
    spec = _spec(arguments)
    # SIGTERM takes the same way out as Ctrl-C: a start that is given up leaves nothing. SIGINT is named too, because
    # shells start background jobs with it ignored, and Python then leaves it so.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    begun = time.monotonic()
    cluster = Cluster.start(spec, owned=arguments.foreground)
    if not arguments.foreground:
        _greet(cluster, time.monotonic() - begun)
        return 0
    with cluster:  # from here on an interrupt ends it, also while it is being announced
        _greet(cluster, time.monotonic() - begun)
        while cluster.running:
            time.sleep(WATCH_SECONDS)
    return 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _spec(arguments: argparse.Namespace) -> ClusterSpec:
    timing = Timing(
        node_monitor_grace_seconds=arguments.node_monitor_grace,
        unreachable_toleration_seconds=arguments.unreachable_toleration,
        crash_backoff_seconds=arguments.crash_backoff,
        cfs_period_ms=arguments.cfs_period_ms,
    )
    prometheus = None
    if arguments.prometheus or arguments.prometheus_data:
        prometheus = PrometheusSpec(arguments.scrape_interval, data_dir=arguments.prometheus_data)
    count = 0 if arguments.api_only else arguments.nodes
    return ClusterSpec(
        name=arguments.name,
        state_dir=state_dir(arguments),
        api_only=arguments.api_only,
        nodes=tuple(NodeSpec(f"node-{number}") for number in range(1, count + 1)),
        prometheus=prometheus,
        timing=timing,
    )


def _greet(cluster: Cluster, seconds: float) -> None:
    state = cluster.state
    lines = [f"Cluster {state.name} is ready ({seconds:.1f} s).", f"  export KUBECONFIG={state.kubeconfig}"]
    if state.prometheus_url:
        lines.append(f"  Prometheus: {state.prometheus_url}")
    sys.stdout.write("\n".join(lines) + "\n")


def down(arguments: argparse.Namespace) -> int:
    """End a cluster, or clean up after one that died."""
    cluster = own_cluster(arguments, "down")
    if not cluster.files.root.exists():
        sys.stdout.write(f"No cluster in {cluster.files.root}.\n")
        return 0
    was_running = cluster.running
    killed = cluster.stop()
    if was_running:
        sys.stdout.write("Cluster ended.\n")
    else:
        left = f"; ended {', '.join(killed)}" if killed else ""
        sys.stdout.write(f"Cleaned up after a cluster that had died{left}.\n")
    return 0


def part(arguments: argparse.Namespace) -> int:
    """Stop, start, pause or resume one process."""
    own_cluster(arguments, "part").change_part(arguments.part, arguments.action)
    return 0
