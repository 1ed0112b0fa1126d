"""What a decision starts from: the remembered state, brought up to what is seen now. Pure."""

from dataclasses import replace
from datetime import timedelta

from modelscaler.domain import Observation, Outage, PolicyState, PoolKey, Workload, backoff, is_out, known

OUTAGE_REMEMBERED = timedelta(hours=1)
"""How long after its end an outage still counts towards the next one's length."""

MOST_TICKS = 1_000_000
"""Counting missing readings stops somewhere."""


def recalled(observation: Observation, state: PolicyState) -> PolicyState:
    """Return the state to decide on: missing readings counted, old outages forgotten, a pool that serves adopted.

    A status can be lost (restored from a backup, edited by hand) while pods serve. Such a pool is taken for the serving one:
    starting from nothing would point the Service away from ready pods.
    """
    missing = 0 if known(observation.offered) is not None else state.missing_ticks + int(observation.new_readings)
    outages = tuple(o for o in state.outages if o.until + OUTAGE_REMEMBERED > observation.now)
    active = state.active or _serving_without_record(observation)
    return replace(state, active=active, outages=outages, missing_ticks=min(missing, MOST_TICKS))


def _serving_without_record(observation: Observation) -> PoolKey | None:
    ready = {pool.pool: pool.ready for pool in observation.pools if pool.ready}
    if observation.selected in ready:
        return observation.selected
    return max(sorted(ready), key=lambda pool: ready[pool], default=None)


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
    up = {pool.pool for pool in observation.pools if 0 < pool.replicas <= pool.ready}
    listed = {capacity.pool for capacity in workload.capacities}
    return replace(state, outages=tuple(o for o in state.outages if o.pool in listed and o.pool not in up))


def without(state: PolicyState, pool: PoolKey) -> tuple[Outage, ...]:
    """Return the outages of all other pools."""
    return tuple(outage for outage in state.outages if outage.pool != pool)
