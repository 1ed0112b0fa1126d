"""The next safe step towards a plan: make before break, and never a step that takes serving capacity away too early.

A switch creates the new pool, waits until it is ready for the load of now, flips the Service, and drains the old pool only
once the flip is seen. A pool that does not start in time is given up for a while (an outage), and the next plan takes the
runner-up.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from modelscaler.api.words import DecisionReason
from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import (
    Observation,
    Outage,
    Plan,
    PolicyState,
    PoolKey,
    PoolObservation,
    PoolTarget,
    Step,
    Switch,
    Workload,
    backoff,
)
from modelscaler.planner.candidates import ROUNDING, allowed, within_limits

Notes: TypeAlias = tuple[tuple[DecisionReason, str], ...]

PATIENCE_SECONDS = 10.0
FORGET_OUTAGE_SECONDS = 3600.0
LOST_AFTER_STARTS = 2.0
NOTHING: Notes = ()


@dataclass(frozen=True, slots=True)
class _Situation:
    """What a step is taken from."""

    workload: Workload
    observation: Observation
    plan: Plan
    state: PolicyState

    @property
    def target(self) -> PoolKey:
        return self.plan.target.pool

    @property
    def now(self) -> datetime:
        return self.observation.now

    def seen(self, pool: PoolKey) -> PoolObservation:
        return self.observation.pool(pool)


def next_step(workload: Workload, observation: Observation, plan: Plan, state: PolicyState) -> Step:
    """Return the next step.

    Args:
        workload: What the user asked for.
        observation: What is seen of the pools and of the Service.
        plan: Where to go.
        state: What earlier steps left behind.
    """
    situation = _Situation(workload, observation, plan, _without_old_outages(state, observation.now))
    if state.active is None:
        return _first(situation)
    if situation.target == state.active:
        return _stay(situation)
    return _switch(situation)


def _first(situation: _Situation) -> Step:
    """Nothing serves: the target serves from the start."""
    state = replace(situation.state, active=situation.target, switch=None)
    return _step(situation, state, {situation.target: situation.plan.target.replicas}, serving=situation.target)


def _stay(situation: _Situation) -> Step:
    """The serving pool is the right one: set its size, drain every other, and say when it cannot be had."""
    state, notes = replace(situation.state, switch=None), NOTHING
    active = situation.seen(situation.target)
    trouble = _trouble(situation, active)
    if trouble and situation.plan.runner_up is not None and situation.plan.runner_up.feasible:
        state, notes = _give_up(situation, state, situation.target, trouble)
    replicas = situation.plan.target.replicas
    if trouble:
        replicas = max(replicas, active.replicas)
    return _step(situation, state, {situation.target: replicas}, serving=situation.target, notes=notes)


def _switch(situation: _Situation) -> Step:
    """Another pool shall serve: start it, and flip once it carries the load of now."""
    state, target = situation.state, situation.target
    active = state.active
    assert active is not None  # noqa: S101 - next_step asked
    if state.switch is None or state.switch.target != target:
        state = replace(state, switch=Switch(target, situation.now))
    sizes = {active: _kept(situation, active), target: situation.plan.target.replicas}
    if situation.seen(target).ready >= _needed_now(situation):
        state = replace(state, active=target, switch=None, outages=_cleared(state, target))
        return _step(situation, state, sizes, serving=target)
    trouble = _switch_trouble(situation, state)
    if trouble and _may_give_up(situation, active):
        state, notes = _give_up(situation, replace(state, switch=None), target, trouble)
        return _step(situation, state, {active: sizes[active]}, serving=active, notes=notes)
    return _step(situation, state, sizes, serving=active)


def _step(
    situation: _Situation,
    state: PolicyState,
    sizes: dict[PoolKey, int],
    serving: PoolKey,
    notes: Notes = NOTHING,
) -> Step:
    targets = [PoolTarget(pool, replicas) for pool, replicas in sizes.items()]
    leftover = (pool for pool in situation.observation.pools if pool.pool not in sizes)
    targets += [_drained(situation, pool, serving) for pool in leftover]
    return Step(pools=tuple(sorted(targets, key=lambda t: t.pool)), serving=serving, state=state, notes=notes)


def _drained(situation: _Situation, pool: PoolObservation, serving: PoolKey) -> PoolTarget:
    """A pool that is neither serving nor starting: keep it until the Service is seen to select another, then let it go."""
    selected = situation.observation.selected
    if selected == pool.pool or (selected is None and pool.ready > 0):
        return PoolTarget(pool.pool, pool.replicas)
    empty = (
        pool.replicas == 0 and pool.ready + pool.starting + pool.unschedulable + pool.failing + pool.terminating == 0
    )
    return PoolTarget(pool.pool, 0, delete=empty and pool.pool != serving)


def _kept(situation: _Situation, active: PoolKey) -> int:
    """The serving pool keeps what it has during a switch, and grows when the load of now asks for it."""
    has = situation.seen(active).replicas
    if not allowed(situation.workload, active):
        return has
    return max(has, within_limits(situation.workload, active, _carrying(situation, active))[0])


def _needed_now(situation: _Situation) -> int:
    """Replicas of the target that must be ready before the flip: enough for the load of now, all when it is unknown."""
    planned = situation.plan.target.replicas
    if situation.plan.demand.measured_rps is None:
        return max(planned, 1)
    return max(min(_carrying(situation, situation.target), planned), 1)


def _carrying(situation: _Situation, pool: PoolKey) -> int:
    """Replicas of a pool that carry the measured load; 0 when the load or the pool's speed is unknown."""
    capacity = next((c for c in situation.workload.capacities if c.pool == pool), None)
    measured = situation.plan.demand.measured_rps
    if capacity is None or measured is None:
        return 0
    each = sustainable_rps(capacity, situation.workload.objective)
    return math.ceil(measured / each - ROUNDING) if each > 0 else 0


