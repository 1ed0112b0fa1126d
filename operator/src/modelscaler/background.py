"""Work in a process of its own: whoever asks never waits for it, and it never outlives the operator."""

import ctypes
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 5.0
COMPLAINT_CHARACTERS: Final = 300
COMPLAINTS: Final = "complaints.txt"
ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PR_SET_PDEATHSIG: Final = 1

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Job_contra = TypeVar("Job_contra", contravariant=True)
Outcome_co = TypeVar("Outcome_co", covariant=True)


class Worker(Protocol[Job_contra, Outcome_co]):
    """Does one job at a time without blocking its caller."""

    @property
    def busy(self) -> bool:
        """Whether a job runs or its outcome has not been fetched."""
        ...

    def submit(self, job: Job_contra) -> None:
        """Start a job; the caller has checked that none is under way."""
        ...

    def poll(self) -> Outcome_co | None:
        """Return the outcome of the job that ended, once; None when there is none."""
        ...

    def close(self) -> None:
        """End what runs."""
        ...


@dataclass(frozen=True, slots=True)
class Work(Generic[Job, Outcome]):
    """A kind of work, and the files by which a child is told of it and answers.

    Attributes:
        name: For messages and logs, one word.
        module: Runs as `python -m MODULE FOLDER PARENT_PID`; it reads the job from the folder and writes what came of it there.
        seconds: How long a job may take before its child is killed.
        write: Writes a job into a folder, and removes what came of an earlier one.
        read: Reads what came of a job; what cannot be used becomes an outcome that says so.
        failed: Makes the outcome that says why there is none.
        late: Makes the outcome that says that time ran out.
    """

    name: str
    module: str
    seconds: Callable[[Job], float]
    write: Callable[[Job, Path], None]
    read: Callable[[Job, Path], Outcome]
    failed: Callable[[str], Outcome]
    late: Callable[[str], Outcome]


class ChildProcess(Generic[Job, Outcome]):
    """Does one job at a time in a child process, one per job, so that its memory goes back afterwards.

    A thread of ours writes the job, starts the child and waits for it. Job and outcome are files in a folder that only we
    can read.
    """

    def __init__(self, work: Work[Job, Outcome], kept: Path | None = None) -> None:
        """Start nothing yet.

        Args:
            work: What is done.
            kept: The folder for the files. None: a temporary one for each job.
        """
        self._work = work
        self._kept = kept
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[str] | None = None
        self._outcome: Outcome | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job runs or its outcome has not been fetched."""
        return self._thread is not None

    @property
    def child_pid(self) -> int | None:
        """Process number of the child that works; None when none does."""
        child = self._child
        return child.pid if child is not None else None

    def submit(self, job: Job) -> None:
        """Start a child for a job. Raises RuntimeError while another one is under way."""
        if self.busy or self._closed:
            raise RuntimeError(f"{self._work.name} is under way or closed: fetch the outcome with poll() first")
        # The thread must outlive the child: the kernel ends a child when the *thread* that made it ends.
        self._thread = threading.Thread(target=self._run, args=(job,), name=self._work.name, daemon=True)
        self._thread.start()

    def poll(self) -> Outcome | None:
        """Return the outcome of the job that ended, once; None when there is none."""
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

    def _run(self, job: Job) -> None:
        try:
            with ExitStack() as stack:
                folder = self._kept or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelscaler-")))
                self._work.write(job, folder)
                self._outcome = self._in_child(job, folder)
        except Exception as error:  # nobody else hears of what happens in this thread
            self._outcome = self._work.failed(
                f"the {self._work.name} could not be started: {type(error).__name__}: {error}"
            )

    def _in_child(self, job: Job, folder: Path) -> Outcome:
        with (folder / COMPLAINTS).open("w+") as complaints:
            child = self._started(folder, complaints.fileno())
            if child is None:
                return self._work.failed("the operator is stopping")
            late = threading.Timer(self._work.seconds(job), child.kill)
            late.start()
            try:
                for line in child.stdout or ():
                    log.info("%s: %s", self._work.name, line.rstrip())
                status = child.wait()
            finally:
                timed_out = not late.is_alive()
                late.cancel()
                self._end(child)
            if status == 0:
                return self._work.read(job, folder)
            if timed_out:
                return self._work.late(f"{self._work.name} took longer than {self._work.seconds(job):g} s")
            complaints.seek(0)
            return self._work.failed(f"the {self._work.name} process {_ending(status, complaints.read())}")

    def _started(self, folder: Path, complaints: int) -> "subprocess.Popen[str] | None":
        command = [sys.executable, "-m", self._work.module, str(folder), str(os.getpid())]
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
    return f"ended {how}" + (f": {last}" if last else "")


def begin(parent_pid: int, niceness: int) -> None:
    """Make this process a good child: it ends with its parent, leaves Ctrl-C to it, and stands back for others.

    Args:
        parent_pid: Process number of the parent.
        niceness: Is added to the parent's.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)  # the parent ended before we asked
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(niceness)


def bound_memory(more_bytes: int) -> None:
    """Let this process have so much more than its libraries already take."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        limit = pages * resource.getpagesize() + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that the bound was reached; torch raises RuntimeError for it."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)
