"""One server's turn: start, check, warm, measure, check again, stop."""

import asyncio
from dataclasses import dataclass

import numpy as np

from modelscaler_benchmarks.http_client import ask_once, request_bytes
from modelscaler_benchmarks.joining import wait_for_workers
from modelscaler_benchmarks.load import LoadGenerator
from modelscaler_benchmarks.server.contenders import OURS, Setup, Workshop, command
from modelscaler_benchmarks.server.payloads import Dialect, Payload, Row, payload
from modelscaler_benchmarks.serving_process import ServingProcess
from modelscaler_benchmarks.wrk import LoadFigures

CONNECTIONS = 32
CHECKED_ROWS = 8
TOLERANCE = 1e-4
MIN_COSINE = 0.999
ANSWER_LIMIT_SECONDS = 10.0
STOP_LIMIT_SECONDS = 0.5
"""A measured server is not owed its drain time; how it ends is measured elsewhere."""


class WrongAnswerError(Exception):
    """A server that does not answer what plain torch answers, or does not answer at all."""


@dataclass(frozen=True)
class Pace:
    """How long things are measured.

    Attributes:
        warm_seconds: Load before anything counts.
        seconds: Load that counts.
    """

    warm_seconds: float
    seconds: float


@dataclass(frozen=True)
class Measurement:
    """What one setup did in one turn.

    Attributes:
        setup: Of the server.
        dialect: How it was spoken to.
        load: Under 32 connections.
        start_seconds: From process start to ready.
        resident_mib: Of all its processes, after the load.
    """

    setup: Setup
    dialect: Dialect
    load: LoadFigures
    start_seconds: float
    resident_mib: float


def measure(setup: Setup, workshop: Workshop, generator: LoadGenerator, pace: Pace) -> list[Measurement]:
    """Measure a setup, in each of its dialects.

    Raises:
        StartError: When it does not start.
        WrongAnswerError: When an answer is wrong, or a request fails.
    """
    with ServingProcess(command(setup, workshop), stop_limit_seconds=STOP_LIMIT_SECONDS) as server:
        if setup.server == OURS:
            wait_for_workers(server, int(setup.settings["workers"]))
        return [_measured(setup, dialect, server, workshop, generator, pace) for dialect in setup.dialects]


def payload_of(setup: Setup, dialect: Dialect, workshop: Workshop) -> Payload:
    """Return what is sent to a setup."""
    workload = workshop.workloads[setup.network]
    name = workshop.onnx_int8.stem if setup.settings.get("variant") == "int8" else setup.network
    return payload(dialect, name, workload.rows, workload.expected)


def check_answers(port: int, sent: Payload, *, exact: bool) -> None:
    """Ask a few rows and compare the answers with plain torch's.

    Args:
        port: Of the server.
        sent: What to ask, and what to expect.
        exact: Whether they must agree within rounding; otherwise a cosine of 0.999 will do.

    Raises:
        WrongAnswerError: When one does not agree.
    """
    for body, expected in list(zip(sent.bodies, sent.expected, strict=True))[:CHECKED_ROWS]:
        answer = asyncio.run(ask_once(port, request_bytes(port, sent.path, body, sent.headers), ANSWER_LIMIT_SECONDS))
        if answer.status != 200:
            raise WrongAnswerError(
                f"POST {sent.path}: status {answer.status}, expected 200: {answer.reason or answer.body[:300]!r}"
            )
        row = sent.decode(answer.headers, answer.body).reshape(-1)
        agrees = np.allclose(row, expected, atol=TOLERANCE) if exact else cosine(row, expected) >= MIN_COSINE
        if not agrees:
            raise WrongAnswerError(f"POST {sent.path}: answered {row[:4]}…, expected {expected[:4]}…")


def cosine(one: Row, other: Row) -> float:
    """Return the cosine of the angle between two vectors."""
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))


def _measured(
    setup: Setup, dialect: Dialect, server: ServingProcess, workshop: Workshop, generator: LoadGenerator, pace: Pace
) -> Measurement:
    sent, port = payload_of(setup, dialect, workshop), server.command.port
    exact = setup.settings.get("variant") != "int8"
    check_answers(port, sent, exact=exact)
    generator.offer(port, sent.path, sent.bodies, sent.headers, connections=CONNECTIONS, seconds=pace.warm_seconds)
    load = generator.offer(port, sent.path, sent.bodies, sent.headers, connections=CONNECTIONS, seconds=pace.seconds)
    resident = server.resident_bytes() / 2**20
    check_answers(port, sent, exact=exact)
    if load.failures:
        raise WrongAnswerError(
            f"{setup.label()}, {setup.network}: {load.failures} of {load.requests} requests failed under load"
        )
    return Measurement(setup, dialect, load, server.start_seconds, resident)
