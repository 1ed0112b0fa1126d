"""Run a comparison's many replays, in processes beside each other. Deterministic, whatever the number of processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from typing import Final, TypeAlias

from modelscaler.backtest.method import Progress
from modelscaler.replay.case import Case
from modelscaler.replay.comparison import (
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
from modelscaler.replay.tuning import goal_of

CHUNK: Final = 2

RunAll: TypeAlias = Callable[[Callable[[Job], Ran], list[Job]], Iterable[Ran]]
"""Like `map`: runs every job, in order."""


def compare(setting: Setting, grids: Grids, progress: Progress, processes: int | None = None) -> Comparison:
    """Run a comparison.

    Args:
        setting: What is compared.
        grids: The settings to try of every policy.
        progress: Is told how far it has come.
        processes: How many run beside each other; None: one per processor.
    """
    count = processes or len(os.sched_getaffinity(0))
    if count == 1:
        _remember(setting, grids)
        return _compared(setting, grids, progress, map)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_remember, initargs=(setting, grids)) as pool:
        return _compared(setting, grids, progress, partial(pool.map, chunksize=CHUNK))


def _compared(setting: Setting, grids: Grids, progress: Progress, run_all: RunAll) -> Comparison:
    what = f"{setting.trace.name}, {setting.start_seconds:g} s to start"
    units: dict[PartName, float] = {"tuning": unit_of(setting, "tuning"), "test": unit_of(setting, "test")}
    tried = _told(run_all(_run, jobs := first_jobs(grids)), progress, f"{what}: settings", len(jobs))
    found = choices(tried, goal_of(setting.workload.objective))
    further = list(dict.fromkeys(job for choice in found for job in choice.jobs(setting.seeds) if job.number))
    more = _told(run_all(_run, further), progress, f"{what}: seeds", len(further))
    return Comparison(setting, grids, units, tuple(tried), judged(found, [*tried, *more], grids, units["test"]))


def timeline_of(setting: Setting, grids: Grids, job: Job) -> Timeline:
    """Run one job again and return all that happened."""
    return _replayed(setting.case(job.part, job.number), grids, job)


def _replayed(case: Case, grids: Grids, job: Job) -> Timeline:
    return replay(case, grids[job.part][job.policy][job.place], first_replicas(case))


def _told(runs: Iterable[Ran], progress: Progress, what: str, count: int) -> list[Ran]:
    """Wait for runs, and tell how many there are."""
    found = []
    for ran in runs:
        found.append(ran)
        progress(what, len(found), count)
    return found


_shared: list[tuple[Setting, Grids]] = []
"""What a process of the pool was told when it began."""


def _remember(setting: Setting, grids: Grids) -> None:
    _shared[:] = [(setting, grids)]
    _case.cache_clear()


@lru_cache(maxsize=4)
def _case(part: PartName, number: int) -> Case:
    return _shared[0][0].case(part, number)


def _run(job: Job) -> Ran:
    timeline = _replayed(_case(job.part, job.number), _shared[0][1], job)
    return Ran(job, outcome_of(timeline))
