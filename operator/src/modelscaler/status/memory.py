"""The policy's memory in a status: written so that a steady state does not change it, read back as the policy wants it.

Recommendations are written as runs: (since when, replicas), each in force until the next one. The run in force therefore needs
no update while the recommendation stays the same, and reading it back at a later time says that it was in force until then.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

from modelscaler.api.v1alpha1 import (
    ModelDeploymentStatus,
    PolicyStatus,
    Recommendation,
    SavingsStatus,
    ScaleChange,
    SidePool,
    TransitionStatus,
    Unavailable,
)
from modelscaler.api.words import DecisionReason
from modelscaler.domain import Outage, PolicyState, PoolKey, Savings, Side, Switch
from modelscaler.status.wording import LONGEST_WORD_CHARACTERS, clipped, exact, moment

Dated: TypeAlias = tuple[tuple[datetime, int], ...]

MOST_ENTRIES: Final = 64


def policy_state(status: ModelDeploymentStatus, now: datetime) -> PolicyState:
    """Return what the policy remembered, as of `now`.

    Entries whose time cannot be read (edited by hand) are forgotten rather than guessed.
    """
    policy = status.policy or PolicyStatus()
    runs = _dated([(r.time, r.replicas) for r in policy.recommendations])
    return PolicyState(
        active=PoolKey(status.active.placement, status.active.variant) if status.active else None,
        switch=_switch(status.transition),
        outages=tuple(outage for entry in status.unavailable if (outage := _outage(entry))),
        recommendations=points_of(runs, now),
        changes=_dated([(c.time, c.change) for c in policy.changes]),
        missing_ticks=policy.missing_ticks,
        cheaper_since=_optional_moment(policy.cheaper_since),
        planned_generation=policy.planned_generation,
        accelerator_wanted_since=_optional_moment(policy.accelerator_wanted_since),
        accelerator_held_since=_optional_moment(policy.accelerator_held_since),
        side=_side(status.side),
        side_recommendations=points_of(_dated([(r.time, r.replicas) for r in policy.side_recommendations]), now),
        mix_better_since=_optional_moment(policy.mix_better_since),
        quiet_since=_optional_moment(policy.quiet_since),
    )


def policy_status(state: PolicyState, most_missing_ticks: int, savings: Savings | None) -> PolicyStatus:
    """Write down the part of the policy's memory that is shown nowhere else.

    Args:
        state: The memory.
        most_missing_ticks: Counting stops here: a longer outage changes no decision, and must not write at every tick.
        savings: What answers have saved for less accurate ones; None where no mean accuracy is asked for.
    """
    return PolicyStatus(
        recommendations=_recommendations(state.recommendations),
        side_recommendations=_recommendations(state.side_recommendations),
        mix_better_since=_optional_exact(state.mix_better_since),
        quiet_since=_optional_exact(state.quiet_since),
        changes=[ScaleChange(time=exact(at), change=change) for at, change in state.changes[-MOST_ENTRIES:]],
        missing_ticks=min(state.missing_ticks, most_missing_ticks),
        cheaper_since=_optional_exact(state.cheaper_since),
        planned_generation=state.planned_generation,
        accelerator_wanted_since=_optional_exact(state.accelerator_wanted_since),
        accelerator_held_since=_optional_exact(state.accelerator_held_since),
        savings=SavingsStatus(answers=f"{savings.balance:.4g}", time=exact(savings.at)) if savings else None,
    )


def savings_from(status: ModelDeploymentStatus) -> Savings | None:
    """Read back what answers had saved; None when nothing is written, or it cannot be read (edited by hand)."""
    written = status.policy.savings if status.policy else None
    at = moment(written.time) if written else None
    if written is None or at is None:
        return None
    try:
        balance = float(written.answers)
    except ValueError:
        return None
    return Savings(balance, at) if math.isfinite(balance) else None


def transition_status(switch: Switch | None) -> TransitionStatus | None:
    """Write down the switch under way."""
    if switch is None:
        return None
    return TransitionStatus(
        placement=switch.target.placement,
        variant=switch.target.variant,
        start_time=exact(switch.started_at),
        reason=switch.reason,
    )


def unavailable_status(outages: Sequence[Outage]) -> list[Unavailable]:
    """Write down the pools that are left alone for a while."""
    return [
        Unavailable(
            placement=outage.pool.placement,
            variant=outage.pool.variant,
            reason=clipped(outage.reason, LONGEST_WORD_CHARACTERS),
            failures=max(outage.failures, 1),
            retry_time=exact(outage.until),
        )
        for outage in outages[:MOST_ENTRIES]
    ]


def runs_of(points: Dated) -> Dated:
    """Turn recommendations of single ticks into runs: the first of each stretch of equal ones."""
    return tuple(point for i, point in enumerate(points) if i == 0 or point[1] != points[i - 1][1])


def points_of(runs: Dated, now: datetime) -> Dated:
    """Turn runs into recommendations: one at the start of each run and one at its end, for the last run `now`."""
    ends = [since for since, _ in runs[1:]] + [now]
    points = [
        point
        for (since, replicas), end in zip(runs, ends, strict=False)
        for point in ((since, replicas), (end, replicas))
    ]
    return tuple(point for i, point in enumerate(points) if i == 0 or point != points[i - 1])


def _recommendations(points: Dated) -> list[Recommendation]:
    runs = runs_of(points)[-MOST_ENTRIES:]
    return [Recommendation(time=exact(since), replicas=replicas) for since, replicas in runs]


def _dated(pairs: list[tuple[str, int]]) -> Dated:
    return tuple((at, number) for text, number in pairs if (at := moment(text)))


def _optional_moment(text: str | None) -> datetime | None:
    return moment(text) if text else None


def _optional_exact(at: datetime | None) -> str | None:
    return exact(at) if at else None


def _switch(transition: TransitionStatus | None) -> Switch | None:
    started_at = moment(transition.start_time) if transition else None
    if transition is None or started_at is None:
        return None
    return Switch(PoolKey(transition.placement, transition.variant), started_at, _reason(transition.reason))


def _reason(word: str | None) -> DecisionReason | None:
    return DecisionReason(word) if word in set(DecisionReason) else None


def _side(pool: SidePool | None) -> Side | None:
    started_at = moment(pool.start_time) if pool else None
    if pool is None or started_at is None:
        return None
    return Side(PoolKey(pool.placement, pool.variant), started_at)


def _outage(entry: Unavailable) -> Outage | None:
    until = moment(entry.retry_time)
    return Outage(PoolKey(entry.placement, entry.variant), until, entry.failures, entry.reason) if until else None
