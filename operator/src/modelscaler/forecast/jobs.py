"""What a training is given and what comes of it, and the files that carry both between two processes: nothing is pickled."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from modelscaler.domain import WorkloadKey
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.grove import Grove, load_grove
from modelscaler.forecast.network import Network, WeightsError, load_network
from modelscaler.forecast.networks import own_width
from modelscaler.forecast.panel import Grid, Panel

NETWORK, BOOSTED, GROWN = "network", "boosted", "own trees"
JOB: Final = "job.json"
HISTORIES: Final = "histories.safetensors"
START, PRETRAINED, TUNED = "start.safetensors", "pretrained.safetensors", "tuned.safetensors"
GROVE: Final = "grove.safetensors"
OUTCOME: Final = "outcome.json"
OWNER_ONLY: Final = 0o700


@dataclass(frozen=True, slots=True)
class History:
    """Series on one grid, their clocks, and the horizons in steps that are forecast of them; all columns may be learned of.

    `keys` says whose they are, where that matters: for trees of their own.
    """

    panel: Panel
    calendar: Calendar
    aheads: tuple[int, ...]
    keys: tuple[WorkloadKey, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingBudget:
    """Bounds of the work.

    `seconds` of a training, after which it counts as failed; fitting is cut short before that. `memory_bytes` that it may need
    beyond the libraries it loads. `max_rows` are learned from, spread evenly over series, `max_rows_per_series` at most.
    """

    seconds: float = 300.0
    memory_bytes: int = 2 * 2**30
    max_rows: int = 200_000
    max_rows_per_series: int = 15_000


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training of the model that all series share.

    Attributes:
        histories: What to learn from, whole up to now; of a fleet with one step there is one.
        seed: What everything random follows from.
        start: The network to go on from, the last tuned one or the pretrained one. None: from nothing.
        pretrained: The network that the new one is compared with. None: it is compared with nothing, which saves half the
            time.
        budget: Bounds of the work.
        kind: `NETWORK`; or `BOOSTED` for the rival, or `GROWN` for trees of single series, which start from nothing.
    """

    histories: tuple[History, ...]
    seed: int
    start: Network | None = None
    pretrained: Network | None = None
    budget: TrainingBudget = TrainingBudget()
    kind: str = NETWORK


@dataclass(frozen=True, slots=True)
class Trained:
    """A network that was tuned.

    `relative_loss` is its loss on the newest part of the history, before it learned from that, divided by the pretrained
    network's: below 1 where tuning helped, 1 when there is nothing to compare with. `rows` it has learned from.
    """

    network: Network
    relative_loss: float
    rows: int


@dataclass(frozen=True, slots=True)
class Grown:
    """Trees that were fitted to single series, as many as there was time for."""

    grove: Grove


@dataclass(frozen=True, slots=True)
class TrainingRefused:
    """No network was tuned because there is too little to learn from, and what is missing."""

    reason: str


@dataclass(frozen=True, slots=True)
class TrainingFailed:
    """Training ended without an answer, and why."""

    reason: str


Outcome: TypeAlias = Trained | Grown | TrainingRefused | TrainingFailed


def write_job(job: TrainingJob, folder: Path) -> None:
    """Write a job into a folder that only we can read. What came of an earlier job there is removed."""
    folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    for name in (OUTCOME, TUNED, GROVE, START, PRETRAINED):
        (folder / name).unlink(missing_ok=True)
    tensors: dict[str, NDArray[Any]] = {}
    for number, history in enumerate(job.histories):
        tensors |= {f"{number}.{name}": array for name, array in _arrays(history).items()}
    save_file(tensors, folder / HISTORIES)
    for name, network in ((START, job.start), (PRETRAINED, job.pretrained)):
        if network is not None:
            network.save(folder / name)
    facts = {
        "seed": job.seed,
        "kind": job.kind,
        "budget": asdict(job.budget),
        "features": [network.features if network else 0 for network in (job.start, job.pretrained)],
        "histories": [_shape(history) for history in job.histories],
    }
    (folder / JOB).write_text(json.dumps(facts))


