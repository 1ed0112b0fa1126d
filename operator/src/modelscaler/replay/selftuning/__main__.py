"""Tunes once, in a process of its own: reads a job from a folder, writes what came of it there."""

import sys
import time
from pathlib import Path
from typing import Final

from modelscaler.background import begin, bound_memory, is_out_of_memory
from modelscaler.backtest.champion import learner_from
from modelscaler.forecast.networks import shipped_network
from modelscaler.replay.load import Arrivals
from modelscaler.replay.selftuning.jobs import Outcome, TuningFailed, TuningJob, read_job, write_outcome
from modelscaler.replay.selftuning.parts import trace_of
from modelscaler.replay.selftuning.recommend import recommend

NICENESS: Final = 10  # behind the loop and behind training
OWN_SHARE: Final = 0.9
"""Of the time: the rest is for the last replay to end in, before the process is killed."""


def main(folder: Path, parent_pid: int) -> None:
    """Tune, and write an outcome whatever happens."""
    started_at = time.monotonic()
    begin(parent_pid, NICENESS)
    try:
        write_outcome(_tuned(read_job(folder), started_at), folder)
    except Exception as error:
        write_outcome(TuningFailed(f"{type(error).__name__}: {error}"), folder)


def _tuned(job: TuningJob, started_at: float) -> Outcome:
    shipped, workload = shipped_network(), job.workload
    learner = learner_from(shipped) if job.learned else None
    bound_memory(job.budget.memory_bytes)
    ends_at = started_at + OWN_SHARE * job.budget.seconds
    try:
        return recommend(
            workload,
            trace_of(workload.key.name, job.history),
            Arrivals(job.seed),
            shipped,
            learner,
            lambda: ends_at - time.monotonic(),
        )
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return TuningFailed(f"it needs more than its {job.budget.memory_bytes / 2**20:.0f} MiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
