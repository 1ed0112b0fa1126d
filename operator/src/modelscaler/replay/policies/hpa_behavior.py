"""How fast a HorizontalPodAutoscaler lets replicas change: its stabilisation windows and rate policies.

After kubernetes/kubernetes, `pkg/controller/podautoscaler/horizontal.go` (`recordInitialRecommendation`,
`stabilizeRecommendationWithBehaviors`, `convertDesiredReplicasWithBehaviorRate`, `calculateScaleUpLimitWithScalingRules`,
`calculateScaleDownLimitWithBehaviors`, commit 0006726; as in versions after that one, the current number is brought between
the extremes of both windows, and changes of both directions count in a period) and `pkg/apis/autoscaling/v2/defaults.go`
(commit 1adaa75). Kept apart from our own planner's limits, so that a change of ours changes no rival.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most `value` pods, or percent of those at the start of the period, within `period_seconds`."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Direction:
    """Rules of one direction: the window that is looked back on, and the policies of which the most generous counts."""

    stabilization_seconds: float
    policies: tuple[RatePolicy, ...]


@dataclass(frozen=True, slots=True)
class Behavior:
    """`spec.behavior` with its defaults: up by 100 % or 4 pods in 15 s at once, down to the largest wish of 300 s."""

    up: Direction = Direction(0.0, (RatePolicy("Pods", 4), RatePolicy("Percent", 100)))
    down: Direction = Direction(300.0, (RatePolicy("Percent", 100),))


@dataclass(slots=True)
class Window:
    """The most of what was noted in the last so many seconds, or the least of it; constant time a note on average."""

    seconds: float
    sign: int
    _kept: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, seconds: float, value: int) -> None:
        """Note a value that is newer than all before it."""
        while self._kept and self.sign * self._kept[-1][1] <= self.sign * value:
            self._kept.pop()
        self._kept.append((seconds, value))

    def extreme(self, seconds: float, value: int) -> int:
        """Return the extreme of `value` and what was noted less than the window ago."""
        while self._kept and self._kept[0][0] <= seconds - self.seconds:
            self._kept.popleft()
        if not self._kept:
            return value
        best = self._kept[0][1]
        return max(best, value) if self.sign > 0 else min(best, value)


class Limits:
    """What the controller remembers of one autoscaler, and what it lets through."""

    def __init__(self, behavior: Behavior, least: int, most: int) -> None:
        self._behavior, self._least, self._most = behavior, least, most
        self._lowest = Window(behavior.up.stabilization_seconds, -1)
        self._highest = Window(behavior.down.stabilization_seconds, 1)
        self._changes: deque[tuple[float, int]] = deque()
        policies = (*behavior.up.policies, *behavior.down.policies)
        self._longest_seconds = max((policy.period_seconds for policy in policies), default=0.0)
        self._begun = False

    def allowed(self, seconds: float, current: int, wanted: int) -> int:
        """Return how many replicas may be had now, and remember it.

        Args:
            seconds: The time.
            current: Replicas asked for so far; outside the bounds, the bound is all there is to decide.
            wanted: Replicas that the metrics want, bounds or not.
        """
        replicas = self._clipped(current)
        if replicas == current:
            replicas = self._limited(seconds, current, self._stabilized(seconds, current, wanted))
        if replicas != current:
            self._changes.append((seconds, replicas - current))
        return replicas

    def _clipped(self, replicas: int) -> int:
        return min(max(replicas, self._least), self._most)

    def _stabilized(self, seconds: float, current: int, wanted: int) -> int:
        """Return the current number, brought between the lowest and the highest recent wish."""
        if not self._begun:
            self._note(seconds, current)
            self._begun = True
        lower, upper = self._lowest.extreme(seconds, wanted), self._highest.extreme(seconds, wanted)
        self._note(seconds, wanted)
        return min(max(current, lower), upper)

    def _note(self, seconds: float, wanted: int) -> None:
        self._lowest.note(seconds, wanted)
        self._highest.note(seconds, wanted)

    def _limited(self, seconds: float, current: int, stable: int) -> int:
        while self._changes and self._changes[0][0] <= seconds - self._longest_seconds:
            self._changes.popleft()
        if stable > current:
            limit = max((self._up(policy, seconds, current) for policy in self._behavior.up.policies), default=0)
            return min(stable, max(limit, current), self._most)
        if stable < current:
            policies: Sequence[RatePolicy] = self._behavior.down.policies
            limit = min((self._down(policy, seconds, current) for policy in policies), default=current)
            return max(stable, min(limit, current), self._least)
        return current

    def _at_start(self, seconds: float, period_seconds: float, current: int) -> int:
        """Return how many replicas there were when a period began that ends now."""
        return current - sum(change for at, change in self._changes if at > seconds - period_seconds)

    def _up(self, policy: RatePolicy, seconds: float, current: int) -> int:
        before = self._at_start(seconds, policy.period_seconds, current)
        if policy.kind == "Pods":
            return before + policy.value
        return math.ceil(before * (1.0 + policy.value / 100.0) - ROUNDING)

    def _down(self, policy: RatePolicy, seconds: float, current: int) -> int:
        before = self._at_start(seconds, policy.period_seconds, current)
        if policy.kind == "Pods":
            return before - policy.value
        return int(before * (1.0 - policy.value / 100.0) + ROUNDING)
