"""The plan: demand, candidates, selection, limits on change, and the reason, as one value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import (
    Choice,
    Observation,
    Plan,
    PolicyState,
    QuantileForecast,
    ReplicaCapacity,
    Workload,
    known,
)
from modelscaler.planner import wording
from modelscaler.planner.behavior import (
    limit_change,
    longest_period_seconds,
    longest_window_seconds,
    remember,
)
from modelscaler.planner.candidates import ROUNDING, Candidate, candidates, choice_of
from modelscaler.planner.demand import demand_for
from modelscaler.planner.selection import Selection, select


def plan(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    interval_seconds: float,
) -> tuple[Plan, PolicyState]:
    """Choose replicas x placement x variant, and say why.

    Args:
        workload: What the user asked for.
        observation: What is seen.
        forecast: Quantiles of the coming load; None when there is none.
        state: What earlier decisions left behind.
        interval_seconds: Time until the next decision.

    Returns:
        The plan, and the state with what this decision adds to it (the pools in `state.active` and `state.switch` are
        moved by `next_step`, not here).
    """
    now = observation.now
    demands = {
        p.name: demand_for(workload, observation, forecast, p.name, interval_seconds) for p in workload.placements
    }
    ranked = candidates(workload, demands, state, now)
    everything_out = not ranked
    if everything_out:  # nothing else to try: the least bad of what failed
        ranked = candidates(workload, demands, replace(state, outages=()), now)
    state = replace(state, missing_ticks=_missing_ticks(observation, state))
    selection = select(workload, ranked, state, now, knows=known(observation.offered) is not None)
    decision = _sized(workload, observation, selection, state, everything_out)
    second = _runner_up(ranked, selection.candidate)
    made = Plan(
        target=decision.choice,
        reason=decision.reason,
        message=wording.message(
            workload, observation, selection.candidate, decision.choice, decision.reason, decision.binding
        ),
        binding=decision.binding,
        demand=selection.candidate.demand,
        runner_up=second.choice if second else None,
        why_not_runner_up=wording.why_not(second.choice, decision.choice) if second else "",
    )
    return made, _next_state(workload, observation, selection, decision, state)


@dataclass(frozen=True, slots=True)
class _Decision:
    choice: Choice
    wanted: int
    reason: DecisionReason
    binding: Binding


def _sized(
    workload: Workload, observation: Observation, selection: Selection, state: PolicyState, everything_out: bool
) -> _Decision:
    candidate = selection.candidate
    wanted, reason, binding = candidate.choice.replicas, selection.reason, candidate.binding
    current = observation.pool(candidate.choice.pool).replicas
    if known(observation.offered) is None and state.active is not None:
        wanted = max(wanted, current, _equivalent(workload, observation, candidate, state), _fallback(workload, state))
        reason, binding = reason or _missing_reason(workload, state), Binding.METRICS
    replicas = min(wanted, _most(workload, candidate.choice.pool.placement))
    if candidate.choice.pool == state.active and current > 0:
        replicas, held = _limited(workload, observation, current, replicas, state)
        binding = held or binding
    choice = choice_of(workload, _capacity(workload, candidate), replicas, candidate.demand.planned_rps)
    if everything_out:
        binding = Binding.AVAILABILITY
    return _Decision(choice, wanted, reason or _reason(candidate, choice, current), binding)


def _limited(
    workload: Workload, observation: Observation, current: int, wanted: int, state: PolicyState
) -> tuple[int, Binding | None]:
    replicas, held = limit_change(workload, current, wanted, state.recommendations, state.changes, observation.now)
    latency_seconds = known(observation.latency)
    if replicas < current and latency_seconds is not None and latency_seconds > workload.objective.latency_seconds:
        return current, Binding.DEMAND  # the objective is missed as it is: nothing is taken away
    return max(replicas, min(workload.min_replicas, wanted)), held


def _equivalent(workload: Workload, observation: Observation, candidate: Candidate, state: PolicyState) -> int:
    """Return the replicas that carry what the serving pool carries: while the load is unknown, no capacity is lost."""
    serving = next((c for c in workload.capacities if c.pool == state.active), None)
    if serving is None or candidate.sustainable_rps <= 0:
        return 0
    carried_rps = observation.pool(serving.pool).replicas * sustainable_rps(serving, workload.objective)
    return math.ceil(carried_rps / candidate.sustainable_rps - ROUNDING)


def _fallback(workload: Workload, state: PolicyState) -> int:
    return workload.fallback.replicas if workload.fallback and _failing(workload, state) else 0


def _failing(workload: Workload, state: PolicyState) -> bool:
    return workload.fallback is not None and state.missing_ticks >= workload.fallback.failure_threshold


def _missing_reason(workload: Workload, state: PolicyState) -> DecisionReason:
    return DecisionReason.FALLBACK if _failing(workload, state) else DecisionReason.METRICS_MISSING


def _most(workload: Workload, placement: str) -> int:
    return min(workload.max_replicas, workload.placement(placement).max_replicas or workload.max_replicas)


def _capacity(workload: Workload, candidate: Candidate) -> ReplicaCapacity:
    return next(c for c in workload.capacities if c.pool == candidate.choice.pool)


def _reason(candidate: Candidate, choice: Choice, current: int) -> DecisionReason:
    if not candidate.choice.feasible:
        return DecisionReason.INFEASIBLE
    if choice.replicas == current:
        return DecisionReason.STEADY
    if choice.replicas < current:
        return DecisionReason.DEMAND_FELL
    demand = candidate.demand
    forecast_led = (demand.forecast_rps or 0.0) > (demand.measured_rps or 0.0)
    return DecisionReason.FORECAST_DEMAND if forecast_led else DecisionReason.MEASURED_DEMAND


def _runner_up(ranked: Sequence[Candidate], chosen: Candidate) -> Candidate | None:
    return next((c for c in ranked if c.choice.pool != chosen.choice.pool), None)


def _missing_ticks(observation: Observation, state: PolicyState) -> int:
    if known(observation.offered) is not None:
        return 0
    return min(state.missing_ticks + int(observation.new_readings), 1_000_000)


def _next_state(
    workload: Workload, observation: Observation, selection: Selection, decision: _Decision, state: PolicyState
) -> PolicyState:
    now = observation.now
    same_pool = decision.choice.pool == state.active
    past = state.recommendations if same_pool else ()
    change = decision.choice.replicas - observation.pool(decision.choice.pool).replicas if same_pool else 0
    changes = state.changes
    if change:
        changes = tuple(remember(changes, (now, change), now, longest_period_seconds(workload)))
    window = longest_window_seconds(workload)
    return replace(
        state,
        recommendations=tuple(remember(past, (now, decision.wanted), now, window)),
        changes=changes,
        cheaper_since=selection.cheaper_since,
        planned_generation=workload.generation,
    )
