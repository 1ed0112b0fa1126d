"""Which settings a replay of the past recommends: ours in the operator, and the rivals' by the same rule in comparisons. Pure.

The cheapest settings that keep the objective (of nearly equal ones those that are farthest from missing it), else those that
miss it least; a tenth of what it leaves is aimed at, as far as that can be paid for. What was chosen on an older part of the
history is adopted only if it also holds on the newer part: the best of many on one part is partly luck
(docs/designs/005-replay.md).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import numpy as np

from modelscaler.domain import Floats, Objective, PolicySettings, Workload
from modelscaler.planner.ladder import ladder_of
from modelscaler.replay.outcome import Outcome

Settings = TypeVar("Settings")

VIOLATING_SHARE: Final = 0.001
"""Share of requests that may be late or refused, where the objective is the 99th percentile."""

SHARE_OF_A_BURST: Final = 0.1
"""An objective is for any time, also for that of a burst: of all requests of days a tenth of what it leaves may be late."""

CHOOSING_SHARE: Final = 0.1
"""So much of what is allowed of late answers may be used up where settings are chosen for days to come: who was late at all on
some days is late on others, more or less (docs/designs/005-replay.md)."""

CHOOSING_ACCURACY_SHARE: Final = 0.9
"""So much of the accuracy that may be lost: servers keep the floor of the mean themselves, and what does not fit in is late."""

DEAREST: Final = 2.0
"""So many times what it costs to keep the objective on all days together may be paid to keep it in bursts, too: a spike that
nothing foretold, and that no headroom to be paid for carries, must not size a service for good."""

OBJECTIVE_SHARE: Final = 0.75
"""So much of the late answers that the objective leaves may be used up where it is only kept on all days together."""

NEAR_EQUAL_COST: Final = 0.01
"""Of settings whose costs are this close the one is taken that used up least of what may be late, then of the accuracy that may
be lost, then the one with the fewest turns: replicas that come and go are a burden too."""

LEAST_GAIN: Final = 0.03
"""Settings that save less are no reason to change."""

ROUNDING: Final = 1e-9
"""Mean accuracies that differ by less are the same."""

STANDARD_ERRORS: Final = 2.0
"""By so many standard errors, from block to block, a saving must differ from none."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What settings must keep over days.

    Attributes:
        floor: Mean accuracy; None: any.
        violating_share: Share of requests that may be late or refused.
    """

    floor: float | None = None
    violating_share: float = VIOLATING_SHARE

    @property
    def overall(self) -> "Goal":
        """The objective on all days together, whatever happens in a burst."""
        return replace(self, violating_share=self.violating_share / SHARE_OF_A_BURST)


def goal_of(objective: Objective) -> Goal:
    """Return what settings must keep for an objective."""
    return Goal(objective.min_mean_accuracy, round(SHARE_OF_A_BURST * (1.0 - objective.percentile), 9))


@dataclass(frozen=True, slots=True)
class Tried(Generic[Settings]):
    """Settings, and what a replay with them came to."""

    settings: Settings
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Room:
    """How much of what is allowed may be used up: of late answers, and of the accuracy that may be lost on average."""

    late: float = CHOOSING_SHARE
    accuracy: float = CHOOSING_ACCURACY_SHARE

    def holds(self, outcome: Outcome, goal: Goal) -> bool:
        """Tell whether no more was used up."""
        return late_share(outcome, goal) <= self.late and lost_share(outcome, goal.floor) <= self.accuracy


ALL_ROOM: Final = Room(1.0, 1.0)


def best_of(
    tried: Sequence[Tried[Settings]],
    goal: Goal,
    room: Room | None = None,
    near_equal: float = NEAR_EQUAL_COST,
) -> Tried[Settings]:
    """Return the safest of the cheapest that keep objective and mean accuracy; else the one that comes closest.

    Args:
        tried: One at least; of equals the first.
        goal: What to keep.
        room: How much of what is allowed may be used up. None: as where settings are chosen for days to come.
        near_equal: Of those that cost at most this share more than the cheapest the one that used up least; 0: the cheapest.
    """
    room = room or Room()
    kept = [one for one in tried if room.holds(one.outcome, goal)]
    if kept:
        enough = min(one.outcome.mean_hourly_cost for one in kept) * (1.0 + near_equal)
        cheap = [one for one in kept if one.outcome.mean_hourly_cost <= enough]
        return min(cheap, key=lambda one: _risk(one.outcome, goal))
    return min(tried, key=lambda one: (not keeps(one.outcome, goal.floor), used_share(one.outcome, goal)))


def chosen_of(tried: Sequence[Tried[Settings]], goal: Goal) -> Tried[Settings]:
    """Return what to use on days to come: the best, unless keeping the objective on all days together costs less than half.

    Args:
        tried: One at least.
        goal: What to keep, in bursts too.
    """
    best, room = best_of(tried, goal), Room(late=OBJECTIVE_SHARE)
    enough = best_of(tried, goal.overall, room)
    too_dear = best.outcome.mean_hourly_cost > DEAREST * enough.outcome.mean_hourly_cost
    return enough if too_dear and room.holds(enough.outcome, goal.overall) else best


def _risk(outcome: Outcome, goal: Goal) -> tuple[float, float, int, float]:
    """Sort by what was used up of what may be late, then of the accuracy that may be lost, then by turns and by cost."""
    late, lost = round(late_share(outcome, goal), 2), round(lost_share(outcome, goal.floor), 2)
    return late, lost, outcome.direction_changes, outcome.mean_hourly_cost


def used_share(outcome: Outcome, goal: Goal) -> float:
    """Return how much is used up of what is allowed; above 1 where the objective or the mean accuracy is missed."""
    return max(late_share(outcome, goal), lost_share(outcome, goal.floor))


def late_share(outcome: Outcome, goal: Goal) -> float:
    """Return the share of late answers, in multiples of what is allowed."""
    return outcome.violating_share / goal.violating_share


def lost_share(outcome: Outcome, floor: float | None) -> float:
    """Return the accuracy that was lost on average, as a share of what may be; inf where nothing may and some was."""
    if floor is None or np.isnan(outcome.mean_accuracy):
        return 0.0
    allowed = outcome.mean_accuracy + outcome.lost_accuracy - floor
    if allowed <= ROUNDING:
        return 0.0 if keeps(outcome, floor) else np.inf
    return outcome.lost_accuracy / allowed


def keeps(outcome: Outcome, floor: float | None) -> bool:
    """Tell whether answers were accurate enough on average; None: any are."""
    return floor is None or np.isnan(outcome.mean_accuracy) or outcome.mean_accuracy >= floor - ROUNDING


@dataclass(frozen=True, slots=True)
class Trial:
    """What settings came to on the part of the history that they were not chosen on.

    Attributes:
        outcome: Over all of it.
        block_costs: Mean hourly cost of each of some blocks of equal length, shape (blocks,).
    """

    outcome: Outcome
    block_costs: Floats


def is_worth_adopting(new: Trial, current: Trial, most_violating: float = VIOLATING_SHARE) -> bool:
    """Tell whether new settings are better than the current ones beyond luck, on the same days.

    They are when the current ones miss the objective and the new ones miss it less; or when they miss it no more than the
    current ones, or not at all, and save at least LEAST_GAIN and two standard errors of the difference between blocks.

    Args:
        new: Of the settings that would be adopted.
        current: Of those in use.
        most_violating: Share of requests that may be late or refused.
    """
    if current.outcome.violating_share > most_violating:
        return new.outcome.violating_share < current.outcome.violating_share
    if new.outcome.violating_share > most_violating:
        return False
    savings = current.block_costs - new.block_costs
    error = float(savings.std(ddof=1) / np.sqrt(len(savings))) if len(savings) > 1 else 0.0
    needed = max(LEAST_GAIN * float(current.block_costs.mean()), STANDARD_ERRORS * error)
    return float(savings.mean()) > needed


_LADDER_ROWS: Final = (
    ((0.99, 0.9, 0.0), (0.9, 0.5, 0.15), (0.99, 0.5, -0.2), (0.9, 0.5, -0.1)),
    ((0.99, 0.5, 0.15), (0.99, 0.5, 0.0), (0.99, 0.5, -0.1), (0.99, 0.9, 0.2)),
    ((0.99, 0.99, 0.0), (0.99, 0.9, 0.5), (0.99, 0.9, 1.0), (0.99, 0.95, 0.0)),
)
"""Quantile, recourse quantile and headroom. When only every fourth can be tried it is the first of each row; when only
every second can, the first and the third."""

_PLAIN_ROWS: Final = (
    ((0.99, 0.0), (0.9, 0.15), (0.99, 0.15), (0.9, 0.0)),
    ((0.99, 0.3), (0.9, 0.5), (0.99, -0.1), (0.9, -0.1)),
    ((0.99, 1.0), (0.99, 0.7), (0.99, 0.5), (0.99, -0.2)),
)
"""Quantile and headroom, for replicas that hold one variant: there is no recourse then."""

_LADDER_HEADROOMS: Final = (0.0, 0.15, -0.15, 0.7)
_PLAIN_HEADROOMS: Final = (0.0, 0.4, 0.1, 0.7)
"""Of the reactive rule, in the same order."""


def _grid(forecast: Iterable[PolicySettings], headrooms: Iterable[float]) -> tuple[PolicySettings, ...]:
    reactive = (PolicySettings(headroom=headroom, forecaster="Reactive") for headroom in headrooms)
    tried = (*forecast, *reactive)
    return tuple(replace(settings, scale_down_seconds=seconds) for seconds in (60.0, 300.0) for settings in tried)


LADDER_GRID: Final = _grid((PolicySettings(*each) for row in _LADDER_ROWS for each in row), _LADDER_HEADROOMS)
PLAIN_GRID: Final = _grid(
    (PolicySettings(quantile, headroom=headroom) for row in _PLAIN_ROWS for quantile, headroom in row), _PLAIN_HEADROOMS
)


def grid_for(workload: Workload) -> tuple[PolicySettings, ...]:
    """Return the settings to try, with different recourse only where some pool has a ladder.

    They are few enough that the best of them is not luck (at most 50), and the plain reactive rule is among them.
    """
    has_ladder = any(len(ladder_of(workload, capacity.pool)) > 1 for capacity in workload.capacities)
    return LADDER_GRID if has_ladder else PLAIN_GRID
