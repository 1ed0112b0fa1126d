"""`python -m modelscaler_benchmarks.soak`: the encoder at a share of its capacity, for minutes."""

import argparse
import dataclasses
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.load import LoadGenerator, load_generator
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.open_loop import Samples
from modelscaler_benchmarks.report import DOCUMENT, IMAGES, markdown_table, write_json, write_section
from modelscaler_benchmarks.server.contenders import OURS, Setup, Workshop, command
from modelscaler_benchmarks.server.measuring import CONNECTIONS, check_answers, payload_of
from modelscaler_benchmarks.server.payloads import V2
from modelscaler_benchmarks.server.served.shapes import ENCODERS
from modelscaler_benchmarks.server.workloads import SEED, prepare
from modelscaler_benchmarks.serving_process import ServingProcess
from modelscaler_benchmarks.soak import plot
from modelscaler_benchmarks.soak.capacity import READING_SECONDS, READINGS, Capacity, drift_sentence, read_capacity
from modelscaler_benchmarks.soak.control import bare_loops
from modelscaler_benchmarks.soak.soaking import soak
from modelscaler_benchmarks.soak.verdict import (
    MAX_GROWTH,
    MAX_TAIL_RATIO,
    Memory,
    Tail,
    Verdict,
    ideal_poisson_ratio,
    judge,
)

PACKAGES = ("modelserver", "torch", "numpy", "uvicorn", "uvloop", "orjson")
WARM_SHARE = 0.1
"""Of the soak: before it, allocators still fill; nothing counts but errors."""

CONTROL_SHARE = 0.1
"""Of the soak's time: for so long after it a bare loop is measured, for comparison."""


@dataclass(frozen=True)
class Soaked:
    """What a soak measured.

    Attributes:
        rate_rps: That was offered.
        before: Capacity, before it.
        after: Capacity, after it.
        memory: Of the server, over time.
        samples: Of all requests.
        failures: The first few, in words.
    """

    rate_rps: float
    before: Capacity
    after: Capacity
    memory: Memory
    samples: Samples
    failures: list[str]


def main() -> int:
    """Soak; the exit code tells whether it ran, not whether bounds were kept."""
    given = _arguments()
    minutes = given.minutes or (0.5 if given.quick else 10.0)
    seconds, warm_seconds = minutes * 60.0, WARM_SHARE * minutes * 60.0
    reading_seconds = 2.0 if given.quick else READING_SECONDS
    machine, generator = quiet_machine(PACKAGES), load_generator()
    soaked = _soaked(given.network, given.device, given.workers, given.load, seconds, reading_seconds, generator)
    verdict = judge(soaked.memory, soaked.samples, warm_seconds, seconds / 2)
    got = f"{generator.name}, {CONNECTIONS} connections, median of {READINGS} × {reading_seconds:g} s"
    title = given.network.replace("-", " ").capitalize()
    how = (
        f"{title} on {given.device}, JSON, workers: {given.workers}; {minutes:g} minutes at {soaked.rate_rps:.0f} requests/s, "
        f"{given.load:.0%} "
        f"of capacity: {soaked.before} requests/s before and {soaked.after} after, closed loop by {got}."
        f"{drift_sentence(soaked.rate_rps, soaked.before, soaked.after)} The first {warm_seconds:g} s are warm-up; latency "
        f"counts from when a request was due. {machine.sentence()}"
    )
    control = bare_loops(given.load, CONTROL_SHARE * seconds, len(os.sched_getaffinity(0)))
    text = f"{how}\n\n{table(verdict, control, given.load)}"
    print(text)
    for failure in soaked.failures:
        print(failure, file=sys.stderr)
    if given.json:
        settings = {"minutes": minutes, "load": given.load, "workers": given.workers, "warmSeconds": warm_seconds}
        settings |= {"rateRps": soaked.rate_rps, "readingSeconds": reading_seconds, "generator": generator.name}
        capacity = {"beforeRps": soaked.before.readings_rps, "afterRps": soaked.after.readings_rps}
        found = {**dataclasses.asdict(verdict), "met": verdict.met, "failures": soaked.failures}
        found |= {"bareLoop": dataclasses.asdict(control)}
        write_json(given.json, {"machine": machine.as_json(), "settings": settings, "capacity": capacity, **found})
    if not given.quick and not given.no_document:
        plot.draw(soaked.memory, soaked.samples, warm_seconds, IMAGES / "bench-soak.png")
        write_section(DOCUMENT, "soak", f"![Soak](images/bench-soak.png)\n\n{text}")
    return 0


