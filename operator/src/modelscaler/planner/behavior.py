"""Limits on how fast replicas change: stabilisation windows and rate policies, as HorizontalPodAutoscaler v2 has them.

Source: k8s.io/kubernetes pkg/controller/podautoscaler (stabilizeRecommendationWithBehaviors, convertDesiredReplicasWithRules).
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from modelscaler.api.words import Binding
from modelscaler.domain import DirectionRules, RateLimit, Workload

History = Sequence[tuple[datetime, int]]
KEPT = 64
UNLIMITED = 10**9
ROUNDING = 1e-9


def limit_change(
    workload: Workload, current: int, wanted: int, recommendations: History, changes: History, now: datetime
) -> tuple[int, Binding | None]:
    """Return how many replicas may be had now on the way from `current` to `wanted`, and what held it back, if anything.

    Args:
        workload: Whose rules count.
        current: Replicas asked for now.
        wanted: Replicas the plan wants.
        recommendations: Past wants, oldest first.
        changes: Past changes of replicas, oldest first.
        now: The time.
    """
    if wanted == current:  # no window and no rate moves what is to stay
        return current, None
    stable = _stabilized(workload, current, wanted, recommendations, now)
    if stable > current:
        most = current + _allowance(workload.scale_up, current, 1, changes, now)
        allowed, rate = min(stable, most), Binding.SCALE_UP_RATE
    elif stable < current:
        least = current - _allowance(workload.scale_down, current, -1, changes, now)
        allowed, rate = max(stable, least), Binding.SCALE_DOWN_RATE
    else:
        allowed, rate = stable, Binding.DEMAND
    if allowed == wanted:
        return allowed, None
    return allowed, rate if allowed != stable else Binding.STABILIZATION


def remember(
    history: History, entry: tuple[datetime, int], now: datetime, keep_seconds: float
) -> tuple[tuple[datetime, int], ...]:
    """Return recommendations with one more and the outdated gone; of a run of equal ones the first and the last are kept."""
    kept = since(history, now, keep_seconds)
    if len(kept) > 1 and kept[-2][1] == kept[-1][1] == entry[1]:
        kept.pop()
    return (*kept, entry)[-KEPT:]


def with_change(changes: History, entry: tuple[datetime, int], now: datetime, keep_seconds: float) -> History:
    """Return the changes with one more and the outdated ones gone; of too many the two oldest count as one."""
    kept = [*since(changes, now, keep_seconds), entry]
    if len(kept) > KEPT:
        (_, first), (at, second), *rest = kept
        kept = [(at, first + second), *rest]
    return tuple(kept)


def longest_window_seconds(workload: Workload) -> float:
    """Return how long recommendations must be remembered."""
    return max(workload.scale_up.stabilization_seconds, scale_down_window_seconds(workload))


def scale_down_window_seconds(workload: Workload) -> float:
    """Return how long the largest recommendation holds: as the policy settings say, else as the spec's behaviour does."""
    chosen = workload.policy.scale_down_seconds
    return workload.scale_down.stabilization_seconds if chosen is None else chosen


def longest_period_seconds(workload: Workload) -> float:
    """Return how long changes must be remembered."""
    limits = (*workload.scale_up.limits, *workload.scale_down.limits)
    return max((limit.period_seconds for limit in limits), default=0.0)


def _stabilized(workload: Workload, current: int, wanted: int, recommendations: History, now: datetime) -> int:
    up = [r for _, r in since(recommendations, now, workload.scale_up.stabilization_seconds)]
    down = [r for _, r in since(recommendations, now, scale_down_window_seconds(workload))]
    lower, upper = min([wanted, *up]), max([wanted, *down])
    return min(max(current, lower), upper)


def _allowance(rules: DirectionRules, current: int, sign: int, changes: History, now: datetime) -> int:
    if rules.select == "Disabled":
        return 0
    if not rules.limits:
        return UNLIMITED
    pick = max if rules.select == "Max" else min
    return max(pick(_left(limit, current, sign, changes, now) for limit in rules.limits), 0)


def _left(limit: RateLimit, current: int, sign: int, changes: History, now: datetime) -> int:
    used = sign * sum(change for _, change in since(changes, now, limit.period_seconds))
    at_start = current - sign * used
    total = limit.value if limit.kind == "Pods" else math.ceil(at_start * limit.value / 100.0 - ROUNDING)
    return total - used


def since(history: History, now: datetime, seconds: float) -> list[tuple[datetime, int]]:
    """Return the entries of the last so many seconds."""
    horizon = now - timedelta(seconds=seconds)
    return [item for item in history if item[0] > horizon]
