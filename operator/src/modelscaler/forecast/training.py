"""Training in a process of its own: the loop never waits for it, and it never outlives the operator."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

from modelscaler.forecast.jobs import (
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

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 5.0
COMPLAINT_CHARACTERS: Final = 300
MODULE: Final = "modelscaler.forecast.learning"
KEPT: Final = "training"
COMPLAINTS: Final = "complaints.txt"
ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Trainer(Protocol):
    """Runs one training at a time without blocking its caller."""

    @property
    def busy(self) -> bool:
        """Whether a training runs or its outcome has not been fetched."""
        ...

    def submit(self, job: TrainingJob) -> None:
        """Start a training; the caller has checked that none is under way."""
        ...

    def poll(self) -> Outcome | None:
        """Return the outcome of the training that ended, once; None when there is none."""
        ...

    def close(self) -> None:
        """End what runs."""
        ...


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


class ProcessTrainer:
    """Trains in a child process, one per training, so that its memory goes back afterwards.

    A thread of ours writes the job, starts the child and waits for it. Job and outcome are files in a folder that only we
    can read.
    """

    def __init__(self, state: Path | None = None) -> None:
        """Start nothing yet.

        Args:
            state: The folder in which jobs are kept, so that a training that was ended goes on from its last epoch when it is
                submitted anew. None: in a temporary folder, and it begins anew.
        """
        self._kept = state / KEPT if state is not None else None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[str] | None = None
        self._outcome: Outcome | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a training runs or its outcome has not been fetched."""
        return self._thread is not None

    @property
    def child_pid(self) -> int | None:
        """Process number of the child that trains; None when none does."""
        child = self._child
        return child.pid if child is not None else None

    def submit(self, job: TrainingJob) -> None:
        """Start a child for a training. Raises RuntimeError while another one is under way."""
        if self.busy or self._closed:
            raise RuntimeError("a training is under way or the trainer is closed: fetch the outcome with poll() first")
        # The thread must outlive the child: the kernel ends a child when the *thread* that made it ends.
        self._thread = threading.Thread(target=self._run, args=(job,), name="forecast-training", daemon=True)
        self._thread.start()

    def poll(self) -> Outcome | None:
        """Return the outcome of the training that ended, once; None when there is none."""
        if self._thread is None or self._thread.is_alive():
            return None
        outcome, self._outcome, self._thread = self._outcome, None, None
        return outcome

    def close(self) -> None:
        """End the child, if one runs, and take no more work."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.kill()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self, job: TrainingJob) -> None:
        try:
            with ExitStack() as stack:
                folder = self._kept or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelscaler-")))
                write_job(job, folder)
                self._outcome = self._in_child(job, folder)
        except Exception as error:  # nobody else hears of what happens in this thread
            self._outcome = TrainingFailed(f"the training could not be started: {type(error).__name__}: {error}")

    def _in_child(self, job: TrainingJob, folder: Path) -> Outcome:
        with (folder / COMPLAINTS).open("w+") as complaints:
            child = self._started(folder, complaints.fileno())
            if child is None:
                return TrainingFailed("the operator is stopping")
            late = threading.Timer(job.budget.seconds, child.kill)
            late.start()
            try:
                for line in child.stdout or ():
                    log.info("training: %s", line.rstrip())
                status = child.wait()
            finally:
                timed_out = not late.is_alive()
                late.cancel()
                self._end(child)
            if status == 0:
                start = job.start or job.pretrained
                return read_outcome(folder, start.features if start else None)
            if timed_out:
                return TrainingFailed(f"training took longer than {job.budget.seconds:g} s")
            complaints.seek(0)
            return TrainingFailed(_ending(status, complaints.read()))

    def _started(self, folder: Path, complaints: int) -> "subprocess.Popen[str] | None":
        command = [sys.executable, "-m", MODULE, str(folder), str(os.getpid())]
        with self._lock:
            if self._closed:
                return None
            self._child = subprocess.Popen(
                command,
                env={**os.environ, **ONE_THREAD},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )
            return self._child

    def _end(self, child: "subprocess.Popen[str]") -> None:
        with self._lock:
            child.kill()  # it has answered, hangs or is gone
            child.wait()
            if child.stdout:
                child.stdout.close()
            self._child = None


def _ending(status: int, complaints: str) -> str:
    """Say how a child ended that gave no answer."""
    last = complaints.strip().rpartition("\n")[2][-COMPLAINT_CHARACTERS:]
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    return f"the training process ended {how}" + (f": {last}" if last else "")
