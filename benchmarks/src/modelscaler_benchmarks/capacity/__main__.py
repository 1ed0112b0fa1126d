"""`python -m modelscaler_benchmarks.capacity`: what the capacity model predicts after a profile, and what the server does."""

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import uvloop

from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
from modelscaler.domain import Objective, PoolKey, ReplicaCapacity
from modelscaler.profiling.measuring import Plan, measure
from modelscaler.profiling.server import Server
from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.open_loop import Recorder, offer, poisson_arrivals
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section
from modelscaler_benchmarks.server.contenders import OURS, Setup, Workshop, command
from modelscaler_benchmarks.server.measuring import check_answers, payload_of
from modelscaler_benchmarks.server.payloads import V2
from modelscaler_benchmarks.server.workloads import prepare
from modelscaler_benchmarks.serving_process import ServingProcess

PACKAGES = ("modelscaler", "modelserver", "torch", "numpy", "uvloop")
LOADS = (0.3, 0.6, 0.9)
"""Shares of the largest throughput that the profile promises."""
PERCENTILE = 0.99
TARGET = 0.15
PROFILE = Plan(window_seconds=1.0, inferences=200, run_seconds=20.0, soak_seconds=4.0, max_batch=None)


@dataclass(frozen=True)
class Compared:
    """One load.

    Attributes:
        load: Share of the largest throughput.
        rps: Offered.
        requests: In all.
        failures: Of them.
        measured_seconds: Percentile of the latency, from when a request was due.
        predicted_seconds: Of the model at that rate.
        sustained_rps: What the model would allow if the measured latency were the objective.
        late_seconds: The same percentile of the generator's own lateness.
    """

    load: float
    rps: float
    requests: int
    failures: int
    measured_seconds: float
    predicted_seconds: float
    sustained_rps: float
    late_seconds: float


def main() -> int:
    """Compare; the exit code tells whether it ran, not whether the bound was kept."""
    given = _arguments()
    machine = quiet_machine(PACKAGES)
    capacity, compared = _compared(given.seconds, given.seed)
    text = f"{_how(capacity, given.seconds, given.seed)} {machine.sentence()}\n\n{table(compared)}"
    print(text)
    if given.json:
        settings = {"seconds": given.seconds, "seed": given.seed, "profile": asdict(PROFILE), "target": TARGET}
        figures = {"capacity": asdict(capacity), "compared": [asdict(one) for one in compared]}
        write_json(given.json, {"machine": machine.as_json(), "settings": settings, **figures})
    if given.write:
        write_section(DOCUMENT, "capacity", text)
    return 0


def table(compared: list[Compared]) -> str:
    """Return predictions beside measurements."""
    rows = [
        [
            f"{one.load:.0%}",
            f"{one.rps:.1f}",
            f"{1e3 * one.predicted_seconds:.1f}",
            f"{1e3 * one.measured_seconds:.1f}",
            f"{one.predicted_seconds / one.measured_seconds - 1.0:+.0%}",
            f"{one.sustained_rps:.1f} ({one.sustained_rps / one.rps - 1.0:+.0%})",
            f"{one.requests:,} ({one.failures})",
            f"{1e3 * one.late_seconds:.1f}",
        ]
        for one in compared
    ]
    titles = ["load", "requests/s", "p99 predicted, ms", "p99 measured, ms", "off by"]
    titles += ["requests/s predicted at that p99", "requests (failed)", "p99 of the generator's lateness, ms"]
    return markdown_table(titles, rows)


def _compared(seconds: float, seed: int) -> tuple[ReplicaCapacity, list[Compared]]:
    setup = Setup(OURS, "encoder", {"workers": 1}, (V2,))
    with tempfile.TemporaryDirectory(prefix="bench-capacity-") as folder:
        workshop = Workshop({}, Path(folder), {"encoder": prepare("encoder", Path(folder) / "weights")}, Path(folder))
        sent = payload_of(setup, V2, workshop)
        with ServingProcess(command(setup, workshop)) as server:
            port = server.command.port
            check_answers(port, sent, exact=True)
            model = sent.path.split("/")[-2]
            found = measure(Server(server.command.url, model), sent.bodies, PROFILE, lambda *_: None)
            line = found.fit.line
            capacity = ReplicaCapacity(
                PoolKey("here", "full"),
                line.per_request_seconds,
                line.overhead_seconds,
                found.max_batch,
                "Profile",
            )
            requests = [request_bytes(port, sent.path, body, sent.headers) for body in sent.bodies]
            generator = np.random.default_rng(seed)
            return capacity, [_one(port, requests, capacity, load, seconds, generator) for load in LOADS]


def _one(
    port: int,
    requests: list[bytes],
    capacity: ReplicaCapacity,
    load: float,
    seconds: float,
    generator: np.random.Generator,
) -> Compared:
    rps = load * largest_rps(capacity)
    recorder = Recorder(expected={200})
    uvloop.run(offer(port, requests, poisson_arrivals(rps, seconds, generator), recorder.note))
    samples = recorder.samples()
    answered = samples.status == 200
    measured = float(np.quantile(samples.latency_seconds[answered], PERCENTILE))
    return Compared(
        load,
        rps,
        len(answered),
        int((~answered).sum()),
        measured,
        latency_seconds(capacity, rps, PERCENTILE),
        sustainable_rps(capacity, Objective(PERCENTILE, measured, 0.0)),
        float(np.quantile(samples.late_seconds, PERCENTILE)),
    )


def _how(capacity: ReplicaCapacity, seconds: float, seed: int) -> str:
    return (
        f"Encoder, JSON, one worker. The profile (closed loops of 1 to 32 clients, {PROFILE.window_seconds:g} s each): "
        f"{1e3 * capacity.per_request_seconds:.2f} ms a request, {1e3 * capacity.overhead_seconds:.2f} ms a batch, at most "
        f"{capacity.max_batch} in one. Then Poisson arrivals for {seconds:g} s at each load, seed {seed}; latency counts from "
        f"when a request was due. The target is {TARGET:.0%}; the generator shares the machine with the server."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.capacity", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="at each load (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
