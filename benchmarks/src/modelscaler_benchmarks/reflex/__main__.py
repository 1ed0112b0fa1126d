"""`python -m modelscaler_benchmarks.reflex`: bursts beyond capacity, with a ladder of two variants and without."""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from modelscaler_benchmarks.load import load_generator
from modelscaler_benchmarks.machine import measured_machine
from modelscaler_benchmarks.reflex import plot
from modelscaler_benchmarks.reflex.bursts import Burst, Figures
from modelscaler_benchmarks.reflex.idle import IdleCost
from modelscaler_benchmarks.reflex.ladders import WANTED_SPEED_UP, LadderError, find_pair
from modelscaler_benchmarks.reflex.measuring import CONNECTIONS, SEED, WITH, WITHOUT, Measured, Plan, measure
from modelscaler_benchmarks.reflex.serving import MAX_BATCH_ROWS, Served
from modelscaler_benchmarks.report import DOCUMENT, IMAGES, markdown_table, write_json, write_section

PACKAGES = ("modelserver", "torch", "onnxruntime", "numpy", "uvicorn", "uvloop", "orjson")
MAX_VIOLATIONS = 0.005
MAX_BACK_SECONDS = 5.0
MAX_IDLE_COST = 0.03
_HELD_FACTOR = 2.0
"""The bounds hold for bursts up to so many times the full variant's capacity."""


def main() -> int:
    """Measure; the exit code tells whether it ran, not whether bounds were kept."""
    given = _arguments()
    try:
        pair = find_pair(given.model, given.full, given.fast)
    except LadderError as error:
        print(error, file=sys.stderr)
        return 1
    served = Served(given.model, pair, given.objective_milliseconds, pair.floor(given.floor_share), given.device)
    plan = _plan(given)
    machine = measured_machine(PACKAGES)
    generator = load_generator()
    picture = tempfile.gettempdir() if given.quick or given.no_document else str(IMAGES)
    path = given.plot or Path(picture) / "bench-reflex.png"
    with (
        tempfile.TemporaryDirectory(prefix="bench-reflex-") as folder,
        tqdm(total=round(plan.total_seconds), unit="s") as bar,
    ):

        def tick(seconds: float, what: str) -> None:
            bar.set_description(what, refresh=False)
            bar.update(seconds)

        measured = measure(served, plan, generator, Path(folder), tick)
    how = (
        f"{given.model}, ladder {pair.full} → {pair.fast} (accuracy {pair.full_accuracy:g} and {pair.fast_accuracy:g}), "
        f"on {served.device}, floor {served.floor:.4f}, timeout of each request {served.objective_milliseconds} ms, "
        f"one worker, batches of at most {MAX_BATCH_ROWS} rows; capacities, "
        f"closed loop by {generator.name} with {CONNECTIONS} connections: {measured.full_rps:.0f} and "
        f"{measured.fast_rps:.0f} requests/s, {measured.fast_rps / measured.full_rps:.2f} ×. Mean accuracy is that of one "
        f"run, which may spend what the budget has saved before. {machine.sentence()}"
    )
    text = f"{how}\n\n{table(plan.bursts, measured.figures)}\n\n{bounds_table(plan.bursts, measured)}"
    print(text)
    for failure in measured.failures[:20]:
        print(failure, file=sys.stderr)
    shown = _shown_burst(plan.bursts)
    plot.draw(plan.bursts[shown], measured.requests[shown], served.objective_milliseconds, path)
    print(f"picture: {path}", file=sys.stderr)
    if given.json:
        settings = {**dataclasses.asdict(served), "plan": dataclasses.asdict(plan), "seed": SEED, "workers": 1}
        settings |= {"connections": CONNECTIONS, "maxBatchRows": MAX_BATCH_ROWS, "generator": generator.name}
        figures = [
            {"burst": dataclasses.asdict(burst), **{name: dataclasses.asdict(each) for name, each in both.items()}}
            for burst, both in zip(plan.bursts, measured.figures, strict=True)
        ]
        found = {"fullRps": measured.full_rps, "fastRps": measured.fast_rps, "idleRatios": measured.idle_ratios}
        write_json(given.json, {"machine": machine.as_json(), "settings": settings, **found, "bursts": figures})
    if not given.quick and not given.no_document:
        write_section(DOCUMENT, "reflex", f"![Burst](images/{path.name})\n\n{text}")
    return 0


