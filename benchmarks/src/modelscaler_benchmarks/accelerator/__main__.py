"""`python -m modelscaler_benchmarks.accelerator`: the larger encoder on an accelerator and on the CPU of the same machine."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from modelscaler_benchmarks.accelerator.profiles import (
    CONNECTIONS,
    NETWORK,
    PLAN,
    Profiled,
    Served,
    profiled,
    profiled_of,
)
from modelscaler_benchmarks.load import load_generator
from modelscaler_benchmarks.machine import MachineFacts, device_name, quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section
from modelscaler_benchmarks.server.contenders import Workshop
from modelscaler_benchmarks.server.int8 import build
from modelscaler_benchmarks.server.served.shapes import ENCODERS
from modelscaler_benchmarks.server.workloads import prepare

PACKAGES = ("modelscaler", "modelserver", "torch", "onnxruntime", "numpy", "uvicorn", "uvloop", "orjson")
OBJECTIVE_MILLISECONDS = 200
MOST_WORKERS = 8
MAX_BATCH_DIFFERENCE = 1e-2
"""Of int8: products of this size are computed in another order in another batch, and what is rounded to 8 bits shows it."""


def main() -> int:
    """Measure, or write down what was measured elsewhere; the exit code tells whether it ran."""
    given = _arguments()
    if given.measured:
        write_section(DOCUMENT, "accelerator", report(json.loads(given.measured.read_text())))
        return 0
    machine, name = quiet_machine(PACKAGES), device_name(given.device)
    figures = _profiled(setups(given.device, given.workers), given.objective_milliseconds / 1e3)
    settings = {
        "objectiveMilliseconds": given.objective_milliseconds,
        "plan": asdict(PLAN),
        "generator": load_generator().name,
    }
    profiles = [asdict(one) for one in figures]
    found = {"accelerator": name, "machine": machine.as_json(), "settings": settings, "profiles": profiles}
    text = report(json.loads(json.dumps(found)))
    print(text)
    if given.json:
        write_json(given.json, found)
    if given.write:
        write_section(DOCUMENT, "accelerator", text)
    return 0


def report(found: Mapping[str, Any]) -> str:
    """Return figures as the document has them.

    Args:
        found: As `--json` writes them.
    """
    figures = [profiled_of(one) for one in found["profiles"]]
    sentence = MachineFacts(**found["machine"]).sentence()
    how = f"{_how(found['settings'])} {found['accelerator']}; {sentence}"
    parts = [how, speeds(figures), price(figures), places(figures)]
    return "\n\n".join(parts)


def setups(device: str, workers: int) -> list[Served]:
    """Return what is profiled: the CPU first, in one worker and in several, then the device."""
    on_cpu = [Served("cpu", "full"), Served("cpu", "int8")]
    if workers > 1:
        on_cpu += [Served("cpu", "full", workers), Served("cpu", "int8", workers)]
    alone = [Served(device, "full"), Served(device, "half")]
    return [*on_cpu, *alone, Served(device, "full", 2), Served(device, "half", 4, fronts=4)]


def speeds(figures: Sequence[Profiled]) -> str:
    """Return what was profiled as a table."""
    header = ["where, variant", "workers, fronts", "alone p50 / p99, ms", "ms a request", "ms a batch", "max batch"]
    header += ["requests/s at most", "within the objective", f"answered to {CONNECTIONS} connections"]
    return markdown_table(header, [[*_name(one.served), *_speed(one)] for one in figures])


def places(figures: Sequence[Profiled]) -> str:
    """Return what each server takes and how it bears what it should, as a table."""
    header = [
        "where, variant",
        "workers, fronts",
        "s to ready",
        "MiB: host",
        "device, model alone",
        "device, with contexts",
    ]
    header += ["least cosine with fp32 on the CPU", "good requests failed by a bad neighbour", "lost across SIGTERM"]
    return markdown_table(header, [[*_name(one.served), *_place(one)] for one in figures])


def price(figures: Sequence[Profiled]) -> str:
    """Return how much dearer than a CPU replica one on the device may be: the ratio of what they carry, in two ways."""
    on_cpu = [one for one in figures if one.served.device == "cpu"]
    on_device = [one for one in figures if one.served.device != "cpu" and one.served.workers == 1]
    rows = [[_name(there.served)[0], *(_times(there, here) for here in on_cpu)] for there in on_device]
    header = ["÷ CPU: within the objective (at most)"]
    header += [f"{where}, workers: {here.served.workers}" for here in on_cpu for where in _name(here.served)[:1]]
    return markdown_table(header, rows)


def _times(there: Profiled, here: Profiled) -> str:
    at_most = there.speed.largest_rps / here.speed.largest_rps
    if here.speed.sustainable_rps <= 0.0:
        return f"never kept ({at_most:.0f})"
    return f"{there.speed.sustainable_rps / here.speed.sustainable_rps:.0f} ({at_most:.0f})"


def _name(served: Served) -> tuple[str, str]:
    return f"{served.device}, {served.variant}", f"{served.workers}, {served.fronts}"


def _speed(one: Profiled) -> list[str]:
    speed, offered = one.speed, one.offered
    answered = (offered.requests - offered.failures) / offered.seconds
    return [
        " / ".join(f"{1e3 * seconds:.1f}" for seconds in speed.alone_seconds),
        f"{1e3 * speed.per_request_seconds:.3f}",
        f"{1e3 * speed.overhead_seconds:.3f}",
        str(speed.max_batch),
        f"{speed.largest_rps:,.0f}",
        f"{speed.sustainable_rps:,.0f}",
        f"{answered:,.0f} (others refused)" if offered.failures else f"{answered:,.0f}",
    ]


def _place(one: Profiled) -> list[str]:
    neighbours, ended = one.neighbours, one.termination
    on_device = one.served.device != "cpu"
    return [
        f"{one.start_seconds:.1f}",
        f"{one.resident_bytes >> 20:,}",
        f"{one.device_bytes >> 20:,}" if on_device else "–",
        "–" if one.used_bytes is None else f"{one.used_bytes >> 20:,}",
        f"{one.least_cosine:.6f}",
        "–" if neighbours is None else f"{neighbours.failed} of {neighbours.good}",
        f"{ended.lost} of {ended.kept + ended.new}",
    ]


def _profiled(wanted: Sequence[Served], objective_seconds: float) -> list[Profiled]:
    with tempfile.TemporaryDirectory(prefix="bench-accelerator-") as folder:
        workload, graph = prepare(NETWORK, Path(folder) / "weights"), Path(folder) / f"{NETWORK}.onnx"
        print(f"int8: {build(workload, graph, MAX_BATCH_DIFFERENCE)}", file=sys.stderr)
        generator, found = load_generator(), []
        for number, served in enumerate(tqdm(wanted, desc="profiles", unit="server")):
            workshop = Workshop({}, Path(folder) / str(number), {NETWORK: workload}, graph)
            found.append(profiled(served, workshop, generator, objective_seconds))
            tqdm.write(f"{', '.join(_name(served))}: {found[-1].speed}", file=sys.stderr)
        return found


def _how(settings: Mapping[str, Any]) -> str:
    shape, plan = ENCODERS[NETWORK], settings["plan"]
    return (
        f"Text encoder of {shape.layers} layers, width {shape.width}, {shape.sequence} tokens, untrained, JSON; each server "
        "measured once by the code of `modelscaler profile` (closed loops of 1 to 64 clients, 3 × "
        f"{plan['window_seconds']:g} s each, {plan['inferences']} inferences alone), then with {CONNECTIONS} connections "
        f"at once by {settings['generator']}; generators on the same machine. Objective: 99 % within "
        f"{settings['objectiveMilliseconds']} ms."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.accelerator", description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="beside the CPU (default: %(default)s)")
    parser.add_argument(
        "--workers",
        type=int,
        default=min(MOST_WORKERS, len(os.sched_getaffinity(0)) // 2),
        help="of the CPU's larger server (default: half the cores, %(default)s)",
    )
    parser.add_argument(
        "--objective-milliseconds", type=int, default=OBJECTIVE_MILLISECONDS, help="for p99 (default: %(default)s)"
    )
    parser.add_argument("--measured", type=Path, help="only write this file of --json into docs/benchmarks.md")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