def read_job(folder: Path) -> TrainingJob:
    """Read what `write_job` wrote."""
    facts = json.loads((folder / JOB).read_text())
    tensors = load_file(folder / HISTORIES)
    start, pretrained = (
        load_network(folder / name, features) if features else None
        for name, features in zip((START, PRETRAINED), facts["features"], strict=True)
    )
    histories = tuple(_history(shape, tensors, f"{number}.") for number, shape in enumerate(facts["histories"]))
    return TrainingJob(histories, facts["seed"], start, pretrained, TrainingBudget(**facts["budget"]), facts["kind"])


def write_outcome(outcome: Outcome, folder: Path) -> None:
    """Write what came of a job; the text that says so comes last and whole."""
    match outcome:
        case Trained(network, relative_loss, rows):
            network.save(folder / TUNED)
            facts: dict[str, object] = {
                "relative_loss": relative_loss, "rows": rows, "features": network.features,
            }  # fmt: skip
        case Grown(grove):
            grove.save(folder / GROVE)
            facts = {"trees": len(grove.trees)}
        case TrainingRefused(reason):
            facts = {"refused": reason}
        case TrainingFailed(reason):
            facts = {"failed": reason}
    beside = folder / (OUTCOME + ".new")
    beside.write_text(json.dumps(facts))
    beside.replace(folder / OUTCOME)


def read_outcome(folder: Path, features: int | None) -> Outcome:
    """Read what came of a job; what cannot be used becomes a failure that says why.

    Args:
        folder: Where `write_outcome` wrote.
        features: How many the network is expected to have. None: as many as it says.
    """
    try:
        facts = json.loads((folder / OUTCOME).read_text())
        if "refused" in facts:
            return TrainingRefused(str(facts["refused"]))
        if "failed" in facts:
            return TrainingFailed(str(facts["failed"]))
        if "trees" in facts:
            return Grown(load_grove(folder / GROVE, own_width()))
        network = load_network(folder / TUNED, facts["features"] if features is None else features)
        return Trained(network, float(facts["relative_loss"]), int(facts["rows"]))
    except (OSError, ValueError, KeyError, TypeError, WeightsError, SafetensorError) as error:
        return TrainingFailed(f"what the training wrote cannot be used: {error}")


def _arrays(history: History) -> Mapping[str, NDArray[Any]]:
    panel = history.panel
    arrays: dict[str, NDArray[Any]] = {"fine": panel.fine.values, "offsets": history.calendar.offset_seconds}
    if panel.factor > 1:
        arrays |= {"means": panel.coarse.values, "maxima": panel.coarse.maxima}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _shape(history: History) -> dict[str, object]:
    panel = history.panel
    return {
        "step_seconds": panel.step_seconds,
        "first_cell": panel.first_cell,
        "factor": panel.factor,
        "first_coarse": panel.first_coarse,
        "aheads": history.aheads,
        "keys": [[key.namespace, key.name] for key in history.keys],
        "holidays": {str(row): [int(day) for day in days] for row, days in history.calendar.holidays.items()},
    }


def _history(shape: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], prefix: str) -> History:
    values = tensors[prefix + "fine"]
    fine = Grid(values, values)
    coarse = Grid(tensors[prefix + "means"], tensors[prefix + "maxima"]) if shape["factor"] > 1 else fine
    panel = Panel(shape["step_seconds"], shape["first_cell"], fine, coarse, shape["factor"], shape["first_coarse"])
    holidays = {int(row): np.array(days, dtype=np.int64) for row, days in shape["holidays"].items()}
    keys = tuple(WorkloadKey(namespace, name) for namespace, name in shape["keys"])
    return History(panel, Calendar(tensors[prefix + "offsets"], holidays), _steps(shape["aheads"]), keys)


def _steps(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
