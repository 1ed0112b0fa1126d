"""Run a comparison's many replays, in processes beside each other. Deterministic, whatever the number of processes."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from typing import Final

from modelscaler.backtest.method import Progress
from modelscaler.replay.case import Case
from modelscaler.replay.comparison import (
    WARM_UP_SECONDS,
    Comparison,
    Grids,
    Job,
    PartName,
    Ran,
    Setting,
    choices,
    first_jobs,
    first_replicas,
    judged,
    unit_of,
)
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.run import replay
from modelscaler.replay.timeline import Timeline

CHUNK: Final = 2


def compare(setting: Setting, grids: Grids, progress: Progress, processes: int | None = None) -> Comparison:
    """Run a comparison.

    Args:
        setting: What is compared.
        grids: The settings to try of every policy.
        progress: Is told how far it has come.
        processes: How many run beside each other; None: one per processor.
    """
    what = f"{setting.trace.name}, {setting.start_seconds:g} s to start"
    units: dict[PartName, float] = {"tuning": unit_of(setting, "tuning"), "test": unit_of(setting, "test")}
    with _pool(setting, grids, processes) as pool:
        tried = list(_all(pool, first_jobs(grids), progress, f"{what}: settings"))
        found = choices(tried, setting.workload.objective.min_mean_accuracy)
        further = dict.fromkeys(job for choice in found for job in choice.jobs(setting.seeds) if job.number)
        more = list(_all(pool, list(further), progress, f"{what}: seeds"))
    return Comparison(setting, grids, units, tuple(tried), judged(found, [*tried, *more], grids, units["test"]))


def timeline_of(setting: Setting, grids: Grids, job: Job) -> Timeline:
    """Run one job again and return all that happened."""
    return _replayed(setting.case(job.part, job.number), grids, job)


def _replayed(case: Case, grids: Grids, job: Job) -> Timeline:
    return replay(case, grids[job.part][job.policy][job.place], first_replicas(case))


def _pool(setting: Setting, grids: Grids, processes: int | None) -> ProcessPoolExecutor:
    count = processes or len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_remember, initargs=(setting, grids))


def _all(pool: ProcessPoolExecutor, jobs: Sequence[Job], progress: Progress, what: str) -> Iterator[Ran]:
    for done, ran in enumerate(pool.map(_run, jobs, chunksize=CHUNK)):
        progress(what, done + 1, len(jobs))
        yield ran


_shared: list[tuple[Setting, Grids]] = []
"""What a process of the pool was told when it began."""


def _remember(setting: Setting, grids: Grids) -> None:
    _shared[:] = [(setting, grids)]


@lru_cache(maxsize=4)
def _case(part: PartName, number: int) -> Case:
    return _shared[0][0].case(part, number)


def _run(job: Job) -> Ran:
    timeline = _replayed(_case(job.part, job.number), _shared[0][1], job)
    return Ran(job, outcome_of(timeline, WARM_UP_SECONDS))
