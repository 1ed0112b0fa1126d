"""The same load in the replay: the same ModelDeployment, its measured speeds and starts, the same past. Deterministic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from modelscaler.capacity.refine import sped_up
from modelscaler.domain import Floats, PoolKey, Workload
from modelscaler.forecast.network import Network
from modelscaler.replay.case import Case, Cluster
from modelscaler.replay.foresight import HISTORY_STEP_SECONDS, Foresight, History, foresee
from modelscaler.replay.load import SLOT_SECONDS, Load
from modelscaler.replay.policies.ours import LEAD_SECONDS, TICK_SECONDS, Modelscaler
from modelscaler.replay.run import replay
from modelscaler_benchmarks.replay_live.curve import STEP_SECONDS, Curve, curve_of
from modelscaler_benchmarks.replay_live.shape import PAST_STEP_SECONDS, counted, recorded_rps

SEEDS: Final = 5
"""Of start times, for each place of the ticks."""


@dataclass(frozen=True, slots=True)
class Lived:
    """What a replay needs to know of the live run.

    Attributes:
        workload: Of the ModelDeployment, with the speeds that were measured.
        pool: What served.
        arrivals_seconds: When requests came, in seconds from the load's beginning, ascending.
        began: The load's beginning, UTC.
        lead_seconds: Of it, before the comparison begins.
        total_seconds: Of it, in all.
        past: Counts of earlier load in steps of PAST_STEP_SECONDS, as they were put into the metrics.
        past_ended: When those ended, UTC.
        start_seconds: How long each replica took to start.
        first_replicas: That served when the load began.
        scrape_seconds: Between scrapes.
    """

    workload: Workload
    pool: PoolKey
    arrivals_seconds: Floats
    began: datetime
    lead_seconds: float
    total_seconds: float
    past: Floats
    past_ended: datetime
    start_seconds: tuple[float, ...]
    first_replicas: int
    scrape_seconds: float


def replayed(run: Lived, network: Network | None, seeds: int = SEEDS, speed: float = 1.0) -> list[Curve]:
    """Replay a live run, under several seeds and with the ticks at every place that steps allow.

    Where the operator's ticks fall is nobody's choice, and a tick earlier or later moves every start.

    Args:
        run: What was lived.
        network: The one that ships with the operator.
        seeds: Of start times, for each place of the ticks.
        speed: Of the pods, in multiples of the measured one, which is what the planner knows.
    """
    places = np.arange(0.0, TICK_SECONDS, STEP_SECONDS)
    return [curve for late in places for curve in _replayed(run, network, seeds, speed, float(late))]


def _replayed(run: Lived, network: Network | None, seeds: int, speed: float, late_seconds: float) -> list[Curve]:
    """Replay from a little after the load began, so that ticks fall so much later."""
    load = _load(run, late_seconds)
    history = history_of(run, load)
    workload = _as_measured(run)
    horizon_seconds = workload.placement(run.pool.placement).start_seconds + LEAD_SECONDS + HISTORY_STEP_SECONDS
    foresight: Foresight = foresee(history, horizon_seconds, network)
    cluster = Cluster(lag_seconds=run.scrape_seconds, start_spread=spread_of(run.start_seconds))
    kind = Modelscaler(foresight, load.start, workload.policy, run.scrape_seconds)
    real = replace(workload, capacities=tuple(sped_up(capacity, speed) for capacity in workload.capacities))
    cases = [
        Case(real, run.pool, load, cluster, seed, told=workload, saved_seconds=0.0)  # its servers had just started
        for seed in range(seeds)
    ]
    return [curve_of(replay(case, kind, run.first_replicas), run.lead_seconds - late_seconds) for case in cases]


def spread_of(start_seconds: Sequence[float]) -> float:
    """Return by what share of the mean starts vary, either way, if they vary evenly."""
    starts = np.asarray(start_seconds)
    return float(min(np.sqrt(3.0) * starts.std() / starts.mean(), 0.9))


def history_of(run: Lived, load: Load) -> History:
    """Return the load as the metrics have it: what was put there, nothing while all was set up, the load."""
    silent = (run.began - run.past_ended).total_seconds()
    nothing = np.full(max(round(silent / PAST_STEP_SECONDS), 0), np.nan)
    ahead = (load.start - run.began).total_seconds()
    begun = counted(run.arrivals_seconds, ahead % PAST_STEP_SECONDS, ahead, PAST_STEP_SECONDS)
    before = recorded_rps((run.past, nothing, begun), PAST_STEP_SECONDS, HISTORY_STEP_SECONDS)
    return History(
        start=load.start - timedelta(seconds=len(before) * HISTORY_STEP_SECONDS),
        step_seconds=HISTORY_STEP_SECONDS,
        rps=np.concatenate([before, load.measured_rps(HISTORY_STEP_SECONDS)]),
        first=len(before),
    )


def _load(run: Lived, from_seconds: float) -> Load:
    counts = counted(run.arrivals_seconds, from_seconds, run.total_seconds, SLOT_SECONDS).astype(np.int64)
    lead = counted(run.arrivals_seconds, 0.0, run.lead_seconds, run.lead_seconds)[0] / run.lead_seconds
    start = run.began.astimezone(UTC) + timedelta(seconds=from_seconds)
    return Load("live", start, SLOT_SECONDS, counts, np.full(len(counts), lead))


def _as_measured(run: Lived) -> Workload:
    """Return the workload with the start that was measured."""
    starts = float(np.mean(run.start_seconds))
    return replace(run.workload, placements=tuple(replace(p, start_seconds=starts) for p in run.workload.placements))
