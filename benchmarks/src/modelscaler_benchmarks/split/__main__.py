"""`python -m modelscaler_benchmarks.split`: a model split into stages beside the whole one, at full load."""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from modelscaler_benchmarks.http_client import ask_once, request_bytes
from modelscaler_benchmarks.load import LoadGenerator, load_generator
from modelscaler_benchmarks.machine import MachineFacts, measured_machine
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section
from modelscaler_benchmarks.server.payloads import HEADER_LENGTH
from modelscaler_benchmarks.split.example import PIXELS, requests, stage_seconds, write_example
from modelscaler_benchmarks.split.setups import Setup, serving, setups
from modelscaler_benchmarks.wrk import LoadFigures
from modelserver.models.inception.recipe import MODEL_NAME, STAGES, InceptionShape

PACKAGES = ("modelserver", "torch", "numpy", "uvicorn")
PATH = f"/v2/models/{MODEL_NAME}/infer"
CONNECTIONS = 32
BODIES = 64
WARM_SECONDS = 1.0
STAGE_ROWS, STAGE_REPEATS = 16, 20
TOLERANCE = 1e-4
"""Between answers of the whole and of the stages: batches of other sizes round otherwise."""


class AnswersDifferError(Exception):
    """A way to serve the model gives other answers than the whole."""


@dataclass(frozen=True)
class Measured:
    """What one setup did in one round.

    Attributes:
        load: Rate and latencies.
        memory_bytes: Resident memory of all its processes; pages that they share count for each.
    """

    load: LoadFigures
    memory_bytes: int


def main() -> int:
    """Measure; 1 when an answer differs or a request fails."""
    given = _arguments()
    rounds, seconds = (1, 2.0) if given.quick else (given.rounds, given.seconds)
    machine = measured_machine(PACKAGES)
    shape = InceptionShape(branch=given.branch)
    with tempfile.TemporaryDirectory(prefix="bench-split-") as folder:
        directory = Path(folder) / "model"
        write_example(directory, shape)
        stages = stage_seconds(directory, STAGES, STAGE_ROWS, STAGE_REPEATS)
        compared = setups(STAGES, max(stages, key=lambda stage: stages[stage]))
        measured = _measure(compared, directory, Path(folder), rounds, seconds)
    how = (
        f"Inception-type network, {shape.branch} channels per branch at first, untrained; one image of {PIXELS} × {PIXELS} a "
        f"request, binary tensors, {load_generator().name}, {CONNECTIONS} connections, {rounds} × {seconds:g} s each, in turn, "
        f"medians; memory counts shared pages for each process. {machine.sentence()}"
    )
    text = f"{how}\n\n{_stage_sentence(stages)}\n\n{table(compared, measured)}"
    print(text)
    if given.json:
        write_json(given.json, _figures(machine, shape, rounds, seconds, stages, compared, measured))
    if not given.no_document and not given.quick:
        write_section(DOCUMENT, "split", text)
    return 1 if any(each.load.failures for runs in measured.values() for each in runs) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.split", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times that each setup is measured (default: 3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load each time (default: 10)")
    parser.add_argument(
        "--branch", type=int, default=24, help="channels per branch, i.e. size of the network (default: 24)"
    )
    parser.add_argument("--quick", action="store_true", help="once, for 2 s each; writes no document")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--no-document", action="store_true", help="leave docs/benchmarks.md as it is")
    return parser.parse_args()


def _measure(
    compared: list[Setup], directory: Path, folder: Path, rounds: int, seconds: float
) -> dict[str, list[Measured]]:
    """Measure all setups in turn, several times over, so that a slow moment of the machine hits all alike."""
    generator = load_generator()
    measured: dict[str, list[Measured]] = {setup.name: [] for setup in compared}
    expected: dict[str, Any] = {}
    turns = [(number, setup) for number in range(rounds) for setup in compared]
    for number, setup in tqdm(turns, desc="split", unit="run"):
        with serving(setup, directory, folder / f"{number}-{compared.index(setup)}") as servers:
            port = servers[0].command.port
            answers = _answers(port)
            if not np.allclose(answers, expected.setdefault("answers", answers), atol=TOLERANCE):
                raise AnswersDifferError(f"{setup.name}: expected the answers of {compared[0].name}")
            _offer(generator, port, WARM_SECONDS)
            load = _offer(generator, port, seconds)
            measured[setup.name].append(Measured(load, sum(server.resident_bytes() for server in servers)))
    return measured


def _offer(generator: LoadGenerator, port: int, seconds: float) -> LoadFigures:
    bodies, headers = requests(BODIES)
    return generator.offer(port, PATH, bodies, headers, connections=CONNECTIONS, seconds=seconds)


def _answers(port: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return the probabilities that the server gives for some images."""
    bodies, headers = requests(4)
    rows = []
    for body in bodies:
        start = int(headers[HEADER_LENGTH])
        answer = asyncio.run(ask_once(port, request_bytes(port, PATH, body, headers), 10.0))
        if answer.status != 200:
            raise AnswersDifferError(f"port {port}: {answer.status} {answer.body[:200]!r} to {body[:start]!r}")
        rows.append(json.loads(answer.body)["outputs"][0]["data"])
    return np.array(rows, dtype=np.float64)


def _stage_sentence(stages: dict[str, float]) -> str:
    total = sum(stages.values())
    shares = ", ".join(f"{stage} {1e3 * taken:.1f} ms ({taken / total:.0%})" for stage, taken in stages.items())
    bound = total / max(stages.values())
    return (
        f"A batch of {STAGE_ROWS} alone on one thread: {shares}. With a core for each stage the split could be at most "
        f"{bound:.2f} times as fast as one worker with the whole."
    )


def table(compared: list[Setup], measured: dict[str, list[Measured]]) -> str:
    """Return what was measured as a table."""

    def median(setup: Setup, of: str) -> float:
        return statistics.median(float(getattr(each.load, of)) for each in measured[setup.name])

    base = median(compared[0], "requests_per_second")
    rows = []
    for setup in compared:
        rate = median(setup, "requests_per_second")
        rates = [each.load.requests_per_second for each in measured[setup.name]]
        memory = statistics.median(each.memory_bytes for each in measured[setup.name])
        latencies = f"{median(setup, 'p50_milliseconds'):.0f} / {median(setup, 'p99_milliseconds'):.0f}"
        spread = f"{rate:.0f} ({min(rates):.0f}–{max(rates):.0f})"
        rows.append(
            [setup.name, str(setup.processes), spread, f"{rate / base:.2f}", latencies, f"{memory / 2**20:.0f}"]
        )
    heads = ["", "workers", "images/s", "÷ whole, 1 worker", "p50 / p99 ms", "memory MiB"]
    return markdown_table(heads, rows)


def _figures(
    machine: MachineFacts,
    shape: InceptionShape,
    rounds: int,
    seconds: float,
    stages: dict[str, float],
    compared: list[Setup],
    measured: dict[str, list[Measured]],
) -> dict[str, Any]:
    settings = {
        "network": asdict(shape),
        "rounds": rounds,
        "seconds": seconds,
        "connections": CONNECTIONS,
        "imagePixels": PIXELS,
        "stageRows": STAGE_ROWS,
    }
    return {
        "machine": machine.as_json(),
        "settings": settings,
        "stageSeconds": stages,
        "setups": [{**asdict(setup), "runs": [asdict(run) for run in measured[setup.name]]} for setup in compared],
    }


if __name__ == "__main__":
    sys.exit(main())
