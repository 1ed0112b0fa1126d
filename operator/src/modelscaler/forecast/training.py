"""Training in a process of its own: the loop never waits for it, and it never outlives the operator."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from modelscaler.background import ChildProcess, Work, Worker
from modelscaler.forecast.jobs import (
    Grown,
    History,
    Outcome,
    Trained,
    TrainingBudget,
    TrainingFailed,
    TrainingJob,
    TrainingRefused,
    read_outcome,
    write_job,
)

__all__ = [
    "DirectTrainer",
    "Grown",
    "History",
    "Outcome",
    "ProcessTrainer",
    "Trained",
    "Trainer",
    "TrainingBudget",
    "TrainingFailed",
    "TrainingJob",
    "TrainingRefused",
]

MODULE: Final = "modelscaler.forecast.learning"
KEPT: Final = "training"


Trainer: TypeAlias = Worker[TrainingJob, Outcome]
"""Runs one training at a time without blocking its caller."""


class DirectTrainer:
    """Trains at once, in this process: for replays and tests, which have time to wait."""

    def __init__(self, train: Callable[[TrainingJob], Outcome]) -> None:
        """Train by `train`, which is `learning.retuning.train` wherever torch may be imported."""
        self._train = train
        self._outcome: Outcome | None = None

    @property
    def busy(self) -> bool:
        """Whether an outcome has not been fetched."""
        return self._outcome is not None

    def submit(self, job: TrainingJob) -> None:
        """Train."""
        self._outcome = self._train(job)

    def poll(self) -> Outcome | None:
        """Return the outcome of the training, once."""
        outcome, self._outcome = self._outcome, None
        return outcome

    def close(self) -> None:
        """Nothing runs."""


class ProcessTrainer(ChildProcess[TrainingJob, Outcome]):
    """Trains in a child process, one per training, so that its memory goes back afterwards."""

    def __init__(self, state: Path | None = None) -> None:
        """Start nothing yet.

        Args:
            state: The folder in which jobs are kept, so that a training that was ended goes on from its last epoch when it is
                submitted anew. None: in a temporary folder, and it begins anew.
        """
        super().__init__(TRAINING, state / KEPT if state is not None else None)


def _read(job: TrainingJob, folder: Path) -> Outcome:
    start = job.start or job.pretrained
    return read_outcome(folder, start.features if start else None)


TRAINING: Final[Work[TrainingJob, Outcome]] = Work(
    name="training",
    module=MODULE,
    seconds=lambda job: job.budget.seconds,
    write=write_job,
    read=_read,
    failed=TrainingFailed,
    late=TrainingFailed,
)
