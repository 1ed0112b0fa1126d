"""One chunk of a cohort in one tick: judge what fell due, learn from it, forecast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelscaler.forecast.anchor import judged
from modelscaler.forecast.base import PEAK, QUANTILES
from modelscaler.forecast.cohort import RECENT_OUTCOMES, Chosen, Cohort, bursts_of
from modelscaler.forecast.conformal import UPPER
from modelscaler.forecast.frames import BURST_LEVEL_SECONDS, BURSTS
from modelscaler.forecast.grove import Grove
from modelscaler.forecast.mixing import FAST_TOLERANCE, mixed
from modelscaler.forecast.network import Network
from modelscaler.forecast.online import Online
from modelscaler.forecast.panel import Begun, Flags, Floats32, Ints, Panel
from modelscaler.forecast.pipeline import LEARNED, able, said
from modelscaler.forecast.rules import DAY_SECONDS
from modelscaler.forecast.store import LoadStore

MOST_JUDGEMENTS: Final = 6  # of one horizon in one tick: after a long interruption the older ones are passed over
MOST_BURST_CELLS: Final = 64
NINETY: Final = QUANTILES.index(0.9)
# A network has failed when its losses over the last few outcomes are so many times those of the best member that its weight is
# gone, and this large in units of the typical error: where nothing moves, the best is perfect and a network is not.
FAILING_RATIO: Final = 1.15 * FAST_TOLERANCE
FAILING_LOSS: Final = 3.0
RECOVERED_SHARE: Final = (
    0.7  # of both, below which a network that had failed has not any more: or it would flip at the edge
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What is served for rows from one origin: `quantiles` (horizons, 2, B, Q) in rps at the cohort's first horizons.

    `shares` (horizons, B, members) says how much of the upper quantiles of the peak is whose; `able` (B,) whether networks
    can tell. `usual` (B,) is the mean of the last day in rps, NaN where nothing of it is known.
    """

    quantiles: Floats32
    shares: Floats32
    able: Flags
    usual: Floats32

    def of(self, rows: NDArray[np.intp]) -> "Answers":
        """Return the answers for some of the rows."""
        return Answers(self.quantiles[:, :, rows], self.shares[:, rows], self.able[rows], self.usual[rows])


def newest_judgement(cohort: Cohort, rung: int, complete: int) -> int:
    """Return the newest cell at which a horizon is judged; horizons take turns, so that no tick has to judge all."""
    return complete - (complete + rung) % cohort.stride


def due_judgements(cohort: Cohort, rung: int, complete: int) -> list[int]:
    """Return the cells at which a horizon is to be judged."""
    newest = newest_judgement(cohort, rung, complete)
    return list(range(cohort.judged_cells[rung] + cohort.stride, newest + 1, cohort.stride))[-MOST_JUDGEMENTS:]


def settle(cohort: Cohort, store: LoadStore, rows: slice, complete: int) -> Panel:
    """Judge and learn what a chunk of rows can since the last tick, and return its history."""
    panel = cohort.glance(store, rows)
    for rung in range(len(cohort.rungs)):
        _judge(cohort, panel, rows, rung, complete)
        _learn(cohort, panel, rows, rung, complete)
    return _burst(cohort, panel, rows, complete)


def settled(cohort: Cohort, complete: int) -> None:
    """Note that all rows are settled."""
    for rung, waiting in enumerate(cohort.waiting):
        due = due_judgements(cohort, rung, complete)
        cohort.judged_cells[rung] = max([cohort.judged_cells[rung], *due])
        waiting.drop(cohort.table, waiting.due(complete))
    cohort.burst_cell = max(cohort.burst_cell, complete)


