"""Where the time of a tick goes, measured part by part on one core."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from modelscaler.forecast.abreast import one_thread_each
from modelscaler.forecast.assembling import Asked, forecasts
from modelscaler.forecast.batch import answer
from modelscaler.forecast.cohort import Cohort
from modelscaler.forecast.fleet import Fleet, chunks
from modelscaler.forecast.grove import Grove
from modelscaler.forecast.network import Network
from modelscaler.forecast.serving import chunk_rows
from modelscaler_benchmarks.forecast_cost.fleet import START, STEP_SECONDS, Measured

PARTS = ("history, rules, features, mix", "networks", "forecasts")


def by_part(measured: Measured) -> dict[str, float]:
    """Return the seconds of each part for the whole fleet; nothing is learned or kept."""
    fleet, networks = measured.forecasting.fleet, measured.networks
    (cohort,) = fleet.in_use()
    seconds = dict.fromkeys(PARTS, 0.0)
    with one_thread_each():
        for rows in chunks(len(cohort.keys), chunk_rows(len(cohort.keys))):
            for name, took in _chunk(fleet, cohort, rows, networks).items():
                seconds[name] += took
    return seconds


def _chunk(fleet: Fleet, cohort: Cohort, rows: slice, networks: Mapping[str, Network]) -> dict[str, float]:
    steps = cohort.table["steps"][rows]
    unexplained = [""] * len(steps)
    nobody = np.full(len(steps), -1)  # whose newest reading is at the origin: then nothing is kept

    def told(known: Mapping[str, Network]) -> Callable[[], Any]:
        panel = cohort.with_bursts(cohort.panel(fleet.store, rows), rows)
        return lambda: answer(cohort, panel, rows, fleet.store.last, nobody, len(cohort.rungs), known, Grove())

    ruled, _ = _timed(told({}))
    both, found = _timed(told(networks))
    made, _ = _timed(lambda: forecasts(Asked(START, STEP_SECONDS, 0, steps), found, cohort.rungs, unexplained))
    return dict(zip(PARTS, (ruled, both - ruled, made), strict=True))


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found
