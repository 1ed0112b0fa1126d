"""Set-up that is needed once and kept: programs, the model, and how fast it is on this machine."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from localcluster.binaries.provide import provide_control_plane, provide_prometheus
from localcluster.paths import cache_root
from modelscaler_demo.checkout import Checkout
from modelscaler_demo.errors import DemoError
from modelscaler_demo.example import Example, read_example
from modelscaler_demo.fitting import fitted
from modelscaler_demo.history import cumulative, labels_of, openmetrics, write_blocks
from modelscaler_demo.profile import Programs, VariantSpeed, measured_speeds
from modelscaler_demo.scenario import Scenario

MODEL = "search-ranker"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What every run needs and finds again: `example` and `peak_rps`, the usual evening peak, are fitted to this machine."""

    checkout: Checkout
    example: Example
    peak_rps: float
    promtool: Path
    speeds: tuple[VariantSpeed, ...]
    accuracies: dict[str, float]


def prepare(checkout: Checkout, say: Callable[[str], None]) -> Prepared:
    """Find or make everything that is kept between runs.

    Raises:
        DemoError: Something could not be had; it says what to do.
    """
    say("finding or building the control plane and Prometheus (about 10 minutes the first time, then kept)")
    provide_control_plane()
    promtool = provide_prometheus()["promtool"]
    model = cache_root() / "models" / MODEL
    say("finding or training the search ranker (a minute or two the first time, then kept)")
    _build(checkout.program("modelserver"), model)
    say("measuring how fast a request is here (half a minute the first time, then kept)")
    example = read_example(checkout.example)
    programs = Programs(checkout.program("modelscaler"), checkout.program("modelserver"))
    variants = sorted({variant for _, variant in example.pairs})
    speeds = measured_speeds(programs, model, variants, cache_root() / "profiles" / f"{MODEL}.json")
    here = fitted(example, speeds)
    return Prepared(checkout, here.example, here.peak_rps, promtool, speeds, _accuracies(model))


def write_history(prepared: Prepared, scenario: Scenario, midnight: datetime, now: datetime, directory: Path) -> None:
    """Write the days before `midnight` as Prometheus blocks, up to `now`."""
    counter = cumulative(scenario.earlier(), np.random.default_rng([scenario.seed, 2]))
    labels = labels_of(prepared.example.namespace, prepared.example.name)
    lines = openmetrics(counter, scenario.shape.step_seconds, midnight, now, labels)
    write_blocks(prepared.promtool, lines, directory)


def _build(modelserver: Path, model: Path) -> None:
    done = subprocess.run([str(modelserver), "build", MODEL, "--out", str(model)], check=False)
    if done.returncode:
        raise DemoError(f"building the model failed ({done.returncode}); what it said is above. Try `make models`")


def _accuracies(model: Path) -> dict[str, float]:
    metadata = [json.loads(path.read_text()) for path in sorted(model.glob("*/variant.json"))]
    return {row["variant"]: float(row["accuracy"]) for row in metadata}
