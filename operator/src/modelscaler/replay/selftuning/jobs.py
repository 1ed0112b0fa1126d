"""What a tuning is given and what comes of it, and the files that carry both between two processes: nothing is pickled."""

import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from modelscaler.api.words import TuningReason
from modelscaler.domain import LoadWindow, PolicySettings, Workload

JOB: Final = "job.json"
HISTORY: Final = "history.safetensors"
OUTCOME: Final = "outcome.json"
OWNER_ONLY: Final = 0o700
RPS: Final = "rps"


@dataclass(frozen=True, slots=True)
class TuningBudget:
    """Bounds of the work: `seconds` of one tuning, and `memory_bytes` that it may need beyond the libraries it loads."""

    seconds: float = 1800.0
    memory_bytes: int = 2**30


@dataclass(frozen=True, slots=True)
class TuningJob:
    """One tuning.

    Attributes:
        workload: What is scaled, with the capacities that are planned for; its `policy` are the settings in use.
        history: Its load, NaN where nothing is known.
        seed: Of the arrivals that are drawn from the recorded rates.
        budget: Bounds of the work.
        learned: Whether models that learned this load's own days forecast it in service; else the shipped network does.
    """

    workload: Workload
    history: LoadWindow
    seed: int = 0
    budget: TuningBudget = TuningBudget()
    learned: bool = False


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the days recommend.

    Attributes:
        settings: The ones to use from now on: better ones, or those in use.
        reason: Why these.
        message: The same as a sentence.
        days: How much history was replayed, both parts together.
        cost_ratio: Mean cost of these on the newer part over that of the settings that were in use.
        violating_share: Share of the newer part's requests that were late or refused with these.
        tried: How many settings were tried on the older part.
    """

    settings: PolicySettings
    reason: TuningReason
    message: str
    days: float
    cost_ratio: float
    violating_share: float
    tried: int


@dataclass(frozen=True, slots=True)
class TuningRefused:
    """Nothing can be said: one word, and what is missing."""

    reason: TuningReason
    message: str


@dataclass(frozen=True, slots=True)
class TuningFailed:
    """A tuning ended without an answer, and why."""

    message: str


Outcome: TypeAlias = Recommendation | TuningRefused | TuningFailed

_WORKLOAD: Final = TypeAdapter(Workload)
_SETTINGS: Final = TypeAdapter(PolicySettings)


def write_job(job: TuningJob, folder: Path) -> None:
    """Write a job into a folder that only we can read. What came of an earlier job there is removed."""
    folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    (folder / OUTCOME).unlink(missing_ok=True)
    save_file({RPS: np.ascontiguousarray(job.history.rps, dtype=np.float64)}, folder / HISTORY)
    facts = {
        "workload": _WORKLOAD.dump_python(job.workload, mode="json"),
        "step_seconds": job.history.step_seconds,
        "end": job.history.end.timestamp(),
        "seed": job.seed,
        "budget": asdict(job.budget),
        "learned": job.learned,
    }
    (folder / JOB).write_text(json.dumps(facts, allow_nan=False), encoding="utf-8")


def read_job(folder: Path) -> TuningJob:
    """Read what `write_job` wrote."""
    facts = json.loads((folder / JOB).read_text(encoding="utf-8"))
    rps = load_file(folder / HISTORY)[RPS]
    end = datetime.fromtimestamp(facts["end"], UTC)
    return TuningJob(
        workload=_WORKLOAD.validate_python(facts["workload"]),
        history=LoadWindow(facts["step_seconds"], end, rps),
        seed=facts["seed"],
        budget=TuningBudget(**facts["budget"]),
        learned=facts["learned"],
    )


def write_outcome(outcome: Outcome, folder: Path) -> None:
    """Write what came of a job; the file appears whole or not at all."""
    beside = folder / (OUTCOME + ".new")
    beside.write_text(json.dumps(as_json(outcome), allow_nan=False), encoding="utf-8")
    beside.replace(folder / OUTCOME)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome under its kind, as JSON can hold it."""
    match outcome:
        case Recommendation():
            return {"recommended": asdict(outcome)}
        case TuningRefused():
            return {"refused": asdict(outcome)}
        case TuningFailed():
            return {"failed": asdict(outcome)}


def read_outcome(folder: Path) -> Outcome:
    """Read what came of a job; what cannot be used becomes a failure that says why."""
    try:
        facts = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
        if "failed" in facts:
            return TuningFailed(str(facts["failed"]["message"]))
        if "refused" in facts:
            return TuningRefused(TuningReason(facts["refused"]["reason"]), str(facts["refused"]["message"]))
        return _recommendation(facts["recommended"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError, SafetensorError) as error:
        return TuningFailed(f"what the tuning wrote cannot be used: {error}")


def _recommendation(facts: dict[str, Any]) -> Recommendation:
    """Read a recommendation. Raises ValueError when a figure is not one, or out of its bounds."""
    figures = {name: float(facts[name]) for name in ("days", "cost_ratio", "violating_share")}
    for name, value in figures.items():
        if not (math.isfinite(value) and value >= 0.0):
            raise ValueError(f"{name}: got {value}, expected a finite number of 0 or more")
    return Recommendation(
        settings=_SETTINGS.validate_python(facts["settings"]),
        reason=TuningReason(facts["reason"]),
        message=str(facts["message"]),
        tried=int(facts["tried"]),
        **figures,
    )
