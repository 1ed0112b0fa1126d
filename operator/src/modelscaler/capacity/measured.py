"""What a plan counts on: stated speeds, corrected by what loaded replicas showed. Pure.

The factor that is counted on moves in steps of STEP, a slower one at once, a faster one only once it is two steps away and
only as far as it is sure: so a plan, its caches and the status change rarely, and capacity is removed with care. It is never so
small that a replica would carry less than LEAST_KEPT of what is stated: what makes a replica that slow is no matter of speed.

A slower processor is slower for everything, so a factor below 1 counts for the placement's other variants too, until they are
measured themselves: the plan would else leave a variant for one that looks fast because it was not looked at. A factor above 1
counts for the variant that showed it alone.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from math import floor, inf, log

from modelscaler.capacity.latency import sustainable_rps
from modelscaler.capacity.refine import LEAST_KEPT, PRIOR_WEIGHT, Refinement, refined, saturated, sped_up
from modelscaler.capacity.windows import Steady, is_settled, loaded_window, saturated_window, steady
from modelscaler.domain import Objective, Observation, PolicyState, PoolKey, ReplicaCapacity, Workload

STEP = 0.02
ROUNDING = 1e-9
SURE = 2.0
"""Standard errors by which a faster factor is lowered."""
FORGOTTEN = timedelta(days=1)
"""A pool that has not served for so long is taken as stated again: its neighbours of then say nothing of now."""
FORGOTTEN_SOON = timedelta(hours=1)
"""The same for what hardly more than one bad minute said: who was left for it cannot show that it is over."""
MOST_CAPACITIES = 65_536
"""So many stated speeds are kept with what follows from them: they and their factors rarely change."""
REMARK = timedelta(hours=1)
"""How exactly the time of the last loaded window is remembered; it is written down each time."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What loaded windows showed of one pool's replicas.

    Attributes:
        pool: Whose.
        against: The stated speed, as `statement` words it.
        known: So far.
        step: Of the factor that is counted on.
        uncertainty: Relative, of the factor when it last moved a step; inf before.
        at: When a window last counted, within REMARK.
    """

    pool: PoolKey
    against: str
    known: Refinement
    step: int
    uncertainty: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Measured:
    """All measurements of a ModelDeployment, since when its serving pool is steady, and when a window last counted."""

    pools: tuple[Measurement, ...] = ()
    at_rest: Steady | None = None
    counted_at: datetime | None = None

    def of(self, capacity: ReplicaCapacity) -> Measurement | None:
        """Return the measurement that corrects a stated speed; None when there is none."""
        return next((m for m in self.pools if m.pool == capacity.pool and m.against == statement(capacity)), None)


@dataclass(frozen=True, slots=True)
class Carried:
    """What a plan counts on for one pool.

    Attributes:
        capacity: Speed of a replica.
        rps: That it sustains within the objective.
        stated_rps: That it would sustain at the stated speed.
        step: Of the factor; None: the stated speed counts.
        measurement: The pool's own; None: there is none, or the factor is that of another variant of the placement.
    """

    capacity: ReplicaCapacity
    rps: float
    stated_rps: float
    step: int | None = None
    measurement: Measurement | None = None


@lru_cache(maxsize=MOST_CAPACITIES)
def statement(capacity: ReplicaCapacity) -> str:
    """Word a stated speed, so that another one can be told from it."""
    a, b, tail = (
        f"{1e3 * each:.6g}" for each in (capacity.per_request_seconds, capacity.overhead_seconds, capacity.tail_seconds)
    )
    return f"{a} n + {b} ms, n up to {capacity.max_batch}, tail {tail} ms"


def factor_of(step: int) -> float:
    """Return the factor of a step."""
    return (1.0 + STEP) ** step


def step_of(factor: float) -> int:
    """Return the step nearest to a factor."""
    return round(log(factor) / log(1.0 + STEP))


def measured(
    before: Measured, workload: Workload, seen: Observation, state: PolicyState, window_seconds: float
) -> Measured:
    """Return what is known after a tick; an early pass reads nothing new, and neither do ticks within one window.

    Args:
        before: Known so far.
        workload: With stated capacities. Measurements of speeds that it does not state any more are dropped.
        seen: What is seen.
        state: What the policy remembers: which pool serves.
        window_seconds: Length of the window that rates and latencies are of.
    """
    found = [m for c in workload.capacities if (m := before.of(c))]
    kept = tuple(m for m in found if m.pool == state.active or seen.now - m.at < _remembered(m))
    at_rest = steady(before.at_rest, seen, state)
    now = replace(before, pools=kept, at_rest=at_rest)
    if at_rest is None or not is_settled(at_rest, seen.now, window_seconds):
        return now
    if not seen.new_readings or _counted_lately(now, seen.now, window_seconds):
        return now
    stated = next((c for c in workload.capacities if c.pool == at_rest.pool), None)
    if stated is None:
        return now
    own = now.of(stated) or Measurement(stated.pool, statement(stated), Refinement(), 0, inf, seen.now)
    known = _learned(own.known, at_rest, stated, workload, seen, window_seconds)
    if known is own.known:
        return now
    others = tuple(m for m in kept if m.pool != own.pool)
    return replace(now, pools=(*others, _noted(own, known, seen.now)), counted_at=seen.now)


def carried(workload: Workload, known: Measured) -> tuple[Carried, ...]:
    """Return what a plan counts on, in the order of the workload's stated capacities."""
    return tuple(_carried(workload, known, stated) for stated in workload.capacities)


