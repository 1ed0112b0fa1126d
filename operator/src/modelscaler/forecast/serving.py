"""All series of a cohort in one tick: those that are new are warmed, the others go on, and all are forecast."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np

from modelscaler.domain import QuantileForecast, WorkloadKey
from modelscaler.forecast import seeding
from modelscaler.forecast.abreast import WORKERS, Abreast
from modelscaler.forecast.assembling import Asked, forecasts, shares_at
from modelscaler.forecast.batch import answer, failing, settle, settled
from modelscaler.forecast.cohort import Chosen, Cohort
from modelscaler.forecast.fleet import chunks, cold_rows
from modelscaler.forecast.grove import Grove
from modelscaler.forecast.health import Learning, Standing, judged, note_standing, standings
from modelscaler.forecast.network import Network
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.pipeline import LEARNED, rungs_to
from modelscaler.forecast.store import LoadStore, complete_cell

WARMED_ROWS: Final = 16  # a day is replayed of each: 30 MB at once
CHUNK_ROWS: Final = 500  # about 15 MB at once, of which two
LEAST_CHUNK_ROWS: Final = 64  # fewer are not worth another turn


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick: the time, the readings so far, the networks and trees that there are, and when a series is stale, in steps.

    `abreast` works on several chunks at once, `learning` says where the networks stand.
    """

    now: datetime
    store: LoadStore
    networks: Mapping[str, Network]
    grove: Grove
    stale_after_steps: int
    abreast: Abreast
    learning: Learning

    def said_of(self, standing: Standing) -> str:
        """Return why a forecast is whose it is."""
        return judged(standing, self.learning)[2]

    @property
    def complete(self) -> int:
        """The newest cell that can get no further reading, as far as any was read."""
        return min(complete_cell(self.now, self.store.step_seconds), self.store.last)

    def waited(self, origin: int) -> int:
        """Return how many whole steps have passed since a cell."""
        return max(complete_cell(self.now, self.store.step_seconds) - origin, 0)


@dataclass(frozen=True, slots=True)
class Warming:
    """How many series are warmed in a tick: `at_once`, and as many again and again as there is time for `until` then.

    `clock` tells seconds and never goes back.
    """

    at_once: int
    until: float
    clock: Callable[[], float]

    def goes_on(self, began: float, rounds: int) -> bool:
        """Tell whether another round is likely to end in time, after so many since it began; the first is always made."""
        now = self.clock()
        return rounds == 0 or now + (now - began) / rounds <= self.until


def serve(cohort: Cohort, tick: Tick) -> dict[WorkloadKey, QuantileForecast]:
    """Advance a cohort to now and forecast it; series of which nothing is known that is new enough are left out."""
    tick.store.settle()
    parts = tick.abreast.each(
        partial(_chunk, cohort, tick), list(chunks(len(cohort.keys), chunk_rows(len(cohort.keys))))
    )
    settled(cohort, tick.complete)
    for waiting in cohort.waiting:
        if waiting.wants(tick.store.last):
            waiting.kept(tick.store.last)
    return {key: forecast for part in parts for key, forecast in part.items()}


def chunk_rows(rows: int) -> int:
    """Return how many rows are worked on at once, so that all workers have as many."""
    rounds = max(-(-rows // (WORKERS * CHUNK_ROWS)), 1)
    return max(-(-rows // (WORKERS * rounds)), LEAST_CHUNK_ROWS)


def warm(cohort: Cohort, tick: Tick, warming: Warming) -> None:
    """Give series that are new the state that follows from their history, as many as there is time for."""
    if cohort.burst_cell < 0:
        seeding.begin(cohort, tick.complete)
    tick.store.settle()
    began, rounds = warming.clock(), 0
    while warming.goes_on(began, rounds):
        cold = cold_rows(cohort, warming.at_once, WARMED_ROWS)
        if not cold:
            return
        tick.abreast.each(
            lambda rows: seeding.warm(cohort, tick.store, rows, tick.complete, tick.networks, tick.grove), cold
        )
        rounds += 1


def _chunk(cohort: Cohort, tick: Tick, rows: slice) -> dict[WorkloadKey, QuantileForecast]:
    panel = settle(cohort, tick.store, rows, tick.complete)
    newest, last = tick.store.newest(cohort.table["slot"][rows]), tick.store.last
    served = _from(cohort, tick, rows, panel, last) if (newest == last).any() else {}
    for origin in np.unique(newest[(newest >= 0) & (newest != last)]):
        if tick.waited(int(origin)) <= tick.stale_after_steps:
            late = rows.start + np.flatnonzero(newest == origin)
            behind = cohort.with_bursts(cohort.glance(tick.store, late), late)
            served |= _from(cohort, tick, late, behind, int(origin))
    return served


def _from(cohort: Cohort, tick: Tick, rows: Chosen, panel: Panel, origin: int) -> dict[WorkloadKey, QuantileForecast]:
    """Forecast those of a chunk of rows whose newest known value is at a cell."""
    newest, waited = tick.store.newest(cohort.table["slot"][rows]), tick.waited(origin)
    steps = cohort.table["steps"][rows]
    rungs = [rung for rung in rungs_to(waited + int(steps.max())) if rung <= cohort.rungs[-1]]
    found = answer(cohort, panel, rows, origin, newest, len(rungs), tick.networks, tick.grove)
    there = np.flatnonzero(newest == origin)
    chosen, found = np.arange(len(cohort.keys))[rows][there], found.of(there)
    failed = failing(cohort.online(chosen), len(rungs), found.able, cohort.table["failing"][chosen])
    learned = shares_at(found.shares, rungs, waited + steps[there])[:, : len(LEARNED)].sum(axis=1)
    note_standing(cohort, chosen, learned, found.able, failed)
    notes = [tick.said_of(standing) for standing in standings(cohort, chosen)]
    made = forecasts(Asked(tick.now, tick.store.step_seconds, waited, steps[there]), found, rungs, notes)
    return {cohort.keys[number]: forecast for number, forecast in zip(chosen.tolist(), made, strict=True)}
