"""Trains once, in a process of its own: reads a job from a folder, writes what came of it there."""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

from modelscaler.forecast.jobs import Outcome, TrainingFailed, TrainingRefused, read_job, write_outcome

PR_SET_PDEATHSIG: Final = 1
NICENESS: Final = 5  # behind the loop, yet not starved by busy servers next to it


def main(folder: Path, parent_pid: int) -> None:
    """Train, and write an outcome whatever happens."""
    _die_with(parent_pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the operator, which ends its child
    os.nice(NICENESS)
    try:
        write_outcome(_train(folder), folder)
    except Exception as error:
        write_outcome(TrainingFailed(f"{type(error).__name__}: {error}"), folder)


def _train(folder: Path) -> Outcome:
    try:
        from modelscaler.forecast.learning.retuning import Workplace, train  # noqa: PLC0415
    except ModuleNotFoundError as error:
        return TrainingRefused(f"{error}: training needs torch; install modelscaler[learning]")
    job = read_job(folder)
    _bound_memory(job.budget.memory_bytes)
    try:
        return train(job, Workplace(folder, lambda text: print(text, flush=True)))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):  # which is how torch says it
            raise
        return TrainingFailed(
            f"it needs more than its {job.budget.memory_bytes / 2**20:.0f} MiB; lower the rows or raise the budget"
        )


def _bound_memory(more_bytes: int) -> None:
    """Let this process have so much more than its libraries already take."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        limit = pages * resource.getpagesize() + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _die_with(parent_pid: int) -> None:
    """Ask the kernel to end this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)  # the parent ended before we asked


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
