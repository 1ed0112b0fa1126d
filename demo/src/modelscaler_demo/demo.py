"""`modelscaler-demo run`: the whole system on a compressed day of load, from nothing to a report."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from localcluster.cluster import Cluster
from localcluster.spec import ClusterSpec
from modelscaler_demo.checkout import find_checkout
from modelscaler_demo.day import DayShape
from modelscaler_demo.example import compressed
from modelscaler_demo.installation import Installation, cluster_spec
from modelscaler_demo.outcome import Run, write_outcome
from modelscaler_demo.playing import Started, play
from modelscaler_demo.preparation import Prepared, prepare, write_history
from modelscaler_demo.profile import entries
from modelscaler_demo.scenario import DAY_SECONDS, HISTORY_DAYS, Scenario
from modelscaler_demo.view.plain import PlainView
from modelscaler_demo.view.scene import Scene, View
from modelscaler_demo.view.screen import Screen

INTERRUPTED = 130


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and clean up, whatever happens."""
    console = Console()
    with _terminated_like_interrupted():
        try:
            _run(arguments, console)
        except KeyboardInterrupt:
            console.print("\nstopped; everything that was started has been ended")
            return INTERRUPTED
    return 0


def _run(arguments: argparse.Namespace, console: Console) -> None:
    say = _teller(console)
    prepared = prepare(find_checkout(), say)
    scenario = Scenario(DayShape(prepared.peak_rps, DAY_SECONDS), arguments.seed)
    scene = _scene(prepared, scenario)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelscaler-demo-")))
        say = _teller(console)
        started = _start(prepared, scenario, scratch, stack, say)
        view = _view(scene, console, plain=arguments.plain or not console.is_terminal)
        played = asyncio.run(play(started, scratch, view, say))
        say("ending the cluster")
    notes = (scene.gpu_note, _what_it_was(scenario))
    figures = write_outcome(
        Run(scene, played, prepared.example.prices, scenario.earlier_peak_rps(), notes), arguments.out
    )
    _print_outcome(console, figures, notes, arguments.out)


def _start(
    prepared: Prepared, scenario: Scenario, scratch: Path, stack: ExitStack, say: Callable[[str], None]
) -> Started:
    """Start the cluster, install the operator and apply the example."""
    began, now, example = time.monotonic(), datetime.now(UTC), prepared.example
    midnight = now + timedelta(seconds=scenario.lead_seconds)
    say(f"writing {HISTORY_DAYS} earlier days into Prometheus's history")
    write_history(prepared, scenario, midnight, now, scratch / "history")
    say("starting etcd, the API server, the controllers, the scheduler, Prometheus and four nodes")
    cluster = stack.enter_context(_start_cluster(cluster_spec(prepared.checkout, scratch / "history")))
    installation = Installation(cluster, prepared.checkout)
    say("helm install")
    installation.install_operator()
    say(f"kubectl apply: ModelDeployment {example.namespace}/{example.name}")
    manifest = compressed(example, scenario.shape, HISTORY_DAYS, prepared.accuracies)
    profile = entries(prepared.speeds, example.pairs, example.cpu_limits, example.bursts_only)
    installation.apply(example, manifest, profile)
    return Started(prepared, scenario, installation, began, midnight.timestamp())


def _start_cluster(spec: ClusterSpec) -> Cluster:
    try:
        return Cluster.start(spec)
    except KeyboardInterrupt:
        shutil.rmtree(spec.state_dir, ignore_errors=True)  # after a failed start the logs stay, but this is none
        raise


def _scene(prepared: Prepared, scenario: Scenario) -> Scene:
    example, limits = prepared.example, prepared.example.cpu_limits
    return Scene(
        day_seconds=scenario.shape.seconds,
        percentile=example.percentile,
        target_ms=example.target_ms,
        gpu_note=f"no GPU is used: the gpu placement is a pod with {limits['gpu']} CPU, the cpu placement one with "
        f"{limits['cpu']}",
    )


def _view(scene: Scene, console: Console, plain: bool) -> AbstractContextManager[View]:
    return nullcontext(PlainView(scene, sys.stdout)) if plain else Screen(scene, console)


def _what_it_was(scenario: Scenario) -> str:
    minutes = scenario.shape.seconds / 60
    return (
        f"A generated day, compressed to {minutes:.1f} minutes: real requests to real servers under a real control plane, "
        "all on one machine; the days before are generated too. Absolute figures are this machine's; what travels is "
        "the ratio of prices and the share within the objective. A fixed fleet on gpu would have run "
        "on half of itself while the node was away."
    )


def _print_outcome(console: Console, figures: list[tuple[str, str]], notes: tuple[str, ...], out: Path) -> None:
    table = Table("measured in this run", "", title="The day", show_lines=False)
    for what, how_much in figures:
        table.add_row(what, how_much)
    console.print(table)
    for note in notes:
        console.print(note, style="dim")
    console.print(
        f"Report: {out / 'day.html'} (page), {out / 'day.png'} (plot), {out / 'screen.svg'}, {out / 'summary.json'}"
    )


def _teller(console: Console) -> Callable[[str], None]:
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {text}", highlight=False)

    return say


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