def answer(
    cohort: Cohort,
    panel: Panel,
    rows: Chosen,
    origin: int,
    newest: Ints,
    rungs: int,
    networks: Mapping[str, Network],
    grove: Grove,
) -> Answers:
    """Forecast rows from a cell at the first horizons.

    Args:
        cohort: The state.
        panel: The rows' history.
        rows: Which rows.
        origin: The cell that is forecast from.
        newest: The newest known cell of each row, (B,). What is said of those rows that are known at the origin is kept until
            it comes, if `rows` is a slice.
        rungs: How many horizons.
        networks: Those of `NETWORKS` that there are.
        grove: The trees that series have of their own.
    """
    online, calendar = cohort.online(rows), cohort.calendar(rows)
    columns = np.array([origin - panel.first_cell])
    silent = ~cohort.table["learned"][rows]
    fresh = newest == origin
    quantiles, shares, can = [], [], np.zeros(panel.series, dtype=np.bool_)
    for rung, ahead in enumerate(cohort.rungs[:rungs]):
        record, own = cohort.record(rung, rows, panel), cohort.own(grove, rows, rung)
        heard = said(panel, columns, ahead, record, calendar, networks, own)
        members, scale = heard.quantiles[:, :, :, 0], heard.scale[:, :, 0]
        members[: len(LEARNED), :, silent] = np.nan
        who = able(members)
        weights = online.mixture.weights(rung, who)
        served = online.calibration.apply(rung, mixed(members, weights), scale)
        if isinstance(rows, slice) and cohort.waiting[rung].wants(origin):
            kept = np.where(fresh[:, None], served, np.nan)
            cohort.waiting[rung].keep(cohort.table, rows, origin, _where(members, fresh), kept, scale)
        quantiles.append(served)
        shares.append(weights[:, :, PEAK, UPPER].mean(axis=-1))
        can |= who[:, : len(LEARNED)].any(axis=1)
    usual = panel.mean(columns, 0, panel.steps(DAY_SECONDS))[:, 0]
    return Answers(np.stack(quantiles), np.stack(shares), can, usual)


def failing(online: Online, rungs: int, can: Flags, before: Flags) -> Flags:
    """Return whether the networks have failed lately at any of the first horizons, shape (B,).

    `can` and `before` (B,) say whether networks can tell and whether they had failed at the last tick.
    """
    mixture, count = online.mixture, len(LEARNED)
    judged_often = mixture.counts[:, :rungs] >= RECENT_OUTCOMES // 4
    losses = np.where(judged_often[..., None], mixture.fast[:, :rungs], np.inf)  # (B, R, M, 2)
    best = losses.min(axis=2)
    network = losses[:, :, :count].min(axis=2)
    strict = np.where(before, RECOVERED_SHARE, 1.0)[:, None, None]
    bad = np.isfinite(network) & (network > strict * FAILING_RATIO * best) & (network > strict * FAILING_LOSS)
    return np.asarray(bad.any(axis=(1, 2)) & can)


def actual(panel: Panel, column: int, ahead: int) -> Floats32:
    """Return what came at a column and the maximum on the way there, shape (2, B); NaN where unknown."""
    at: Ints = np.array([column])
    return np.stack([panel.value(at, 0), panel.peak(at, 0, ahead)])[:, :, 0]


def _judge(cohort: Cohort, panel: Panel, rows: slice, rung: int, complete: int) -> None:
    due = due_judgements(cohort, rung, complete)
    if not due:
        return
    record = cohort.record(rung, rows, panel)
    for cell in due:
        record = judged(panel, cohort.rungs[rung], np.array([cell - panel.first_cell]), record)
    cohort.keep_record(rung, rows, record)


def _learn(cohort: Cohort, panel: Panel, rows: slice, rung: int, complete: int) -> None:
    waiting = cohort.waiting[rung]
    online = cohort.online(rows, waiting.every)
    for origin in waiting.due(complete):
        column = origin - panel.first_cell + waiting.ahead
        if column < waiting.ahead:
            continue
        members, served, scale = waiting.said(cohort.table, rows, origin)
        came = actual(panel, column, waiting.ahead)
        online.learn(rung, came, members, served, scale)
        _watch(cohort.table["recent"][rows, rung], came, served)


def _watch(recent: Floats32, came: Floats32, served: Floats32) -> None:
    """Follow the coverage of the 0.9 quantile of the peak over few outcomes, in place."""
    known = np.isfinite(came[PEAK]) & np.isfinite(served[PEAK, :, NINETY])
    covered = came[PEAK] <= served[PEAK, :, NINETY]
    recent += np.where(known, covered - recent, 0.0) / RECENT_OUTCOMES


def _burst(cohort: Cohort, panel: Panel, rows: slice, complete: int) -> Panel:
    known = cohort.with_bursts(panel, rows)
    if complete - cohort.burst_cell > MOST_BURST_CELLS:
        found: Mapping[float, Begun] = bursts_of(panel, min(complete, panel.first_cell + panel.columns - 1))
        cohort.keep_bursts(rows, found)
    elif complete > cohort.burst_cell:
        for times in BURSTS:
            known.begun[times].advance(panel, complete, times, BURST_LEVEL_SECONDS)
        cohort.keep_bursts(rows, known.begun)
    return cohort.with_bursts(panel, rows)


def _where(members: Floats32, fresh: Flags) -> Floats32:
    return members if fresh.all() else np.where(fresh[:, None], members, np.float32(np.nan))
