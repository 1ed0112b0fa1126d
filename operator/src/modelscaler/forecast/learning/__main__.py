"""Trains once, in a process of its own: reads a job from a folder, writes what came of it there."""

import sys
from pathlib import Path
from typing import Final

from modelscaler.background import begin, bound_memory, is_out_of_memory
from modelscaler.forecast.jobs import Outcome, TrainingFailed, TrainingRefused, read_job, write_outcome

NICENESS: Final = 5  # behind the loop, yet not starved by busy servers next to it


def main(folder: Path, parent_pid: int) -> None:
    """Train, and write an outcome whatever happens."""
    begin(parent_pid, NICENESS)
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
    bound_memory(job.budget.memory_bytes)
    try:
        return train(job, Workplace(folder, lambda text: print(text, flush=True)))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return TrainingFailed(
            f"it needs more than its {job.budget.memory_bytes / 2**20:.0f} MiB; lower the rows or raise the budget"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