def table(bursts: Sequence[Burst], figures: Sequence[dict[str, Figures]]) -> str:
    """Return the bursts as a table."""
    rows = []
    for burst, both in zip(bursts, figures, strict=True):
        for name in (WITH, WITHOUT):
            one = both[name]
            rows.append(
                [
                    f"{burst.factor:g} × for {burst.seconds:g} s",
                    name,
                    f"{one.violation_share:.2%}",
                    f"{one.late} / {one.refused} / {one.expired} / {one.failed}",
                    f"{one.degraded_share:.0%}",
                    f"{one.mean_accuracy:.4f}",
                    f"{one.p50_milliseconds:.0f} / {one.p99_milliseconds:.0f}",
                    f"{one.back_to_full_seconds:.1f}" if name == WITH else "",
                    f"{one.generator_late_p99_milliseconds:.1f}",
                ]
            )
    header = [
        "burst",
        "",
        "violating",
        "late / refused / expired / failed",
        "degraded",
        "mean accuracy",
        "p50 / p99, ms",
    ]
    return markdown_table([*header, "s back to full", "generator late, p99 ms"], rows)


def bounds_table(bursts: Sequence[Burst], measured: Measured) -> str:
    """Return what is to hold, beside what was measured."""
    held = [both[WITH] for burst, both in zip(bursts, measured.figures, strict=True) if burst.factor <= _HELD_FACTOR]
    rows = []
    if held:
        rows = [
            _bound(
                f"violating, bursts to {_HELD_FACTOR:g} ×", max(one.violation_share for one in held), MAX_VIOLATIONS
            ),
            _bound("seconds back to full", max(one.back_to_full_seconds for one in held), MAX_BACK_SECONDS, False),
        ]
    rows.append(_idle_bound(measured.idle_cost))
    speed_up = measured.fast_rps / measured.full_rps
    rows.append(
        ["speed of the fast variant", f"{speed_up:.2f} ×", f"≥ {WANTED_SPEED_UP:g} ×, what the bounds assume", ""]
    )
    return markdown_table(["worst of all", "measured", "bound", ""], rows)


def _bound(what: str, measured: float, bound: float, share: bool = True) -> list[str]:
    shown = (f"{measured:.2%}", f"< {bound:.1%}") if share else (f"{measured:.1f}", f"≤ {bound:g}")
    return [what, *shown, "met" if measured < bound else "**not met**"]


def _idle_bound(cost: IdleCost) -> list[str]:
    """Return the row of the cost when idle. The median decides; the interval says how sure that is."""
    what = f"throughput cost when idle, median of {cost.pairs} pairs (95 % interval)"
    _, measured, bound, verdict = _bound(what, cost.median, MAX_IDLE_COST)
    return [what, f"{measured} ({cost.low:.2%} to {cost.high:.2%})", bound, verdict]


def _shown_burst(bursts: Sequence[Burst]) -> int:
    """Return the index of the burst in the picture: nearest to twice the capacity, not much longer than 20 s."""
    return min(
        range(len(bursts)), key=lambda index: (abs(bursts[index].factor - 2.0), abs(bursts[index].seconds - 20.0))
    )


def _plan(given: argparse.Namespace) -> Plan:
    factors = given.factors or ([2.0] if given.quick else [1.5, 2.0, 3.0, 4.0])
    lengths = given.seconds or ([5.0] if given.quick else [5.0, 20.0, 60.0])
    before, after = (6.0, 7.0) if given.quick else (20.0, 10.0)
    bursts = tuple(
        Burst(factor, length, before_seconds=before, after_seconds=after) for length in lengths for factor in factors
    )
    return Plan(bursts, 3.0, 2, 2.0) if given.quick else Plan(bursts, 8.0, 16, 2.0)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.reflex", description=__doc__)
    parser.add_argument(
        "--model", default="builtin://search-ranker", help="a model with variants that was built (default: %(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N (default: %(default)s)")
    parser.add_argument("--full", default="full", help="the ladder's first variant (default: full)")
    parser.add_argument("--fast", help=f"its second (default: the most accurate that is {WANTED_SPEED_UP:g} × as fast)")
    parser.add_argument(
        "--objective-milliseconds", type=int, default=500, help="timeout of each request (default: 500)"
    )
    parser.add_argument(
        "--floor-share", type=float, default=0.25, help="floor of the mean between the two accuracies (default: 0.25)"
    )
    parser.add_argument(
        "--factors", type=_numbers, help="of the full capacity, with commas (default: 1.5,2,3,4; quick: 2)"
    )
    parser.add_argument("--seconds", type=_numbers, help="of bursts, with commas (default: 5,20,60; quick: 5)")
    parser.add_argument("--quick", action="store_true", help="one burst, under a minute; writes no document")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--plot", type=Path, help="where the picture goes (default: docs/images)")
    parser.add_argument("--no-document", action="store_true", help="leave docs/benchmarks.md as it is")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
