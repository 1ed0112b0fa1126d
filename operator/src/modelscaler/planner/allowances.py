"""What a plan makes of the accelerators it may have: fewer replicas of some candidates, and a sentence about them. Pure.

A pool that nothing may be had of is no choice, like one that cannot start, but nothing failed: it is not left alone for a
while, and is there again as soon as units are. What serves is given up only for something else that can serve.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from modelscaler.api.words import Binding, GrantReason
from modelscaler.domain import Allowance, Observation, PolicyState, Workload
from modelscaler.planner.candidates import Candidate

WHY: Final = {
    GrantReason.TOO_FEW: "no more are free",
    GrantReason.OUTRANKED: "higher priority elsewhere",
    GrantReason.OUTBID: "worth more elsewhere",
    GrantReason.UNKNOWN: "nobody could count them",
    GrantReason.HANDOVER: "others are giving them up",
}


def within_allowances(
    found: Sequence[Candidate], observation: Observation, state: PolicyState
) -> tuple[Candidate, ...]:
    """Return the candidates as far as their accelerators go.

    Args:
        found: The candidates, were there accelerators for all.
        observation: What is seen, with the allowances.
        state: What serves.
    """
    by_placement = {allowance.placement: allowance for allowance in observation.allowances}
    if not by_placement:
        return tuple(found)
    limited = tuple(_within(c, by_placement.get(c.pool.placement), observation) for c in found)
    if any(candidate.available for candidate in limited):
        return limited
    return tuple(
        _kept(before, after, observation) if before.pool == state.active else after
        for before, after in zip(found, limited, strict=True)
    )


def _within(candidate: Candidate, allowance: Allowance | None, observation: Observation) -> Candidate:
    if allowance is None:
        return candidate
    room = _room(candidate, allowance, observation)
    if room >= candidate.most:
        return candidate
    return replace(
        candidate,
        most=room,
        fewest=min(candidate.fewest, room),
        most_because=_binding(allowance.reason),
        keeps_minimum=candidate.keeps_minimum and room >= candidate.fewest,
        available=candidate.available and room > 0,
    )


def _room(candidate: Candidate, allowance: Allowance, observation: Observation) -> int:
    """Return what is left for a pool beside the placement's others, never less than it has of what is allowed."""
    elsewhere = sum(
        pool.replicas
        for pool in observation.pools
        if pool.pool.placement == allowance.placement and pool.pool != candidate.pool
    )
    own = observation.pool(candidate.pool).replicas
    return max(allowance.replicas - elsewhere, min(own, allowance.replicas))


def _kept(before: Candidate, after: Candidate, observation: Observation) -> Candidate:
    """Return the serving pool with as much of its minimum as it has: there is nowhere to go."""
    least = min(before.fewest, observation.pool(before.pool).replicas)
    if after.most >= least:
        return after
    return replace(after, most=least, fewest=least, available=before.available)


def _binding(reason: GrantReason) -> Binding:
    """Return the limit's name; of what nobody asked more of, that there is no more."""
    return Binding.TOO_FEW_ACCELERATORS if reason is GrantReason.AS_WANTED else Binding(reason.value)


def remembered(observation: Observation, state: PolicyState) -> PolicyState:
    """Return the state with since when accelerators are wanted and held; who loses what it held begins to wait anew."""
    if not observation.allowances:
        return state
    shared = {allowance.placement for allowance in observation.allowances}
    holds = any(pool.replicas for pool in observation.pools if pool.pool.placement in shared)
    wants = holds or any(allowance.wanted for allowance in observation.allowances)
    lost = state.accelerator_held_since is not None and not holds
    wanted_since = observation.now if lost else state.accelerator_wanted_since or observation.now
    return replace(
        state,
        accelerator_wanted_since=wanted_since if wants else None,
        accelerator_held_since=(state.accelerator_held_since or observation.now) if holds else None,
    )


def released(state: PolicyState) -> PolicyState:
    """Return the state of one that gives its accelerators up, since it wants none."""
    return replace(state, accelerator_wanted_since=None, accelerator_held_since=None)


def denied(allowances: Iterable[Allowance]) -> tuple[Allowance, ...]:
    """Return those that allow fewer replicas than are wanted."""
    return tuple(a for a in allowances if a.reason is not GrantReason.AS_WANTED and a.replicas < a.wanted)


def sentence(workload: Workload, allowance: Allowance) -> str:
    """Say how many of the accelerators wanted may be had, and who has the others."""
    placement = workload.placement(allowance.placement)
    units = placement.accelerator_units
    had, wanted = allowance.replicas * units, allowance.wanted * units
    return f"{had} of {wanted} {placement.accelerator}: {WHY.get(allowance.reason, '')}"
