"""What a decision starts from: the remembered state, brought up to what is seen now. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from modelscaler.api.words import ConditionReason
from modelscaler.domain import (
    Observation,
    Outage,
    PolicyState,
    PoolKey,
    Side,
    Switch,
    Workload,
    backoff,
    is_out,
    is_unknown,
)

OUTAGE_REMEMBERED = timedelta(hours=1)
"""How long after its end an outage still counts towards the next one's length."""

MOST_TICKS = 1_000_000
"""Counting missing readings stops somewhere."""


def recalled(observation: Observation, state: PolicyState) -> PolicyState:
    """Return the state to decide on: missing readings counted, old outages forgotten, and what serves as it is seen.

    Times that are yet to come are taken for now: they were written before the clock was set back.
    """
    state = _without_unmakeable(observation, _not_ahead(state, observation.now))
    missing = state.missing_ticks + int(observation.new_readings) if is_unknown(observation.offered) else 0
    outages = tuple(o for o in state.outages if o.until + OUTAGE_REMEMBERED > observation.now)
    served, missing = _as_shared(observation, _as_served(observation, state)), min(missing, MOST_TICKS)
    if outages == served.outages and missing == served.missing_ticks:
        return served
    return replace(served, outages=outages, missing_ticks=missing)


def _without_unmakeable(observation: Observation, state: PolicyState) -> PolicyState:
    """Return the state with outages of pools that cannot be made; one that was to serve first does not serve."""
    for pool in observation.unmakeable:
        state = with_outage(state, pool, observation, ConditionReason.WRITE_REFUSED)
        if state.active == pool and not observation.pool(pool).replicas:
            state = replace(state, active=None)
    return state


def _not_ahead(state: PolicyState, now: datetime) -> PolicyState:
    """Return the state without times to come, each of which would hold something until the clock has caught up with it."""
    is_ahead = state.quiet_since is not None and state.quiet_since > now
    if not is_ahead and not any(at > now for at, _ in (*state.recommendations, *state.changes)):
        return state

    def no_later(history: Sequence[tuple[datetime, int]]) -> tuple[tuple[datetime, int], ...]:
        return tuple((min(at, now), number) for at, number in history)

    return replace(
        state,
        recommendations=no_later(state.recommendations),
        changes=no_later(state.changes),
        side_recommendations=no_later(state.side_recommendations),
        outages=tuple(replace(o, until=min(o.until, now + backoff(o.failures))) for o in state.outages),
        switch=state.switch and replace(state.switch, started_at=min(state.switch.started_at, now)),
        side=state.side and replace(state.side, started_at=min(state.side.started_at, now)),
        cheaper_since=state.cheaper_since and min(state.cheaper_since, now),
        mix_better_since=state.mix_better_since and min(state.mix_better_since, now),
        quiet_since=state.quiet_since and min(state.quiet_since, now),
    )


def _as_served(observation: Observation, state: PolicyState) -> PolicyState:
    """Believe the Service rather than the memory, as long as pods answer behind it.

    The two differ when the write of a flip failed, when a status was lost or restored, or when somebody edited either. A
    remembered pool the Service does not select yet is then still the target of a switch. Where nothing is remembered, what is
    there counts, even before any of its pods is ready.
    """
    ready = {pool.pool: pool.ready for pool in observation.pools if pool.ready}
    selected, switch = observation.selected, state.switch
    if state.side is not None and state.side.pool == selected:
        state = replace(state, side=None)
    if selected in ready and selected != state.active:
        if switch is not None and switch.target == selected:
            return replace(state, active=selected, switch=None)
        missed = Switch(state.active, observation.now) if state.active else None
        return replace(state, active=selected, switch=switch or missed)
    if state.active is None:
        there = {p.pool: (p.ready, p.pool == selected, p.replicas) for p in observation.pools if p.ready or p.replicas}
        return replace(state, active=max(sorted(there), key=lambda pool: there[pool], default=None))
    return state


def _as_shared(observation: Observation, state: PolicyState) -> PolicyState:
    """Return the state with the pool beside that a route gives requests to, when a status was lost or restored."""
    route = observation.route
    if state.side is not None or route is None or route.side in (None, state.active) or not route.side_share:
        return state
    return replace(state, side=Side(route.side, observation.now))


def fallback_holds(workload: Workload, state: PolicyState) -> bool:
    """Tell whether metrics have been missing for as long as the workload's fallback waits for."""
    return workload.fallback is not None and state.missing_ticks >= workload.fallback.failure_threshold


def with_outage(state: PolicyState, pool: PoolKey, observation: Observation, reason: str) -> PolicyState:
    """Return the state with an outage of a pool: longer each time it fails in a row, unchanged while one lasts."""
    now = observation.now
    if is_out(state, pool, now):
        return state
    failures = 1 + next((outage.failures for outage in state.outages if outage.pool == pool), 0)
    outage = Outage(pool, now + backoff(failures), failures, reason)
    return replace(state, outages=(*without(state, pool), outage))


def after_recoveries(workload: Workload, observation: Observation, state: PolicyState) -> PolicyState:
    """Return the state without the outages of pools that are fully up or have left the spec."""
    if not state.outages:
        return state
    up = {pool.pool for pool in observation.pools if 0 < pool.replicas <= pool.ready}
    listed = {capacity.pool for capacity in workload.capacities}
    return replace(state, outages=tuple(o for o in state.outages if o.pool in listed and o.pool not in up))


def without(state: PolicyState, pool: PoolKey) -> tuple[Outage, ...]:
    """Return the outages of all other pools."""
    return tuple(outage for outage in state.outages if outage.pool != pool)
