"""`python -m modelscaler_benchmarks.capacity`: what the capacity model predicts after a profile, and what the server does.

Profiles and loads take turns, since a shared machine is not equally fast all the time: what the server does in a round is
compared with the mean of the profiles before and after it.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import uvloop

from modelscaler.capacity.latency import largest_rps, latency_seconds, sustainable_rps
from modelscaler.domain import Floats, Objective, PoolKey, ReplicaCapacity
from modelscaler.profiling.measuring import Plan, measure
from modelscaler.profiling.server import Server
from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.machine import device_name, quiet_machine
from modelscaler_benchmarks.open_loop import Recorder, Samples, offer, poisson_arrivals
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section
from modelscaler_benchmarks.server.contenders import OURS, Setting, Setup, Workshop, command
from modelscaler_benchmarks.server.measuring import check_answers, payload_of
from modelscaler_benchmarks.server.payloads import V2, Payload
from modelscaler_benchmarks.server.served.shapes import ENCODERS
from modelscaler_benchmarks.server.workloads import prepare
from modelscaler_benchmarks.serving_process import ServingProcess

PACKAGES = ("modelscaler", "modelserver", "torch", "numpy", "uvloop")
LOADS = (0.3, 0.6, 0.9)
"""Shares of the largest throughput that the profile before promises."""
OVERLOAD = 1.2
"""The same, to find the largest throughput there is, with the generator beside the server."""
OVERLOAD_SECONDS, FILLING_SECONDS = 4.0, 1.0
PERCENTILE = 0.99
TARGET = 0.15
PROFILE = Plan(window_seconds=0.25, inferences=300, run_seconds=10.0, soak_seconds=0.4, max_batch=None)


@dataclass(frozen=True)
class Asked:
    """What is served.

    Attributes:
        device: `cpu` or `cuda:N`.
        network: One of the encoders.
        variant: Of it: `full`, or the largest one's `half`.
    """

    device: str
    network: str
    variant: str

    @property
    def title(self) -> str:
        """Return it in words."""
        return f"{self.network.replace('-', ' ').capitalize()}, {self.variant}, on {self.device}"

    @property
    def section(self) -> str:
        """Return the section of the document that it belongs in."""
        if self.device == "cpu":
            return "capacity" if self.network == "encoder" else f"capacity-{self.network}"
        return f"capacity-accelerator-{self.variant}"


@dataclass(frozen=True)
class Compared:
    """One load of one round.

    Attributes:
        load: Share of the largest throughput that the profile before promised.
        rps: Offered.
        requests: In all.
        failures: Of them.
        measured_seconds: Percentile of the latency, from when a request left.
        predicted_seconds: Of the model at that rate; None: it takes the server to be overloaded.
        sustained_rps: What the model would allow if the measured latency were the objective.
        late_seconds: The same percentile of how much later than due requests left.
    """

    load: float
    rps: float
    requests: int
    failures: int
    measured_seconds: float
    predicted_seconds: float | None
    sustained_rps: float
    late_seconds: float

    @property
    def latency_ratio(self) -> float:
        """Predicted over measured latency."""
        return math.inf if self.predicted_seconds is None else self.predicted_seconds / self.measured_seconds


@dataclass(frozen=True)
class Round:
    """Loads between two profiles.

    Attributes:
        capacity: Mean of those two.
        compared: One for each of LOADS.
        saturated_rps: Answered per second when more is offered than the server can do.
    """

    capacity: ReplicaCapacity
    compared: tuple[Compared, ...]
    saturated_rps: float


def main() -> int:
    """Compare; the exit code tells whether it ran, not whether the bound was kept."""
    given = _arguments()
    machine = quiet_machine(PACKAGES)
    asked = Asked(given.device, given.network, given.variant)
    name = "" if asked.device == "cpu" else f"{device_name(asked.device)}; "
    rounds = _rounds(asked, given.rounds, given.seconds, given.seed)
    text = f"{_how(asked, rounds, given.seconds, given.seed)} {name}{machine.sentence()}\n\n{table(rounds)}"
    print(text)
    if given.json:
        settings = {**asdict(asked), "rounds": given.rounds, "seconds": given.seconds, "seed": given.seed}
        settings |= {"profile": asdict(PROFILE), "target": TARGET}
        figures = {"rounds": [asdict(one) for one in rounds]}
        write_json(given.json, {"machine": machine.as_json(), "settings": settings, **figures})
    if given.write:
        write_section(DOCUMENT, asked.section, text)
    return 0


def table(rounds: Sequence[Round]) -> str:
    """Return predictions beside measurements: medians over the rounds, and from least to most."""
    titles = ["load", "requests/s", "p99 predicted, ms", "p99 measured, ms", "off by"]
    titles += ["requests/s predicted at that p99: off by", "requests (failed)", "p99 of leaving late, ms"]
    return markdown_table(titles, [_row([one.compared[index] for one in rounds]) for index in range(len(LOADS))])


def middle(capacities: Sequence[ReplicaCapacity]) -> ReplicaCapacity:
    """Return the mean of several profiles of one server; the largest batch is what any of them saw."""
    return ReplicaCapacity(
        pool=capacities[0].pool,
        per_request_seconds=float(np.mean([one.per_request_seconds for one in capacities])),
        overhead_seconds=float(np.mean([one.overhead_seconds for one in capacities])),
        max_batch=max(one.max_batch for one in capacities),
        source="Profile",
        tail_seconds=float(np.mean([one.tail_seconds for one in capacities])),
    )


def compare(capacity: ReplicaCapacity, load: float, rps: float, samples: Samples) -> Compared:
    """Compare what was measured at one load with what the model says of it."""
    answered = samples.status == 200
    # From when they left: that is when they reached the server.
    stays: Floats = (samples.latency_seconds - samples.late_seconds)[answered]
    measured = float(np.quantile(stays, PERCENTILE))
    predicted = latency_seconds(capacity, rps, PERCENTILE)
    return Compared(
        load=load,
        rps=rps,
        requests=len(answered),
        failures=int((~answered).sum()),
        measured_seconds=measured,
        predicted_seconds=predicted if math.isfinite(predicted) else None,
        sustained_rps=sustainable_rps(capacity, Objective(PERCENTILE, measured, 0.0)),
        late_seconds=float(np.quantile(samples.late_seconds, PERCENTILE)),
    )


def _row(rounds: Sequence[Compared]) -> list[str]:
    predicted = [math.inf if one.predicted_seconds is None else 1e3 * one.predicted_seconds for one in rounds]
    return [
        f"{rounds[0].load:.0%}",
        _spread((one.rps for one in rounds), "{:.0f}".format),
        _spread(predicted, "{:.1f}".format),
        _spread((1e3 * one.measured_seconds for one in rounds), "{:.1f}".format),
        _spread((one.latency_ratio - 1.0 for one in rounds), "{:+.0%}".format),
        _spread((one.sustained_rps / one.rps - 1.0 for one in rounds), "{:+.0%}".format),
        f"{sum(one.requests for one in rounds):,} ({sum(one.failures for one in rounds)})",
        f"{1e3 * float(np.median([one.late_seconds for one in rounds])):.1f}",
    ]


def _spread(values: Iterable[float], shown: Callable[[float], str]) -> str:
    ordered = sorted(values)
    return f"{shown(float(np.median(ordered)))} ({shown(ordered[0])} to {shown(ordered[-1])})"


def _rounds(asked: Asked, count: int, seconds: float, seed: int) -> list[Round]:
    settings: dict[str, Setting] = {"workers": 1, "device": asked.device, "variant": asked.variant}
    setup = Setup(OURS, asked.network, settings, (V2,))
    with tempfile.TemporaryDirectory(prefix="bench-capacity-") as folder:
        workloads = {asked.network: prepare(asked.network, Path(folder) / "weights")}
        workshop = Workshop({}, Path(folder), workloads, Path(folder))
        sent = payload_of(setup, V2, workshop)
        with ServingProcess(command(setup, workshop)) as server:
            check_answers(server.command.port, sent, exact=asked.variant == "full")
            bench = _Bench(
                Server(server.command.url, sent.path.split("/")[-2]), server.command.port, sent, seconds, seed
            )
            return bench.rounds(count)


class _Bench:
    """One server, profiled and loaded in turn."""

    def __init__(self, server: Server, port: int, sent: Payload, seconds: float, seed: int) -> None:
        self._server, self._port, self._sent, self._seconds = server, port, sent, seconds
        self._requests = [request_bytes(port, sent.path, body, sent.headers) for body in sent.bodies]
        self._generator = np.random.default_rng(seed)

    def rounds(self, count: int) -> list[Round]:
        found: list[Round] = []
        before = self._profile()
        for _ in range(count):
            largest = largest_rps(before)
            samples = [self._offered(load * largest, self._seconds) for load in LOADS]
            saturated = _answered_rps(self._offered(OVERLOAD * largest, OVERLOAD_SECONDS))
            after = self._profile()
            capacity = middle((before, after))
            pairs = zip(LOADS, samples, strict=True)
            compared = tuple(compare(capacity, load, load * largest, one) for load, one in pairs)
            found.append(Round(capacity, compared, saturated))
            before = after
        return found

    def _profile(self) -> ReplicaCapacity:
        found = measure(self._server, self._sent.bodies, PROFILE, lambda *_: None)
        return found.capacity(PoolKey("here", "full"))

    def _offered(self, rps: float, seconds: float) -> Samples:
        recorder = Recorder(expected={200})
        arrivals = poisson_arrivals(rps, seconds, self._generator)
        uvloop.run(offer(self._port, self._requests, arrivals, recorder.note))
        return recorder.samples()


def _answered_rps(beyond: Samples) -> float:
    done = (beyond.due_seconds + beyond.latency_seconds)[beyond.status == 200]
    answered = int(((done >= FILLING_SECONDS) & (done < OVERLOAD_SECONDS)).sum())
    return answered / (OVERLOAD_SECONDS - FILLING_SECONDS)


def _how(asked: Asked, rounds: Sequence[Round], seconds: float, seed: int) -> str:
    capacity = middle([one.capacity for one in rounds])
    promised = _spread((largest_rps(one.capacity) for one in rounds), "{:.0f}".format)
    saturated = _spread((one.saturated_rps for one in rounds), "{:.0f}".format)
    return (
        f"{asked.title}, JSON, one worker; {len(rounds)} rounds of Poisson arrivals for {seconds:g} s at each load, "
        f"seed {seed}, between profiles (closed loops of 1 to 64 clients, {PROFILE.window_seconds:g} s each, "
        f"{PROFILE.inferences} inferences alone). The mean profile: {1e3 * capacity.per_request_seconds:.2f} ms a request, "
        f"{1e3 * capacity.overhead_seconds:.2f} ms a batch, at most {capacity.max_batch} in one, a tail of "
        f"{1e3 * capacity.tail_seconds:.1f} ms. Largest throughput predicted: {promised} requests/s; answered when "
        f"{OVERLOAD:g} × that was offered: {saturated}. Medians over the rounds (least to most); latency counts from when a "
        f"request left. The target is {TARGET:.0%}; the generator shares the machine with the server."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.capacity", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of everything (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=9.0, help="at each load in a round (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N, which has a section of its own (default: cpu)")
    parser.add_argument("--network", choices=sorted(ENCODERS), default="encoder", help="(default: %(default)s)")
    parser.add_argument(
        "--variant", choices=("full", "half"), default="full", help="half: of the larger one (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--write", action="store_true", help="write the table into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