def _trouble(situation: _Situation, pool: PoolObservation) -> str | None:
    """Why a pool cannot be had: not placed, not started, or all its pods gone silent; None while there is still hope."""
    if pool.failure and pool.unready_seconds > PATIENCE_SECONDS:
        return pool.failure
    start = pool.start_seconds or situation.workload.placement(pool.pool.placement).start_seconds
    silent = pool.replicas > 0 and pool.ready == 0
    if silent and pool.unready_seconds > max(LOST_AFTER_STARTS * start, PATIENCE_SECONDS):
        return "NotReady"
    return None


def _switch_trouble(situation: _Situation, state: PolicyState) -> str | None:
    pool = situation.seen(situation.target)
    if pool.failure and pool.unready_seconds > PATIENCE_SECONDS:
        return pool.failure
    waited = (situation.now - state.switch.started_at).total_seconds() if state.switch else 0.0
    return "StartDeadlineExceeded" if waited > situation.workload.start_deadline_seconds else None


def _may_give_up(situation: _Situation, active: PoolKey) -> bool:
    """With nothing serving and nothing else to try, waiting is all that is left."""
    return situation.plan.runner_up is not None or situation.seen(active).ready > 0


def _give_up(situation: _Situation, state: PolicyState, pool: PoolKey, why: str) -> tuple[PolicyState, Notes]:
    if any(outage.pool == pool and outage.until > situation.now for outage in state.outages):
        return state, NOTHING
    failures = 1 + next((outage.failures for outage in state.outages if outage.pool == pool), 0)
    pause = backoff(failures)
    outage = Outage(pool, situation.now + pause, failures, why)
    others = tuple(o for o in state.outages if o.pool != pool)
    note = (
        f"{pool} cannot be had ({why}); it is left alone for {pause.total_seconds():.0f} s and the runner-up is taken"
    )
    return replace(state, outages=(*others, outage)), ((DecisionReason.CANDIDATE_UNAVAILABLE, note),)


def _cleared(state: PolicyState, pool: PoolKey) -> tuple[Outage, ...]:
    return tuple(outage for outage in state.outages if outage.pool != pool)


def _without_old_outages(state: PolicyState, now: datetime) -> PolicyState:
    kept: Iterable[Outage] = (o for o in state.outages if (now - o.until).total_seconds() < FORGET_OUTAGE_SECONDS)
    return replace(state, outages=tuple(kept))
