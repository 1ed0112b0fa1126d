"""What answers have saved of accuracy above the floor, and how far servers may overdraw their own budgets for it. Pure.

A server gives cheaper answers only as far as its own better ones have saved for them (`modelserver/engine/budget.py`). What it
saves beyond a minute of nothing but cheaper answers is lost to it, as is all of it when it ends, and new replicas, which are
there because load rises, have saved nothing. So the account of all replicas together is kept here: what was saved lately and is
in no server's budget is shared by all as an overdraft. It is a level, not a gift: whoever hears of it late, or twice, spends
no more for it, and what a server has overdrawn it saves up again first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from modelscaler.capacity.latency import largest_rps
from modelscaler.domain import Observation, PoolKey, PoolObservation, PoolTarget, Savings, Workload
from modelscaler.planner.ladder import ladder_of
from modelscaler.planner.recourse import BUDGET_SECONDS

FORGOTTEN_SECONDS: Final = 86_400.0
"""Time constant with which savings and debts are forgotten: the floor is for the mean over about a day."""

LONGEST_READING_SECONDS: Final = 60.0
"""What was answered between readings that are farther apart is not known, and saves nothing."""

MOST_OVERDRAFT: Final = 8.0
"""By so many times its size a budget may be overdrawn: some minutes of nothing but cheaper answers, as long as a slow start."""

HEARD_SECONDS: Final = 90.0
"""So long it takes until pods that run have heard of another overdraft: kubelet looks about once a minute, ticks take time."""

STEPS: Final = 10
"""An overdraft is so many tenths of a budget, so that what is written for the servers seldom changes."""

RAISED_BY: Final = 0.2
"""An overdraft is raised by so much at least, for the same reason."""


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


def with_overdrafts(
    workload: Workload, seen: Observation, savings: Savings | None, targets: Sequence[PoolTarget]
) -> tuple[PoolTarget, ...]:
    """Return the targets with how far their replicas may overdraw their budgets.

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
    size = sum(_shared(workload, target, pool) for target, pool in kept)
    covered = covered_share(savings.balance - held, size)
    overdrafts = {target.pool: settled(pool.overdraft, covered) for target, pool in kept}
    return tuple(replace(target, overdraft=overdrafts.get(target.pool, 0.0)) for target in targets)


def _shared(workload: Workload, target: PoolTarget, pool: PoolObservation) -> float:
    """Return the budgets of a pool's replicas that have a share in an overdraft; a pool without a ladder has none."""
    most = most_saved(workload, target.pool)
    if not most:
        return 0.0
    start_seconds = pool.start_seconds or workload.placement(target.pool.placement).start_seconds
    new = max(target.replicas - pool.ready - len(pool.starting_ages), 0)
    return lent_to(pool.ready, (*pool.starting_ages, *[0.0] * new), start_seconds) * most


def lent_to(ready: int, starting_ages: Sequence[float], start_seconds: float) -> int:
    """Return among how many replicas an overdraft is divided: those that could spend it before they heard of another.

    Args:
        ready: That serve.
        starting_ages: How many seconds ago each of those that start was asked for.
        start_seconds: How long one takes to start.
    """
    return ready + sum(age + HEARD_SECONDS >= start_seconds for age in starting_ages)


def covered_share(free: float, size: float, most: float = MOST_OVERDRAFT) -> float:
    """Return how much of all budgets together, in tenths of them, is covered by what is saved and in none of them.

    Args:
        free: What is saved, less what budgets hold.
        size: Of all budgets.
        most: Returned where more is covered.
    """
    return 0.0 if size <= 0.0 else math.floor(min(max(free / size, 0.0), most) * STEPS + 1e-9) / STEPS


@dataclass(frozen=True, slots=True)
class Account:
    """What servers may spend on cheaper answers, and what full budgets would hold; both 0 where there are none.

    `limited`: cheaper answers must be saved for.
    """

    spendable: float
    full: float
    limited: bool = True

    @property
    def saved_share(self) -> float:
        """How full the budgets are, in [0, 1]; 1 where there are none: cheaper answers are not limited then."""
        return min(max(self.spendable / self.full, 0.0), 1.0) if self.full > 0.0 else 1.0

    @property
    def seconds(self) -> float:
        """For so long servers may give nothing but cheaper answers: inf where these are not limited, 0 where nobody serves."""
        if not self.limited:
            return math.inf
        return max(self.spendable / self.full, 0.0) * BUDGET_SECONDS if self.full > 0.0 else 0.0

    @property
    def lendable_share(self) -> float:
        """What is saved beyond full budgets, which are for bursts, in tenths of all those together; 1 at most."""
        return covered_share(self.spendable - self.full, self.full, most=1.0)


def account_of(workload: Workload, pools: Sequence[PoolObservation]) -> Account:
    """Return the account of all servers.

    Args:
        workload: Whose.
        pools: As they are. Budgets that are not known count as empty, and what is not ready yet has none.
    """
    if workload.objective.min_mean_accuracy is None or not workload.reflex:
        return Account(0.0, 0.0, limited=False)
    most = [most_saved(workload, pool.pool) for pool in pools]
    full = sum(pool.ready * each for pool, each in zip(pools, most, strict=True))
    return Account(sum(_spendable(pool) * each for pool, each in zip(pools, most, strict=True)), full)


def settled(before: float | None, covered: float) -> float:
    """Return the overdraft from now on: lowered at once, raised by RAISED_BY at least, or to all there is to allow."""
    if before is None or covered < before or covered >= min(before + RAISED_BY - 1e-9, MOST_OVERDRAFT):
        return covered
    return before


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


def _spendable(pool: PoolObservation) -> float:
    return 0.0 if pool.budgets is None else pool.budgets + pool.ready * (pool.overdraft or 0.0)
