"""Earlier days as Prometheus history, so that a forecast has two weeks to learn from when the demo starts.

`promtool tsdb create-blocks-from openmetrics` turns the text into blocks (Prometheus manual, Storage: Backfilling). The
series says what it is: its pool and instance are called `history`.
"""

import subprocess
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from modelscaler_demo.day import Day, Floats
from modelscaler_demo.errors import DemoError

METRIC = "modelserver_requests_offered"
PROMTOOL_SECONDS = 60.0


def labels_of(namespace: str, deployment: str) -> str:
    """Return the labels of the history series, in OpenMetrics syntax."""
    pairs = {
        "modeldeployment_namespace": namespace,
        "modeldeployment": deployment,
        "pool": "history",
        "instance": "history",
        "job": "history",
    }
    return ",".join(f'{name}="{value}"' for name, value in pairs.items())


def cumulative(days: Iterable[Day], rng: np.random.Generator) -> Floats:
    """Return a counter of requests at the end of each step of these days, as drawn arrivals; shape (steps,)."""
    counts = [rng.poisson(day.rates_rps * day.shape.step_seconds) for day in days]
    return np.cumsum(np.concatenate(counts)).astype(np.float64)


def openmetrics(counter: Floats, step_seconds: float, end: datetime, before: datetime, labels: str) -> Iterator[str]:
    """Write a counter as OpenMetrics text, line by line.

    Args:
        counter: Shape (steps,); its last value belongs to `end`.
        step_seconds: Between values.
        end: When the last day ends; may lie ahead.
        before: Nothing at or after this time is written: it has not happened yet.
        labels: As `labels_of` gives them.
    """
    yield f"# HELP {METRIC} Infer requests that arrived, refused ones included."
    yield f"# TYPE {METRIC} counter"
    start_seconds = end.timestamp() - step_seconds * (len(counter) - 1)
    for step, value in enumerate(counter):
        at_seconds = start_seconds + step * step_seconds
        if at_seconds < before.timestamp():
            yield f"{METRIC}_total{{{labels}}} {value:.0f} {at_seconds:.3f}"
    yield "# EOF"


def write_blocks(promtool: Path, lines: Iterable[str], directory: Path) -> None:
    """Write OpenMetrics lines as Prometheus blocks under `directory`, ready to start Prometheus on.

    Raises:
        DemoError: promtool failed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    text = directory / "history.openmetrics"
    text.write_text("\n".join(lines) + "\n")
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", str(text), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROMTOOL_SECONDS, check=False)
    text.unlink()
    if done.returncode:
        raise DemoError(f"promtool could not write history ({done.returncode}): {done.stderr.strip()[-500:]}")
