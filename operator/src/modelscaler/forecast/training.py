"""Training in a process of its own: the loop never waits for it, and it never outlives the operator."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final, Protocol, TypeAlias

import numpy as np

from modelscaler.domain import WorkloadKey
from modelscaler.forecast.fitting import TrainingBudget, TrainingRefused, train
from modelscaler.forecast.learned import LearnedModel
from modelscaler.forecast.rows import TrainingWindow

PR_SET_PDEATHSIG: Final = 1
NICENESS = 5  # behind the loop, yet not starved by busy servers next to it
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training: the series, the time after which nothing is looked at, the seed and the bounds."""

    windows: Mapping[WorkloadKey, TrainingWindow]
    now: datetime
    seed: int
    budget: TrainingBudget


@dataclass(frozen=True, slots=True)
class TrainingFailed:
    """Training ended without an answer, and why."""

    reason: str


Outcome: TypeAlias = LearnedModel | TrainingRefused | TrainingFailed


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


class ProcessTrainer:
    """Trains in a child process, one per training, so that its memory goes back afterwards.

    A thread of ours feeds the child and waits for it. Only our own child can write to the pipe that the model comes back on.
    """

    def __init__(self, limit_seconds: float) -> None:
        """Start nothing yet. A training that takes longer than `limit_seconds` is ended and counts as failed."""
        self._limit_seconds = limit_seconds
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._child: BaseProcess | None = None
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
            self._outcome = self._in_child(job)
        except (EOFError, OSError) as error:
            self._outcome = TrainingFailed(f"the training process ended early: {type(error).__name__}")

    def _in_child(self, job: TrainingJob) -> Outcome:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        child = context.Process(target=child_main, args=(theirs, os.getpid()), name="modelscaler-training", daemon=True)
        with self._lock:
            if self._closed:
                return TrainingFailed("the operator is stopping")
            child.start()
            self._child = child
        try:
            theirs.close()
            ours.send(job)
            if not ours.poll(self._limit_seconds):
                return TrainingFailed(f"training took longer than {self._limit_seconds:g} s")
            outcome: Outcome = ours.recv()
            return outcome
        finally:
            self._end(child)
            ours.close()

    def _end(self, child: BaseProcess) -> None:
        with self._lock:
            child.kill()  # it has answered, hangs or is gone
            child.join()
            self._child = None


def child_main(pipe: Connection, parent_pid: int) -> None:
    """Train once, in the child: read a job from the pipe, answer with its outcome."""
    _die_with(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the operator, which ends its child
    os.nice(NICENESS)
    pipe.send(run_job(pipe.recv()))
    pipe.close()


def run_job(job: TrainingJob) -> Outcome:
    """Train; an error becomes an outcome, because nobody reads the child's output."""
    try:
        return train(job.windows, job.now, np.random.default_rng(job.seed), job.budget)
    except Exception as error:
        return TrainingFailed(f"{type(error).__name__}: {error}")


def _die_with(parent_pid: int) -> None:
    """Ask the kernel to end this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)  # the parent ended before we asked