def _soaked(
    network: str,
    device: str,
    workers: int,
    load: float,
    seconds: float,
    reading_seconds: float,
    generator: LoadGenerator,
) -> Soaked:
    setup = Setup(OURS, network, {"workers": workers, "device": device}, (V2,))
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as folder:
        workshop = Workshop({}, Path(folder), {network: prepare(network, Path(folder) / "weights")}, Path(folder))
        sent = payload_of(setup, V2, workshop)
        with ServingProcess(command(setup, workshop)) as server:
            port = server.command.port

            def read_rps(duration: float) -> float:
                figures = generator.offer(
                    port, sent.path, sent.bodies, sent.headers, connections=CONNECTIONS, seconds=duration
                )
                return figures.requests_per_second

            check_answers(port, sent, exact=True)
            before = read_capacity(read_rps, reading_seconds)
            rate_rps = load * before.rps
            print(f"capacity {before} requests/s; offering {rate_rps:.0f}", file=sys.stderr)
            requests = [request_bytes(port, sent.path, body, sent.headers) for body in sent.bodies]
            memory, recorder = uvloop.run(soak(server, requests, rate_rps, seconds, SEED))
            after = read_capacity(read_rps, reading_seconds)
            check_answers(port, sent, exact=True)
    return Soaked(rate_rps, before, after, memory, recorder.samples(), recorder.failures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long (default: 10, quick: 0.5)")
    parser.add_argument("--quick", action="store_true", help="half a minute; writes no document")
    parser.add_argument(
        "--load", type=float, default=0.8, help="share of the capacity that is measured first (default: 0.8)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="of the server (default: 1, so that the load has a core too)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N (default: %(default)s)")
    parser.add_argument("--network", choices=sorted(ENCODERS), default="encoder", help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument(
        "--no-document", action="store_true", help="leave docs/benchmarks.md and its picture as they are"
    )
    return parser.parse_args()


def table(verdict: Verdict, control: Tail, load: float) -> str:
    """Return the verdict as a table."""
    each = ", ".join(f"{growth:+.2%}" for growth in verdict.process_growth)
    ideal = f"a server without overhead or batches, M/D/1: {ideal_poisson_ratio(load):.1f}"
    rows = [
        ["requests", f"{verdict.requests:,}", ""],
        ["errors", f"{verdict.errors}", "0"],
        ["growth of resident memory (front, workers)", f"{verdict.growth:+.2%} ({each})", f"< {MAX_GROWTH:.0%}"],
        ["p99 ÷ p50, evenly spaced arrivals", tail(verdict.even), f"≤ {MAX_TAIL_RATIO:g}"],
        [
            "the same of a bare loop on every core, no server, no network",
            tail(control),
            "what the machine does to any tail",
        ],
        ["p99 ÷ p50, Poisson arrivals", tail(verdict.poisson), ideal],
        ["p99 of the generator's own lateness", f"{verdict.late_p99_milliseconds:.1f} ms", ""],
        ["all bounds", "met" if verdict.met else "**not met**", ""],
    ]
    return markdown_table(["", "measured", "bound"], rows)


def tail(measured: Tail) -> str:
    """Return a tail in words."""
    return f"{measured.ratio:.2f} ({measured.p99_milliseconds:.1f} ÷ {measured.p50_milliseconds:.1f} ms)"


if __name__ == "__main__":
    sys.exit(main())
