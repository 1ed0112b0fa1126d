"""Fills the cache of slow rivals on all cores."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed

from modelscaler.backtest.cases import Case
from modelscaler.backtest.method import Progress, silent
from modelscaler_benchmarks.forecast.cached import Cached


def warm(methods: Sequence[Cached], cases: Sequence[Case], jobs: int, progress: Progress) -> None:
    """Let every method forecast every case, in `jobs` processes, so that its answers are in the cache."""
    context = multiprocessing.get_context("spawn")  # OpenMP does not survive a fork
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = {
            pool.submit(_answer, method, case): f"{method.name} {case.trace.name}"
            for case in _longest_first(cases)
            for method in methods
        }
        _await(running, progress)


def _await(running: dict[Future[None], str], progress: Progress) -> None:
    for done, future in enumerate(as_completed(running), start=1):
        future.result()
        progress(running[future], done, len(running))


def _longest_first(cases: Sequence[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: -len(case.trace.rps))


def _answer(method: Cached, case: Case) -> None:
    method.forecast([case], silent)
