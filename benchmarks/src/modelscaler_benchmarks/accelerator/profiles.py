"""A server profiled as `modelscaler profile` does it: started, asked, measured, and stopped under load."""

import asyncio
import re
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelscaler.capacity.latency import largest_rps, sustainable_rps
from modelscaler.domain import Objective, PoolKey
from modelscaler.profiling.measuring import Measured, Plan, measure
from modelscaler.profiling.server import Server, answered_rps
from modelscaler_benchmarks.http_client import ask_once, request_bytes
from modelscaler_benchmarks.joining import wait_for_workers
from modelscaler_benchmarks.load import LoadGenerator
from modelscaler_benchmarks.server.contenders import OURS, Setting, Setup, Workshop, command
from modelscaler_benchmarks.server.measuring import (
    ANSWER_LIMIT_SECONDS,
    MIN_COSINE,
    WrongAnswerError,
    cosine,
    payload_of,
)
from modelscaler_benchmarks.server.neighbours import NeighbourFigures, ask_beside_bad, bad_body
from modelscaler_benchmarks.server.payloads import V2, Payload
from modelscaler_benchmarks.server.termination import TerminationFigures, ask_across
from modelscaler_benchmarks.serving_process import ServingProcess
from modelscaler_benchmarks.wrk import LoadFigures

NETWORK = "large-encoder"
PLAN = Plan(window_seconds=0.4, inferences=300, run_seconds=6.0, soak_seconds=2.0, max_batch=None)
PERCENTILE = 0.99
CONNECTIONS, OFFERED_SECONDS = 256, 2.0
COMPARED_ROWS = 16


@dataclass(frozen=True)
class Served:
    """How the model is served.

    Attributes:
        device: `cpu` or `cuda:N`.
        variant: `full`, `half` or `int8`.
        workers: That compute.
        fronts: That speak HTTP.
    """

    device: str
    variant: str
    workers: int = 1
    fronts: int = 1

    @property
    def setup(self) -> Setup:
        """Return it as the benchmarks start it."""
        settings: dict[str, Setting] = {"device": self.device, "variant": self.variant, "workers": self.workers}
        if self.fronts > 1:
            settings["fronts"] = self.fronts
        return Setup(OURS, NETWORK, settings, (V2,))


@dataclass(frozen=True)
class Speed:
    """What a profile says.

    Attributes:
        per_request_seconds: a of a·n + b.
        overhead_seconds: b of it.
        tail_seconds: What one request in a hundred takes beyond that, alone.
        max_batch: Largest batch.
        alone_seconds: Median and 99th percentile of requests one after the other.
        rps_by_clients: Closed loops, by the number of clients.
        largest_rps: Of full batches.
        sustainable_rps: That keeps the objective.
    """

    per_request_seconds: float
    overhead_seconds: float
    tail_seconds: float
    max_batch: int
    alone_seconds: tuple[float, float]
    rps_by_clients: dict[int, float]
    largest_rps: float
    sustainable_rps: float


@dataclass(frozen=True)
class Profiled:
    """One server.

    Attributes:
        served: How.
        start_seconds: From the start of its process to ready.
        least_cosine: Of any answer with torch's, in full precision on the CPU.
        largest_difference: Of any number of an answer from torch's.
        speed: From the profile.
        offered: What was answered to as many connections as full batches take, from a generator quicker than a profile's.
        device_bytes: What the workers have allocated on the accelerator when they have loaded.
        used_bytes: By how much the accelerator's used memory has grown, contexts included; None: nobody tells.
        resident_bytes: Of all its processes.
        neighbours: Good requests beside bad ones; None on the CPU, and where answers are not exact.
        termination: Requests around SIGTERM.
    """

    served: Served
    start_seconds: float
    least_cosine: float
    largest_difference: float
    speed: Speed
    offered: LoadFigures
    device_bytes: int
    used_bytes: int | None
    resident_bytes: int
    neighbours: NeighbourFigures | None
    termination: TerminationFigures


