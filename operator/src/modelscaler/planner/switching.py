"""When to leave the pool in use for a better one. Pure.

At once, when the pool in use cannot be had or cannot carry the demand and another can. For a saving only when it pays: a
switch runs two pools while the new one starts, and that price is worth paying once the other choice has been cheaper for so
long that the saving would have covered it (ski rental: at most twice the cost of knowing the future, Karlin et al. 1988). For
accuracy alone, which has no price, when it has been better for a whole stabilisation window. For fewer cheaper answers, where
the pool in use keeps its objective with its ladder (it lost replicas that may soon be back), after such a window too, or as
soon as the other pool would otherwise come too late for the mean accuracy. A switch is called off at once where the pool in
use was only silent; where it was too small for the load, once it has been enough for as long as the other takes to start.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modelscaler.api.words import DecisionReason
from modelscaler.domain import PolicyState, PoolKey
from modelscaler.planner.choice import NEAR_EQUAL_COST, Option, best
from modelscaler.planner.recourse import BUDGET_SECONDS, expected_share

WORTHWHILE_SAVING = 0.10
"""A smaller saving is no reason to move. Twice what counts as equal cost, so that taste alone never moves to and fro."""

WORTHWHILE_RELIEF = 0.10
"""Where no pool carries the whole demand, another must carry this much more to be worth a switch."""

CALL_OFF_MARGIN = 0.10
"""A switch away from a pool that was only silent is called off when that would do after all, with this much to spare."""

FOR_THE_LOAD = frozenset({DecisionReason.FORECAST_DEMAND, DecisionReason.MEASURED_DEMAND})
"""Reasons of switches that the serving pool was too small for."""

SPENT_WAITING = 0.5
"""So much of what servers have saved may be used up while waiting for lost replicas."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The option to take. `waiting` is a better one whose time has not come, None when there is none.

    `better_since` is since when some other option has been better, and `patience_seconds` how long it must be.
    """

    option: Option
    waiting: Option | None = None
    better_since: datetime | None = None
    patience_seconds: float = 0.0


def select(
    listed: Sequence[Option], state: PolicyState, now: datetime, window_seconds: float, load_is_known: bool
) -> Selection:
    """Choose among at least one option.

    Args:
        listed: The options.
        state: What is in use, and since when something was better.
        now: The time.
        window_seconds: How long a more accurate choice at equal cost must have been better.
        load_is_known: Whether the load is known; if not, nothing is left for a saving.
    """
    first = best(listed)
    incumbent = in_use(listed, state)
    if incumbent is None or incumbent is first:
        return Selection(first)
    if not first.candidate.available:  # nor is the incumbent: there is nowhere to go, and what runs is kept
        return Selection(incumbent)
    if must_leave(incumbent, first):
        return Selection(first)
    is_back, for_the_load = _is_back(listed, state, first), _is_for_the_load(state)
    if is_back and not for_the_load and _is_ample(first):
        return Selection(first)
    if not load_is_known or not (_degrades_less(first, incumbent) or _is_better(first, incumbent)):
        return Selection(incumbent)
    since = state.cheaper_since or now
    patience_seconds = _patience_seconds(first, incumbent, window_seconds)
    if is_back and for_the_load:
        patience_seconds = max(patience_seconds, incumbent.candidate.start_seconds)
    if (now - since).total_seconds() < patience_seconds:
        return Selection(incumbent, first, since, patience_seconds)
    return Selection(first, better_since=since)


def in_use(listed: Sequence[Option], state: PolicyState) -> Option | None:
    """Return the option a switch is under way to, else the serving one; None when neither may be used."""
    under_way = option_of(listed, state.switch.target) if state.switch else None
    if under_way is not None and under_way.candidate.available:
        return under_way
    return option_of(listed, state.active)


def option_of(listed: Sequence[Option], pool: PoolKey | None) -> Option | None:
    """Return the option for a pool, None when it is not listed."""
    return next((option for option in listed if option.candidate.pool == pool), None)


def must_leave(incumbent: Option, first: Option) -> bool:
    """Tell whether the incumbent fails where the first need not."""
    if first.wishes > incumbent.wishes:
        return True
    relief = first.feasible or first.carried_rps >= incumbent.carried_rps * (1.0 + WORTHWHILE_RELIEF)
    return not incumbent.feasible and relief and first.carried_rps > incumbent.carried_rps


def worth_moving(first: Option, incumbent: Option) -> bool:
    """Tell whether the first is worth a switch from the incumbent, now or once that has lasted."""
    return must_leave(incumbent, first) or _degrades_less(first, incumbent) or _is_better(first, incumbent)


def why_leave(active: Option | None, target: Option, state: PolicyState) -> DecisionReason:
    """Return why the target is preferred to the serving pool (None when that may not be used any more)."""
    if active is None:
        return DecisionReason.SPEC_CHANGED
    if not active.candidate.available or (active.candidate.stuck and not active.feasible):
        return DecisionReason.CANDIDATE_UNAVAILABLE
    if any(outage.pool == target.candidate.pool for outage in state.outages):
        return DecisionReason.FAILBACK
    if target.wishes > active.wishes:
        return DecisionReason.SPEC_CHANGED
    if not active.feasible or active.degraded_rps > target.degraded_rps:
        return demand_reason(active)
    return DecisionReason.CHEAPER_CHOICE


def demand_reason(option: Option) -> DecisionReason:
    """Return whether the forecast or what is measured asks for more."""
    return DecisionReason.FORECAST_DEMAND if option.decisive.forecast_leads else DecisionReason.MEASURED_DEMAND


def _degrades_less(first: Option, incumbent: Option) -> bool:
    """Tell whether the incumbent would have to give cheaper answers for good, and the first fewer or none."""
    if not first.feasible or incumbent.degraded_rps <= 0.0 or first.own_carried_rps <= incumbent.own_carried_rps:
        return False
    return first.degraded_rps <= 0.0 or (first.own_carried_rps >= incumbent.own_carried_rps * (1.0 + WORTHWHILE_RELIEF))


def _is_back(listed: Sequence[Option], state: PolicyState, first: Option) -> bool:
    """Tell whether the pool that a switch leads away from is the best again."""
    return state.switch is not None and first is option_of(listed, state.active)


def _is_for_the_load(state: PolicyState) -> bool:
    """Tell whether the switch under way is one from a pool that is too small for the load, and not from one that is silent.

    Such a switch is called off only once its start would have been worth it: forecasts go to and fro, and to begin anew costs
    another start.
    """
    return state.switch is not None and state.switch.reason in FOR_THE_LOAD


def _is_ample(first: Option) -> bool:
    """Tell whether a pool carries the demand with something to spare."""
    ample_rps = first.far.planned_rps * (1.0 + CALL_OFF_MARGIN)
    own_rps = first.far.lasting_rps * (1.0 + CALL_OFF_MARGIN)
    return first.candidate.carried_rps(ample_rps) >= ample_rps and first.candidate.own_carried_rps(own_rps) >= own_rps


def _is_better(first: Option, incumbent: Option) -> bool:
    if saves(first.hourly_cost, incumbent.hourly_cost):
        return True
    more_accurate = first.candidate.accuracy > incumbent.candidate.accuracy
    return more_accurate and first.hourly_cost <= incumbent.hourly_cost * (1.0 + NEAR_EQUAL_COST)


def saves(hourly_cost: float, instead_of: float) -> bool:
    """Tell whether a price is so much below another that it is a reason to move."""
    return hourly_cost < instead_of * (1.0 - WORTHWHILE_SAVING)


def _patience_seconds(first: Option, incumbent: Option, window_seconds: float) -> float:
    """Return how long the first must have been better before it is worth a switch."""
    if _degrades_less(first, incumbent):
        return min(window_seconds, max(_bearable_seconds(incumbent) - first.candidate.start_seconds, 0.0))
    return _pays_after_seconds(first, incumbent) if saves(first.hourly_cost, incumbent.hourly_cost) else window_seconds


def _bearable_seconds(option: Option) -> float:
    """Return for how long the option may give the cheaper answers that the lasting load needs."""
    rung, lasting_rps = option.candidate.rung, option.far.lasting_rps
    if rung is None or rung.allowed_share <= 0.0:
        return 0.0
    share = expected_share([lasting_rps], option.own_carried_rps, rung.speedup)
    if share <= rung.allowed_share:
        return math.inf
    saved = BUDGET_SECONDS * option.candidate.obtainable * option.candidate.rung_rps_per_replica
    return SPENT_WAITING * saved / ((share - rung.allowed_share) * lasting_rps)


def _pays_after_seconds(first: Option, incumbent: Option) -> float:
    """Return how long the saving must last to pay for running both while the new pool starts."""
    saving = incumbent.hourly_cost - first.hourly_cost
    return first.candidate.start_seconds * first.hourly_cost / saving
