"""`python -m modelscaler_benchmarks.cold_start`: from the start of a process to ready, ONNX alone and with torch."""

import argparse
import compileall
import statistics
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

import modelserver
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, markdown_table, write_json, write_section
from modelscaler_benchmarks.serving_process import HOST, Command, ServingProcess, free_ports

PACKAGES = ("modelserver", "torch", "onnxruntime", "numpy", "uvicorn")
BOUNDS_SECONDS = {"int8": 1.0, "full": 4.0}
RUNTIMES = {"int8": "ONNX Runtime alone", "full": "torch"}
STOP_LIMIT_SECONDS = 1.0


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
    taken = {variant: started(given.model, variant, runs) for variant in BOUNDS_SECONDS}
    how = f"{given.model}, median of {runs} starts, page cache warm, byte code compiled."
    text = f"{how} {machine.sentence()}\n\n{table(taken)}"
    print(text)
    if given.json:
        settings = {"model": given.model, "runs": runs, "pageCache": "warm"}
        write_json(
            given.json, {"machine": machine.as_json(), "settings": settings, "bounds": BOUNDS_SECONDS, "seconds": taken}
        )
    if not given.quick and not given.no_document:
        write_section(DOCUMENT, "cold-start", text)
    return 0


def started(model: str, variant: str, runs: int) -> list[float]:
    """Return how long each start took, in seconds; one more comes first and does not count."""
    return [_start(model, variant) for _ in tqdm(range(runs + 1), desc=variant, unit="start")][1:]


def table(taken: dict[str, list[float]]) -> str:
    """Return the starts as a table."""
    rows = []
    for variant, seconds in taken.items():
        median, bound = statistics.median(seconds), BOUNDS_SECONDS[variant]
        spread = f"{median:.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
        rows.append(
            [f"{variant}, {RUNTIMES[variant]}", spread, f"≤ {bound:g}", "met" if median <= bound else "**not met**"]
        )
    return markdown_table(["variant", "seconds to ready", "bound", ""], rows)


def _start(model: str, variant: str) -> float:
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
            variant,
            "--host",
            HOST,
            "--port",
            str(port),
        ]
        command = Command(arguments, {}, Path(folder), "/v2/health/ready", port)
        with ServingProcess(command, stop_limit_seconds=STOP_LIMIT_SECONDS) as server:
            return server.start_seconds


if __name__ == "__main__":
    sys.exit(main())