def corrected(workload: Workload, counted_on: tuple[Carried, ...]) -> Workload:
    """Return the workload with the speeds that a plan counts on."""
    capacities = tuple(each.capacity for each in counted_on)
    return workload if capacities == workload.capacities else replace(workload, capacities=capacities)


def _remembered(measurement: Measurement) -> timedelta:
    """Return for how long a measurement of a pool that does not serve counts."""
    return FORGOTTEN_SOON if measurement.known.is_brief else FORGOTTEN


def _learned(
    before: Refinement,
    at_rest: Steady,
    stated: ReplicaCapacity,
    workload: Workload,
    seen: Observation,
    window_seconds: float,
) -> Refinement:
    """Return what is known of the steady pool after the window that ends now; the same object when it says nothing."""
    full = saturated_window(workload, at_rest, seen, window_seconds)
    if full is not None:
        return saturated(before, full)
    window = loaded_window(workload, at_rest, seen, window_seconds)
    return before if window is None else refined(before, stated, workload.objective, window)


def _counted_lately(known: Measured, now: datetime, window_seconds: float) -> bool:
    """Tell whether a window that ends now would overlap one that was counted."""
    return known.counted_at is not None and now - known.counted_at < timedelta(seconds=window_seconds)


def _noted(own: Measurement, known: Refinement, now: datetime) -> Measurement:
    step = _moved(own.step, known)
    moved = step != own.step
    at = now if moved or now - own.at >= REMARK else own.at
    told = moved or (own.uncertainty == inf and _is_seen(known))
    return replace(own, known=known, step=step, uncertainty=known.uncertainty if told else own.uncertainty, at=at)


def _moved(step: int, known: Refinement) -> int:
    """Return the step to count on: down when the factor is half a step away, up when it is two; never above the factor."""
    exact = log(_cautious(known)) / log(1.0 + STEP)
    if exact <= step - 0.5 or exact >= step + 2.0:
        return floor(exact + ROUNDING)
    return step


def _cautious(known: Refinement) -> float:
    """Return the factor; a faster one only as far as it is sure."""
    if known.factor <= 1.0:
        return known.factor
    doubt = min(SURE * known.uncertainty, 1.0)
    return max(known.factor * (1.0 - doubt), 1.0)


def _is_seen(known: Refinement) -> bool:
    """Tell whether windows count more than the profile by now."""
    return known.weight > PRIOR_WEIGHT + 1.0 and known.uncertainty < inf


def _carried(workload: Workload, known: Measured, stated: ReplicaCapacity) -> Carried:
    if not known.pools:
        return _counted_on(stated, workload.objective, None)
    own = known.of(stated)
    step = own.step if own else _borrowed(workload, known, stated)
    if step is None or (own is not None and own.uncertainty == inf):
        return _counted_on(stated, workload.objective, None)
    return replace(_counted_on(stated, workload.objective, step), measurement=own)


@lru_cache(maxsize=MOST_CAPACITIES)
def _counted_on(stated: ReplicaCapacity, objective: Objective, step: int | None) -> Carried:
    """Return what a plan counts on where the factor is of that step; None: it is not known."""
    stated_rps = sustainable_rps(stated, objective)
    if step is None:
        return Carried(stated, stated_rps, stated_rps)
    kept = _bounded(stated, objective, stated_rps, step)
    capacity = sped_up(stated, factor_of(kept))
    return Carried(capacity, sustainable_rps(capacity, objective), stated_rps, kept)


def _borrowed(workload: Workload, known: Measured, stated: ReplicaCapacity) -> int | None:
    """Return the step of the variant of the placement that was measured last, where that is a slower one."""
    siblings = [m for c in workload.capacities if c.pool.placement == stated.pool.placement and (m := known.of(c))]
    latest = max(siblings, key=lambda m: m.at, default=None)
    return latest.step if latest is not None and latest.step < 0 and latest.uncertainty < inf else None


def _bounded(stated: ReplicaCapacity, objective: Objective, stated_rps: float, step: int) -> int:
    """Return the step, nearer to 0 where it would leave less than LEAST_KEPT."""
    if stated_rps <= 0.0:
        return min(step, 0)  # a faster one that just meets it would be counted on for next to nothing
    while step < 0 and sustainable_rps(sped_up(stated, factor_of(step)), objective) < LEAST_KEPT * stated_rps:
        step += 1
    return step
