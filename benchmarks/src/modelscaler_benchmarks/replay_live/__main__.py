"""`python -m modelscaler_benchmarks.replay_live`: how close the replay comes to a live local cluster on the same load.

Writes docs/benchmarks.md and its picture; with --quick two minutes of load, and documents stay as they are.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np

from localcluster.errors import LocalClusterError
from modelscaler.domain import Floats, PoolKey
from modelscaler.forecast.networks import shipped_network
from modelscaler.profiling.measuring import Plan
from modelscaler.profiling.server import ServerError
from modelscaler.workload.files import read_workload
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.replay_live import plot
from modelscaler_benchmarks.replay_live.curve import STEP_SECONDS
from modelscaler_benchmarks.replay_live.document import BY_CONSTRUCTION, Compared, how_close, setting, table
from modelscaler_benchmarks.replay_live.living import SCRAPE_SECONDS, LiveRunError, Watched, live, operated
from modelscaler_benchmarks.replay_live.manifest import FULL, PLACEMENT
from modelscaler_benchmarks.replay_live.replaying import Lived, replayed
from modelscaler_benchmarks.replay_live.sampling import lived
from modelscaler_benchmarks.replay_live.shape import STEP_SECONDS as RATE_STEP_SECONDS
from modelscaler_benchmarks.replay_live.shape import Shape
from modelscaler_benchmarks.replay_live.speed import speed_of
from modelscaler_benchmarks.report import DOCUMENT, IMAGES, write_json, write_section
from modelscaler_demo.checkout import find_checkout
from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.arrivals import arrival_seconds
from modelscaler_demo.preparation import prepare

PACKAGES: Final = ("modelscaler", "modelserver", "numpy", "onnxruntime")
PAST_SECONDS: Final = 10_800.0
LEAD_SECONDS: Final = 120.0
"""A window of rates, a tick, and what a smaller size has to wait."""

WHOLE = Plan(window_seconds=1.0, inferences=100, run_seconds=8.0, soak_seconds=4.0, max_batch=None)
HURRIED = Plan(window_seconds=0.3, inferences=30, run_seconds=3.0, soak_seconds=1.0, max_batch=None)


def main() -> int:
    """Run both and compare; the exit code tells whether they ran, not how close they are."""
    given = _arguments()
    machine, began = quiet_machine(PACKAGES), monotonic()

    def say(what: str) -> None:
        print(f"{monotonic() - began:6.1f} s  {what}", file=sys.stderr, flush=True)

    shape = Shape(given.seconds, given.peak_rps, LEAD_SECONDS)
    try:
        with tempfile.TemporaryDirectory(prefix="replay-live-") as scratch:
            found, run, watched = _both(shape, given.seed, HURRIED if given.quick else WHOLE, Path(scratch), say)
    except (DemoError, LocalClusterError, LiveRunError, ServerError) as error:
        print(f"replay-live: {error}", file=sys.stderr)
        return 1
    document = not (given.quick or given.no_document)
    picture = given.plot or (IMAGES if document else Path(tempfile.gettempdir())) / "bench-replay-live.png"
    plot.draw(found, picture)
    text = _text(found, run, watched, machine.sentence())
    print(text)
    say(f"picture: {picture}")
    if given.json:
        told = {"shape": asdict(shape), "seed": given.seed, "manifest": watched.manifest, "totals": watched.totals}
        told |= {"startSeconds": watched.start_seconds, "samples": [asdict(sample) for sample in watched.samples]}
        write_json(given.json, {"machine": machine.as_json(), **told, **_figures(found)})
    if document:
        write_section(DOCUMENT, "replay-live", f"![Live and replayed](images/{picture.name})\n\n{text}")
    return 0


def _both(shape: Shape, seed: int, plan: Plan, scratch: Path, say: Any) -> tuple[Compared, Lived, Watched]:
    prepared = prepare(find_checkout(), say)
    past, past_ended = shape.past_counts(PAST_SECONDS, seed), datetime.now(UTC)
    with operated(prepared, past, past_ended, scratch, say) as installation:
        watched = asyncio.run(live(installation, prepared, shape, plan, seed, scratch, say))
        say("ending the cluster")
    run = _lived(shape, watched, seed, past, past_ended, scratch)
    say("replaying")
    curves = replayed(run, shipped_network())
    steps = round(shape.seconds / STEP_SECONDS)
    kept = [sample for sample in watched.samples if sample.at >= watched.began + shape.lead_seconds]
    happened = lived(watched.seconds, kept, watched.began, shape.lead_seconds, steps)
    speed = speed_of(happened, run.workload.capacities)
    as_fast = [] if speed is None else replayed(run, shipped_network(), speed=speed)
    return Compared(happened, curves, kept, speed, as_fast), run, watched


def _lived(shape: Shape, watched: Watched, seed: int, past: Floats, past_ended: datetime, scratch: Path) -> Lived:
    """Return what the replay is told: arrivals are drawn again as the load generator drew them."""
    file = scratch / "modeldeployment.yaml"
    file.write_text(json.dumps(watched.manifest), encoding="utf-8")
    return Lived(
        workload=read_workload(file, None),
        pool=PoolKey(PLACEMENT, FULL),
        arrivals_seconds=arrival_seconds(shape.rates_rps(), RATE_STEP_SECONDS, np.random.default_rng(seed)),
        began=datetime.fromtimestamp(watched.began, UTC),
        lead_seconds=shape.lead_seconds,
        total_seconds=shape.total_seconds,
        past=past,
        past_ended=past_ended,
        start_seconds=watched.start_seconds,
        first_replicas=max(watched.samples[0].ready, 1),
        scrape_seconds=SCRAPE_SECONDS,
    )


def _text(found: Compared, run: Lived, watched: Watched, machine: str) -> str:
    entries = watched.manifest["spec"]["capacity"]
    how = setting(run.total_seconds - run.lead_seconds, entries, watched.start_seconds, watched.totals)
    return f"{how} {machine}\n\n{table(found)}\n\n{how_close(found)}\n\n{BY_CONSTRUCTION}"


def _figures(found: Compared) -> dict[str, Any]:
    replays = [asdict(one) for one in found.replay_figures]
    return {"live": asdict(found.live_figures), "replays": replays, "curves": found.as_json()}


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.replay_live", description=__doc__)
    parser.add_argument("--seconds", type=float, default=420.0, metavar="S", help="of load (420)")
    parser.add_argument("--peak-rps", type=float, default=60.0, metavar="RPS", help="its highest rate (60)")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals, and of the earlier load (1)")
    parser.add_argument("--quick", action="store_true", help="two minutes, measured in a hurry; no document is written")
    parser.add_argument("--no-document", action="store_true", help="leave docs/benchmarks.md as it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the picture there")
    given = parser.parse_args(argv)
    if given.quick:
        given.seconds = min(given.seconds, 120.0)
    if given.seconds < 60.0 or given.seconds % STEP_SECONDS:
        parser.error(f"--seconds: got {given.seconds:g}, expected 60 or more, a multiple of {STEP_SECONDS:g}")
    if not 0.0 < given.peak_rps <= 1000.0:
        parser.error(f"--peak-rps: got {given.peak_rps:g}, expected above 0, 1000 at most")
    return given


if __name__ == "__main__":
    sys.exit(main())
