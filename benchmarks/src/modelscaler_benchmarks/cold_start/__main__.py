"""`python -m modelscaler_benchmarks.cold_start`: from the start of a process to ready, and until all workers have joined."""

import argparse
import compileall
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

import modelserver
from modelscaler_benchmarks.joining import wait_for_workers
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section
from modelscaler_benchmarks.serving_process import HOST, Command, ServingProcess, free_ports
from modelserver.cgroups import cpu_limit_cores, whole_cores

PACKAGES = ("modelserver", "torch", "onnxruntime", "numpy", "uvicorn")
BOUNDS_SECONDS = {"int8": 1.0, "full": 4.0}
RUNTIMES = {"int8": "ONNX Runtime alone", "full": "torch"}
STOP_LIMIT_SECONDS = 1.0


@dataclass(frozen=True)
class Setup:
    """What is started."""

    variant: str
    workers: int


@dataclass(frozen=True)
class Start:
    """How long a start took, from that of the process.

    Attributes:
        ready_seconds: Until the first 200 on the readiness path.
        all_ready_seconds: Until all workers had joined.
    """

    ready_seconds: float
    all_ready_seconds: float


def main() -> int:
    """Measure; the exit code tells whether it ran, not whether bounds were kept."""
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.cold_start", description=__doc__)
    parser.add_argument(
        "--model", default="builtin://search-ranker", help="a model with variants full and int8 (default: %(default)s)"
    )
    parser.add_argument(
        "--runs", type=int, help="starts of each variant, after one that does not count (default: 7, quick: 3)"
    )
    parser.add_argument("--quick", action="store_true", help="three starts; writes no document")
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--no-document", action="store_true", help="leave docs/benchmarks.md as it is")
    given = parser.parse_args()
    runs = given.runs or (3 if given.quick else 7)
    machine = quiet_machine(PACKAGES)
    # As `make setup` and the image do: no start pays for compiling what was edited since.
    compileall.compile_dir(Path(modelserver.__file__).parent, quiet=1)
    cores = whole_cores(cpu_limit_cores())
    setups = [Setup(variant, workers) for variant in BOUNDS_SECONDS for workers in dict.fromkeys((cores, 1))]
    taken = {setup: started(given.model, setup, runs) for setup in setups}
    how = f"{given.model}, median of {runs} starts (least to most), page cache warm, byte code compiled."
    how += f" A server has a worker per core, {cores} here, unless told otherwise; it is ready with the first."
    text = f"{how} {machine.sentence()}\n\n{table(taken)}"
    print(text)
    if given.json:
        settings = {"model": given.model, "runs": runs, "pageCache": "warm"}
        write_json(
            given.json,
            {"machine": machine.as_json(), "settings": settings, "bounds": BOUNDS_SECONDS, "starts": as_json(taken)},
        )
    if not given.quick and not given.no_document:
        write_section(DOCUMENT, "cold-start", text)
    return 0


def started(model: str, setup: Setup, runs: int) -> list[Start]:
    """Return how long each start took; one more comes first and does not count."""
    progress = tqdm(range(runs + 1), desc=f"{setup.variant}, {setup.workers} workers", unit="start")
    return [_start(model, setup) for _ in progress][1:]


def table(taken: Mapping[Setup, Sequence[Start]]) -> str:
    """Return the starts as a table."""
    rows = []
    for setup, starts in taken.items():
        ready, bound = [start.ready_seconds for start in starts], BOUNDS_SECONDS[setup.variant]
        kept = "met" if statistics.median(ready) <= bound else "**not met**"
        everyone = _spread([start.all_ready_seconds for start in starts])
        named = f"{setup.variant}, {RUNTIMES[setup.variant]}"
        rows.append([named, str(setup.workers), _spread(ready), f"≤ {bound:g}", kept, everyone])
    return markdown_table(["variant", "workers", "seconds to ready", "bound", "", "until all workers are ready"], rows)


def as_json(taken: Mapping[Setup, Sequence[Start]]) -> list[dict[str, object]]:
    """Return the starts for the file of figures."""
    return [{**asdict(setup), "seconds": [asdict(start) for start in starts]} for setup, starts in taken.items()]


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"


def _start(model: str, setup: Setup) -> Start:
    with tempfile.TemporaryDirectory(prefix="bench-cold-start-") as folder:
        (port,) = free_ports(1)
        arguments = [
            sys.executable,
            "-m",
            "modelserver",
            "serve",
            "--model",
            model,
            "--variant",
            setup.variant,
            "--workers",
            str(setup.workers),
            "--host",
            HOST,
            "--port",
            str(port),
        ]
        command = Command(arguments, {}, Path(folder), "/v2/health/ready", port)
        with ServingProcess(command, stop_limit_seconds=STOP_LIMIT_SECONDS) as server:
            wait_for_workers(server, setup.workers)
            return Start(server.start_seconds, server.age_seconds)


if __name__ == "__main__":
    sys.exit(main())