def profiled(served: Served, workshop: Workshop, generator: LoadGenerator, objective_seconds: float) -> Profiled:
    """Start a server, measure it, and stop it.

    Args:
        served: How the model is served.
        workshop: With the network's weights, and its int8 graph.
        generator: For a closed loop beside the profile's own.
        objective_seconds: That 99 of 100 requests are to keep.

    Raises:
        WrongAnswerError: When an answer is not torch's.
    """
    sent, before = payload_of(served.setup, V2, workshop), used_bytes(served.device)
    with ServingProcess(command(served.setup, workshop)) as server:
        port = server.command.port
        wait_for_workers(server, served.workers)
        least, difference = _agreement(port, sent)
        measured = measure(Server(server.command.url, sent.path.split("/")[-2]), sent.bodies, PLAN, lambda *_: None)
        offered = generator.offer(
            port, sent.path, sent.bodies, sent.headers, connections=CONNECTIONS, seconds=OFFERED_SECONDS
        )
        after, resident = used_bytes(served.device), server.resident_bytes()
        device_bytes = _gauge(server.command.url, "modelserver_device_memory_bytes")
        neighbours = None
        if served.variant == "full" and served.device != "cpu":
            bad = bad_body(V2, workshop.workloads[NETWORK])
            neighbours = asyncio.run(ask_beside_bad(port, sent, bad))
        request = request_bytes(port, sent.path, sent.bodies[0], sent.headers)
        termination = asyncio.run(ask_across(port, request, server.terminate))
        return Profiled(
            served=served,
            start_seconds=server.start_seconds,
            least_cosine=least,
            largest_difference=difference,
            speed=speed_of(measured, objective_seconds),
            offered=offered,
            device_bytes=device_bytes,
            used_bytes=after - before if after is not None and before is not None else None,
            resident_bytes=resident,
            neighbours=neighbours,
            termination=termination,
        )


def profiled_of(found: Mapping[str, Any]) -> Profiled:
    """Return a server's figures from JSON."""
    speed, neighbours = found["speed"], found["neighbours"]
    by_clients = {int(clients): rps for clients, rps in speed["rps_by_clients"].items()}
    return Profiled(
        **{
            **found,
            "served": Served(**found["served"]),
            "speed": Speed(**{**speed, "alone_seconds": tuple(speed["alone_seconds"]), "rps_by_clients": by_clients}),
            "offered": LoadFigures(**found["offered"]),
            "neighbours": neighbours and NeighbourFigures(**neighbours),
            "termination": TerminationFigures(**found["termination"]),
        }
    )


def speed_of(measured: Measured, objective_seconds: float) -> Speed:
    """Return what the planner makes of a profile.

    Args:
        measured: The profile.
        objective_seconds: That 99 of 100 requests are to keep.
    """
    capacity = measured.capacity(PoolKey("here", "here"))
    p50, p99 = (float(each) for each in np.quantile(measured.timed.latencies_seconds, (0.5, PERCENTILE)))
    return Speed(
        per_request_seconds=capacity.per_request_seconds,
        overhead_seconds=capacity.overhead_seconds,
        tail_seconds=capacity.tail_seconds,
        max_batch=capacity.max_batch,
        alone_seconds=(p50, p99),
        rps_by_clients={clients: answered_rps(loops) for clients, loops in measured.by_clients},
        largest_rps=largest_rps(capacity),
        sustainable_rps=sustainable_rps(capacity, Objective(PERCENTILE, objective_seconds, 0.0)),
    )


def used_bytes(device: str) -> int | None:
    """Return how much of an accelerator's memory is taken, by whomever; None when nobody tells."""
    if device == "cpu":
        return None
    number = device.partition(":")[2] or "0"
    command_line = ["nvidia-smi", f"--id={number}", "--query-gpu=memory.used", "--format=csv,noheader"]
    try:
        done = subprocess.run(command_line, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"(\d+) MiB", done.stdout)
    return int(found[1]) << 20 if found else None


def _agreement(port: int, sent: Payload) -> tuple[float, float]:
    cosines, differences = [], []
    for body, expected in list(zip(sent.bodies, sent.expected, strict=True))[:COMPARED_ROWS]:
        answer = asyncio.run(ask_once(port, request_bytes(port, sent.path, body, sent.headers), ANSWER_LIMIT_SECONDS))
        if answer.status != 200:
            raise WrongAnswerError(f"POST {sent.path}: status {answer.status}, expected 200: {answer.body[:300]!r}")
        row = sent.decode(answer.headers, answer.body).reshape(-1)
        cosines.append(cosine(row, expected))
        differences.append(float(np.abs(row - expected).max()))
    if min(cosines) < MIN_COSINE:
        raise WrongAnswerError(
            f"POST {sent.path}: cosine {min(cosines):.5f} with torch's answer, expected {MIN_COSINE}"
        )
    return min(cosines), max(differences)


def _gauge(url: str, name: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10.0) as answer:  # noqa: S310 - always http://127.0.0.1
        found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", answer.read().decode(), re.MULTILINE)
    return 0 if found is None else int(float(found[1]))
