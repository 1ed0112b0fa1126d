"""`modelscaler profile`: measure one replica and store its speed."""

import argparse
import sys
from pathlib import Path
from typing import Any

from modelscaler import __version__
from modelscaler.backtest.progress import progress_bar
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.connection import ConnectionSettingsError, connect
from modelscaler.cluster.errors import ApiCallError
from modelscaler.profiling.job import REQUEST_PATH, manifests
from modelscaler.profiling.measuring import Plan, measure
from modelscaler.profiling.report import as_yaml, config_map, entry, merged, report
from modelscaler.profiling.sample import SampleError, bodies_in, made_up
from modelscaler.profiling.server import Server, ServerError
from modelscaler.workload import InvalidSpec, parse_profile
from modelscaler.workload.files import PROFILE_KEY

SAMPLES = 64
MADE_UP = (
    "requests are made up from the model's metadata: a model whose work depends on its input is measured wrongly, "
    "many times too fast perhaps; give --request FILE with real ones"
)


def profile(given: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        if given.job:
            print(as_yaml(*_in_cluster(given)), end="")
        else:
            _measure(given)
    except (ServerError, SampleError, InvalidSpec, ConnectionSettingsError, ApiCallError, OSError, ValueError) as error:
        print(f"modelscaler: {error}", file=sys.stderr)
        return 1
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `profile` takes."""
    parser.add_argument("url", help="of one replica, e.g. http://localhost:8080")
    parser.add_argument("--model", required=True, help="its name at the server")
    parser.add_argument("--placement", required=True, help="where this replica runs, a name from spec.placements")
    parser.add_argument("--variant", required=True, help="what it serves, a name from spec.variants")
    parser.add_argument("--request", type=Path, metavar="FILE", help="JSON bodies of /infer, one a line (made up)")
    parser.add_argument("--name", default="capacity-profile", help="of the ConfigMap (%(default)s)")
    parser.add_argument("--namespace", "-n", default="default")
    parser.add_argument("--output", metavar="FILE", help="write the ConfigMap there; - for standard output")
    parser.add_argument(
        "--apply", action="store_true", help="write the ConfigMap into the cluster; keeps other entries"
    )
    parser.add_argument("--window", type=_seconds, default=2.0, metavar="SECONDS", help="of each closed loop (2)")
    parser.add_argument("--inferences", type=_count, default=1000, help="of the timed run (1000)")
    parser.add_argument(
        "--run-limit", type=_seconds, default=120.0, metavar="SECONDS", help="longest time of that run (120)"
    )
    parser.add_argument(
        "--soak", type=_seconds, default=20.0, metavar="SECONDS", help="up to 8 clients for so long (20)"
    )
    parser.add_argument("--max-batch", type=_count, help="largest batch that the server forms (as it counts)")
    parser.add_argument(
        "--job",
        action="store_true",
        help="print a Job that does it in the cluster, with what it needs for --apply and --request, and measure nothing",
    )
    parser.add_argument("--image", default=f"modelscaler/operator:{__version__}", help="of that Job")
    parser.add_argument("--kubeconfig", default=None)
    parser.add_argument("--context", default=None)


def _measure(given: argparse.Namespace) -> None:
    calls = _cluster(given) if given.apply else None
    server = Server(given.url, given.model)
    bodies = _bodies(server, given)
    plan = Plan(given.window, given.inferences, given.run_limit, given.soak, given.max_batch)
    bar = progress_bar()
    try:
        measured = measure(server, bodies, plan, bar)
    finally:
        bar.close()
    print(report(measured), file=sys.stderr if given.output == "-" else sys.stdout)
    _store(given, entry(measured, given.placement, given.variant), calls)


def _in_cluster(given: argparse.Namespace) -> list[dict[str, Any]]:
    request = given.request.read_text() if given.request else None
    if request is not None:
        bodies_in(request, f"--request {given.request}")  # a wrong file is found here, not in the Job's log
    name = f"profile-{given.placement}-{given.variant}"
    return manifests(
        name, given.namespace, given.image, _own(given), request, profile=given.name if given.apply else None
    )


def _own(given: argparse.Namespace) -> list[str]:
    """Return the arguments of the Job's container: without --apply the ConfigMap goes to its log's standard output."""
    kept = {
        "--model": given.model,
        "--placement": given.placement,
        "--variant": given.variant,
        "--name": given.name,
        "--namespace": given.namespace,
        "--window": f"{given.window:g}",
        "--inferences": str(given.inferences),
        "--run-limit": f"{given.run_limit:g}",
        "--soak": f"{given.soak:g}",
    }
    if given.request:
        kept["--request"] = REQUEST_PATH
    if given.max_batch:
        kept["--max-batch"] = str(given.max_batch)
    written = ["--apply"] if given.apply else ["--output", "-"]
    return [given.url, *(part for pair in kept.items() for part in pair), *written]


def _bodies(server: Server, given: argparse.Namespace) -> list[bytes]:
    if given.request:
        return bodies_in(given.request.read_text(), f"--request {given.request}")
    print(MADE_UP, file=sys.stderr)
    return made_up(server.metadata(), SAMPLES, seed=0)


def _cluster(given: argparse.Namespace) -> ClusterCalls:
    return ClusterCalls(connect(given.kubeconfig, given.context))


def _store(given: argparse.Namespace, added: dict[str, object], calls: ClusterCalls | None) -> None:
    if given.output:
        manifest = config_map(given.name, given.namespace, merged(None, added))
        parse_profile(manifest["data"][PROFILE_KEY])
        if given.output == "-":
            print(as_yaml(manifest), end="")
        else:
            Path(given.output).write_text(as_yaml(manifest))
    if calls is not None:
        _apply(given, added, calls)


def _apply(given: argparse.Namespace, added: dict[str, object], calls: ClusterCalls) -> None:
    stored = (calls.config_map(given.namespace, given.name) or {}).get(PROFILE_KEY)
    content = merged(stored, added)
    parse_profile(content)
    calls.apply(config_map(given.name, given.namespace, content), "modelscaler-profile")
    print(f"ConfigMap {given.namespace}/{given.name}: applied", file=sys.stderr)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of seconds above 0 and up to 3600")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 to 1000000")
    return value
