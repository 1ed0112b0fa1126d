"""Which windows of the fleet's metrics speak of one loaded replica. Pure.

Rates and latencies are means over the last minutes, of all of a ModelDeployment's replicas together. They say something of one
replica only where nothing else changed meanwhile: the same replicas were ready all the time and nothing came or went, one
pool served, and its own variant answered.

Where a ladder answers for it, the latency says nothing: the servers keep the objective by cheaper answers. But many of those,
at a load that the planned variant is counted on for, show that it does not carry it. What it does carry, C of a load X, follows
from the share of cheaper answers: X - C = share x X x (k - 1) / k, where these are k times as fast (`planner/recourse.py`).

Where requests waited at each replica all through a window, more than it answers within the objective's latency, replicas
had work all the time, and what they answered is what they can do, whoever of the ladder did it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelscaler.capacity.latency import largest_rps
from modelscaler.capacity.refine import LoadedWindow, SaturatedWindow
from modelscaler.domain import Observation, PolicyState, PoolKey, Value, Workload, known

MOST_BY_OTHERS = 0.01
"""Share of answers by other variants up to which a window speaks of the planned one."""
LEAST_BY_LADDER = 0.1
"""Share of cheaper answers from which on the planned variant is taken to have missed the objective: a burst makes fewer of them
in most windows, and one in every window is demand for capacity."""
LADDER_SPEEDUP = 2.0
"""How much faster cheaper answers are taken to be: with it, their share says what the planned variant carried itself."""
FEWEST_WAITING = 3.0
"""With fewer requests in a queue, a replica that is asked for little may have been idle between two scrapes."""
MOST_WAIT_SECONDS = 2.0
"""Work for so long is a queue, however patient the objective is: servers turn requests away before it grows much longer."""
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


def is_settled(at_rest: Steady, now: datetime, window_seconds: float) -> bool:
    """Tell whether nothing has changed for so long that a window that ends now speaks of what there is."""
    return now - at_rest.since >= timedelta(seconds=SETTLING * window_seconds)


def loaded_window(workload: Workload, at_rest: Steady, seen: Observation, window_seconds: float) -> LoadedWindow | None:
    """Return the window that ends now; None when it does not speak of one replica.

    More wait than the latency allows for when the queue is longer than the offered load times that latency: by Little's law it
    would be shorter, as most requests are answered sooner.

    Args:
        workload: Whose replicas.
        at_rest: What there is, settled.
        seen: What is seen now.
        window_seconds: Length of the window that rates and latencies are of.
    """
    if not isinstance(seen.offered, Value):
        return None
    rps, queued = seen.offered.value, known(seen.queued)
    own, cheaper = _shares(workload, at_rest.pool, seen)
    each, requests = rps / at_rest.ready, rps * window_seconds
    if cheaper >= LEAST_BY_LADDER:
        carried = each * (1.0 - cheaper * (LADDER_SPEEDUP - 1.0) / LADDER_SPEEDUP)
        return LoadedWindow(carried, workload.objective.latency_seconds, requests, shows_faster=False)
    if not isinstance(seen.latency, Value) or own < 1.0 - MOST_BY_OTHERS:
        return None
    grows = queued is None or queued > rps * seen.latency.value
    return LoadedWindow(each, seen.latency.value, requests, shows_faster=not grows)


def saturated_window(
    workload: Workload, at_rest: Steady, seen: Observation, window_seconds: float
) -> SaturatedWindow | None:
    """Return the window that ends now; None when not every replica had work all through it, or nothing follows from that.

    Args:
        workload: Whose replicas, with stated speeds.
        at_rest: What there is, settled.
        seen: What is seen now.
        window_seconds: Length of the window that rates are of.
    """
    waited, answered = known(seen.waited), known(seen.answered)
    if not waited or not answered or not isinstance(seen.offered, Value):  # who is not scraped is in none of these
        return None
    each = answered / at_rest.ready
    if waited < max(each * min(workload.objective.latency_seconds, MOST_WAIT_SECONDS), FEWEST_WAITING):
        return None
    seconds = _seconds_per_answer(workload, at_rest.pool, seen)
    return None if seconds is None else SaturatedWindow(each * seconds, answered * window_seconds)


def _seconds_per_answer(workload: Workload, pool: PoolKey, seen: Observation) -> float | None:
    """Return the time of an answer in full batches at the stated speed, as it is for those who answer; None: not known."""
    stated = {c.pool.variant: 1.0 / largest_rps(c) for c in workload.capacities if c.pool.placement == pool.placement}
    total = sum(rate for _, rate in seen.served)
    if total <= 0.0 or any(name not in stated for name, _ in seen.served):
        return None
    return sum(rate * stated[name] for name, rate in seen.served) / total


def _shares(workload: Workload, pool: PoolKey, seen: Observation) -> tuple[float, float]:
    """Return the shares of answers by the pool's own variant and by less accurate ones; zeros when they are not known."""
    answered = sum(rate for _, rate in seen.served)
    if answered <= 0.0:
        return 0.0, 0.0
    accuracies = {variant.name: variant.accuracy for variant in workload.variants}
    planned = accuracies.get(pool.variant, 0.0)
    own = sum(rate for name, rate in seen.served if name == pool.variant)
    cheaper = sum(rate for name, rate in seen.served if accuracies.get(name, planned) < planned)
    return own / answered, cheaper / answered
