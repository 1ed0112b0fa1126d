"""Which windows of the fleet's metrics speak of one loaded replica. Pure.

Rates and latencies are means over the last minutes, of all of a ModelDeployment's replicas together. They say something of one
replica only where nothing else changed meanwhile: the same replicas were ready all the time and nothing came or went, one
pool served, and its own variant answered.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelscaler.capacity.refine import LoadedWindow
from modelscaler.domain import Observation, PolicyState, PoolKey, Value, known

MOST_BY_OTHERS = 0.01
"""Share of answers by other variants up to which a window speaks of the planned one."""
SETTLING = 1.25
"""Replicas must have been the same for so many windows: a scrape and a tick lie between what happens and what is read."""


@dataclass(frozen=True, slots=True)
class Steady:
    """So many replicas of a pool are ready, and nothing else exists or changes, since a time."""

    pool: PoolKey
    ready: int
    since: datetime


def steady(before: Steady | None, seen: Observation, state: PolicyState) -> Steady | None:
    """Return since when the serving pool has been as it is; None when it is changing, or not alone."""
    pool = state.active
    if pool is None or seen.selected != pool or state.switch is not None:
        return None
    found = seen.pool(pool)
    changing = found.starting or found.unschedulable or found.failing or found.terminating
    others = any(p.pool != pool and (p.ready or p.starting or p.terminating) for p in seen.pools)
    if changing or others or not found.ready or found.ready != found.replicas:
        return None
    if before is not None and (before.pool, before.ready) == (pool, found.ready):
        return before
    return Steady(pool, found.ready, seen.now)


def loaded_window(at_rest: Steady, seen: Observation, window_seconds: float) -> LoadedWindow | None:
    """Return the window that ends now; None when it does not speak of one replica.

    More wait than the latency allows for when the queue is longer than the offered load times that latency: by Little's law it
    would be shorter, as most requests are answered sooner.

    Args:
        at_rest: Since when nothing has changed.
        seen: What is seen now.
        window_seconds: Length of the window that rates and latencies are of.
    """
    if seen.now - at_rest.since < timedelta(seconds=SETTLING * window_seconds):
        return None
    if not isinstance(seen.offered, Value) or not isinstance(seen.latency, Value):
        return None
    answered = sum(rate for _, rate in seen.served)
    own = dict(seen.served).get(at_rest.pool.variant, 0.0)
    if own <= 0.0 or own < (1.0 - MOST_BY_OTHERS) * answered:
        return None
    reporting = known(seen.reporting)
    if reporting is not None and reporting < at_rest.ready:
        return None
    rps, queued = seen.offered.value, known(seen.queued)
    return LoadedWindow(
        rps_per_replica=rps / at_rest.ready,
        latency_seconds=seen.latency.value,
        requests=rps * window_seconds,
        queue_grows=(math.inf if queued is None else queued) > rps * seen.latency.value,
    )
