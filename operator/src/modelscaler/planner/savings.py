"""What answers have saved of accuracy above the floor, and with how much of it new replicas may begin. Pure.

A server gives cheaper answers only as far as its own better ones have saved for them (`modelserver/engine/budget.py`), and what
it has saved ends with it. New replicas are there because load rises, and need some at once; were they simply given it, a load
that starts many of them would take the mean below its floor. So the account of all replicas together is kept here: what was
saved lately, and is in no running replica's budget, is what new ones may begin with.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from modelscaler.capacity.latency import largest_rps
from modelscaler.domain import Observation, PoolKey, PoolObservation, PoolTarget, Savings, Workload
from modelscaler.planner.ladder import ladder_of
from modelscaler.planner.recourse import BUDGET_SECONDS

FORGOTTEN_SECONDS: Final = 86_400.0
"""Time constant with which savings and debts are forgotten: the floor is for the mean over about a day."""

LONGEST_READING_SECONDS: Final = 60.0
"""What was answered between readings that are farther apart is not known, and saves nothing."""

STEPS: Final = 10
"""A budget at start is so many tenths, so that what is written for the servers seldom changes."""


def saved(workload: Workload, seen: Observation, before: Savings | None) -> Savings | None:
    """Return what is saved by now, from who answers now; None when no mean accuracy is asked for.

    Args:
        workload: Whose; its floor for the mean and the accuracies of its variants count.
        seen: What is seen now. Nobody known to answer saves nothing.
        before: What was saved when it was last looked at; None: nothing yet.
    """
    floor = workload.objective.min_mean_accuracy
    if floor is None or not workload.reflex:
        return None
    if before is None:
        return Savings(0.0, seen.now)
    seconds = max((seen.now - before.at).total_seconds(), 0.0)
    accuracies = {variant.name: variant.accuracy for variant in workload.variants}
    answers = (*seen.served, *seen.served_beside)
    rate = sum(rps * (accuracies[name] - floor) for name, rps in answers if name in accuracies)
    return Savings(carried_on(before.balance, seconds, rate * min(seconds, LONGEST_READING_SECONDS)), seen.now)


def carried_on(balance: float, seconds: float, change: float) -> float:
    """Return a balance after some seconds, in which so much was saved (or, below 0, spent)."""
    return balance * math.exp(-seconds / FORGOTTEN_SECONDS) + change


def funded(
    workload: Workload, seen: Observation, savings: Savings | None, targets: Sequence[PoolTarget]
) -> tuple[PoolTarget, ...]:
    """Return the targets with how full the budget of a new replica shall be in each pool.

    It rises only where replicas are added, so that a calm pool's ladder is not written again and again, and falls as soon as
    what is saved no longer covers it: a replica that is lost is replaced by one that begins with it, too.

    Args:
        workload: Whose.
        seen: The pools as they are. Budgets that are not known count as full.
        savings: What answers have saved; None: no mean accuracy is asked for, and there are no budgets.
        targets: How many replicas each pool shall have now.
    """
    if savings is None:
        return tuple(targets)
    held = sum(_budgets(pool) * most_saved(workload, pool.pool) for pool in seen.pools)
    kept = [(target, seen.pool(target.pool)) for target in targets if not target.delete]
    wanted = sum(max(t.replicas - pool.ready, 1) * most_saved(workload, t.pool) for t, pool in kept)
    covered = covered_share(savings.balance - held, wanted)
    budgets = {t.pool: settled(pool.budget_at_start, covered, t.replicas > pool.replicas) for t, pool in kept}
    return tuple(replace(target, budget_at_start=budgets.get(target.pool, 0.0)) for target in targets)


def covered_share(free: float, wanted: float) -> float:
    """Return the share of the budgets that new replicas could use which is covered by savings, in tenths, rounded down."""
    return 0.0 if wanted <= 0.0 else math.floor(min(max(free / wanted, 0.0), 1.0) * STEPS + 1e-9) / STEPS


def settled(before: float | None, covered: float, grows: bool) -> float:
    """Return what new replicas begin with from now on: what is covered, but no more than before unless replicas are added."""
    return covered if before is None or grows else min(before, covered)


def most_saved(workload: Workload, pool: PoolKey) -> float:
    """Return what one replica of a pool can save; 0 where it has no ladder, or no mean accuracy is asked for."""
    floor, accuracies = workload.objective.min_mean_accuracy, {v.name: v.accuracy for v in workload.variants}
    *_, last = ladder_of(workload, pool)
    if floor is None or last == pool.variant:
        return 0.0
    speed = next(largest_rps(c) for c in workload.capacities if c.pool == PoolKey(pool.placement, last))
    return most_of(floor, accuracies[pool.variant], accuracies[last], speed)


def most_of(floor: float, planned: float, fastest: float, fastest_rps: float) -> float:
    """Return what one replica can save: BUDGET_SECONDS of answers by its fastest rung alone, as its server has it.

    Args:
        floor: For the mean accuracy; a server whose planned variant is below it keeps that one's accuracy instead.
        planned: Accuracy of the planned variant.
        fastest: Accuracy of the fastest rung.
        fastest_rps: Its throughput.
    """
    return max(min(floor, planned) - fastest, 0.0) * fastest_rps * BUDGET_SECONDS


def _budgets(pool: PoolObservation) -> float:
    return float(pool.ready) if pool.budgets is None else pool.budgets
