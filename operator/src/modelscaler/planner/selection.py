"""Which pool to use: the best one, unless leaving the one in use costs more than it saves.

A switch runs two pools at once while the new one starts. It is worth that price once another choice has been cheaper for so
long that the saving would have paid for it: the ski-rental rule, 2-competitive (Karlin et al., 1988).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modelscaler.api.words import DecisionReason
from modelscaler.domain import PolicyState, PoolKey, Workload, is_out
from modelscaler.planner.candidates import Candidate, allowed

WORTHWHILE_SAVING = 0.10


@dataclass(frozen=True, slots=True)
class Selection:
    """The pool to use and why; `reason` None: the one in use stays. `cheaper_since`: see PolicyState."""

    candidate: Candidate
    reason: DecisionReason | None
    cheaper_since: datetime | None = None


def select(
    workload: Workload, ranked: Sequence[Candidate], state: PolicyState, now: datetime, knows: bool
) -> Selection:
    """Choose among ranked candidates (not empty).

    Args:
        workload: Whose prices and floor count.
        ranked: Candidates, best first.
        state: What is in use, and since when something was cheaper.
        now: The time.
        knows: Whether the load is known; if not, nothing is left for a saving.
    """
    best = ranked[0]
    in_use = state.switch.target if state.switch else state.active
    if in_use is None:
        return Selection(best, DecisionReason.FIRST_PLAN)
    incumbent = next((c for c in ranked if c.choice.pool == in_use), None)
    if incumbent is None:
        return Selection(best, _why_not_available(workload, in_use, state, now))
    if best is incumbent:
        return Selection(incumbent, None)
    if best.choice.feasible and not incumbent.choice.feasible:
        return Selection(best, _carries_more(best, state, now))
    if not knows or not _cheaper(best, incumbent):
        return Selection(incumbent, None)
    since = state.cheaper_since or now
    if (now - since).total_seconds() < break_even_seconds(workload, best, incumbent):
        return Selection(incumbent, None, cheaper_since=since)
    returns = any(outage.pool == best.choice.pool for outage in state.outages)
    return Selection(best, DecisionReason.FAILBACK if returns else DecisionReason.CHEAPER_CHOICE)


def break_even_seconds(workload: Workload, best: Candidate, incumbent: Candidate) -> float:
    """Return for how long a saving must last to pay for running both pools while the new one starts."""
    saving = incumbent.choice.hourly_cost - best.choice.hourly_cost
    start_seconds = workload.placement(best.choice.pool.placement).start_seconds
    return start_seconds * best.choice.hourly_cost / saving


def _cheaper(best: Candidate, incumbent: Candidate) -> bool:
    both = best.choice.feasible == incumbent.choice.feasible
    return both and best.choice.hourly_cost <= incumbent.choice.hourly_cost * (1.0 - WORTHWHILE_SAVING)


def _carries_more(best: Candidate, state: PolicyState, now: datetime) -> DecisionReason:
    if any(outage.pool == best.choice.pool and outage.until <= now for outage in state.outages):
        return DecisionReason.FAILBACK
    demand = best.demand
    forecast_led = (demand.forecast_rps or 0.0) > (demand.measured_rps or 0.0)
    return DecisionReason.FORECAST_DEMAND if forecast_led else DecisionReason.MEASURED_DEMAND


def _why_not_available(workload: Workload, pool: PoolKey, state: PolicyState, now: datetime) -> DecisionReason:
    if not allowed(workload, pool) or not is_out(state, pool, now):
        return DecisionReason.SPEC_CHANGED
    return DecisionReason.CANDIDATE_UNAVAILABLE
