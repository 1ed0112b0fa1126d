"""`python -m modelscaler_benchmarks.soak`: the encoder at a share of its capacity, for minutes."""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

import uvloop

from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.load import load_generator
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, IMAGES, markdown_table, write_json, write_section
from modelscaler_benchmarks.server.contenders import OURS, Setup, Workshop, command
from modelscaler_benchmarks.server.measuring import CONNECTIONS, check_answers, payload_of
from modelscaler_benchmarks.server.payloads import V2
from modelscaler_benchmarks.server.workloads import SEED, prepare
from modelscaler_benchmarks.serving_process import ServingProcess
from modelscaler_benchmarks.soak import plot
from modelscaler_benchmarks.soak.soaking import soak
from modelscaler_benchmarks.soak.verdict import MAX_GROWTH, MAX_TAIL_RATIO, Tail, Verdict, ideal_poisson_ratio, judge

PACKAGES = ("modelserver", "torch", "numpy", "uvicorn", "uvloop", "orjson")
CAPACITY_SECONDS = 5.0
WARM_SHARE = 0.1
"""Of the soak: before it, allocators still fill; nothing counts but errors."""


def main() -> int:
    """Soak; the exit code tells whether it ran, not whether bounds were kept."""
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long (default: 10, quick: 0.5)")
    parser.add_argument("--quick", action="store_true", help="half a minute; writes no document")
    parser.add_argument(
        "--load", type=float, default=0.8, help="share of the capacity that wrk finds first (default: 0.8)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="of the server (default: 1, so that the load has a core too)"
    )
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument(
        "--no-document", action="store_true", help="leave docs/benchmarks.md and its picture as they are"
    )
    given = parser.parse_args()
    minutes = given.minutes or (0.5 if given.quick else 10.0)
    seconds = minutes * 60.0
    warm_seconds = WARM_SHARE * seconds
    machine = quiet_machine(PACKAGES)
    setup = Setup(OURS, "encoder", {"workers": given.workers}, (V2,))
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as folder:
        workshop = Workshop({}, Path(folder), {"encoder": prepare("encoder", Path(folder) / "weights")}, Path(folder))
        sent = payload_of(setup, V2, workshop)
        with ServingProcess(command(setup, workshop)) as server:
            port = server.command.port
            check_answers(port, sent, exact=True)
            generator = load_generator()
            capacity = generator.offer(
                port, sent.path, sent.bodies, sent.headers, connections=CONNECTIONS, seconds=CAPACITY_SECONDS
            )
            rate_rps = given.load * capacity.requests_per_second
            print(f"capacity {capacity.requests_per_second:.0f} requests/s; offering {rate_rps:.0f}", file=sys.stderr)
            requests = [request_bytes(port, sent.path, body, sent.headers) for body in sent.bodies]
            memory, recorder = uvloop.run(soak(server, requests, rate_rps, seconds, SEED))
            check_answers(port, sent, exact=True)
    latencies = recorder.latencies()
    verdict = judge(memory, latencies, warm_seconds, seconds / 2)
    how = (
        f"Encoder, JSON, workers: {given.workers}; {minutes:g} minutes at {rate_rps:.0f} requests/s, "
        f"{given.load:.0%} of what {generator.name}, {CONNECTIONS} connections, got; the first {warm_seconds:g} s are warm-up; "
        f"latency counts from when a request was due. {machine.sentence()}"
    )
    text = f"{how}\n\n{table(verdict, given.load)}"
    print(text)
    for failure in recorder.failures:
        print(failure, file=sys.stderr)
    if given.json:
        settings = {
            "minutes": minutes,
            "load": given.load,
            "workers": given.workers,
            "rateRps": rate_rps,
            "warmSeconds": warm_seconds,
        }
        found = {**dataclasses.asdict(verdict), "met": verdict.met, "failures": recorder.failures}
        write_json(
            given.json,
            {"machine": machine.as_json(), "settings": settings, "capacity": dataclasses.asdict(capacity), **found},
        )
    if not given.quick and not given.no_document:
        plot.draw(memory, latencies, warm_seconds, IMAGES / "bench-soak.png")
        write_section(DOCUMENT, "soak", f"![Soak](images/bench-soak.png)\n\n{text}")
    return 0


def table(verdict: Verdict, load: float) -> str:
    """Return the verdict as a table."""
    each = ", ".join(f"{growth:+.2%}" for growth in verdict.process_growth)
    ideal = f"a server without overhead or batches, M/D/1: {ideal_poisson_ratio(load):.1f}"
    rows = [
        ["requests", f"{verdict.requests:,}", ""],
        ["errors", f"{verdict.errors}", "0"],
        ["growth of resident memory (front, workers)", f"{verdict.growth:+.2%} ({each})", f"< {MAX_GROWTH:.0%}"],
        ["p99 ÷ p50, evenly spaced arrivals", tail(verdict.even), f"≤ {MAX_TAIL_RATIO:g}"],
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
