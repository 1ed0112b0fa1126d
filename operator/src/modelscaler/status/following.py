"""The status that follows from a decision, or from a ModelDeployment that cannot be managed."""

from typing import Final

from modelscaler.api.v1alpha1 import (
    ActivePool,
    Decision,
    DesiredPool,
    DesiredSide,
    ForecastStatus,
    ForecastWeight,
    LoadStatus,
    ModelDeploymentStatus,
    RunnerUp,
    SidePool,
)
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Observation, Plan, PoolKey, QuantileForecast, Side, Step, Value, Workload, known
from modelscaler.planner.idling import MOST_MISSING_TICKS
from modelscaler.planner.recourse import degraded_share
from modelscaler.status.candidates import candidates_status
from modelscaler.status.capacity import capacity_status
from modelscaler.status.conditions import conditions
from modelscaler.status.inputs import StatusInputs
from modelscaler.status.memory import policy_status, transition_status, unavailable_status
from modelscaler.status.reflex import served_accuracy
from modelscaler.status.settling import EXCEPTIONAL
from modelscaler.status.starts import starts_status
from modelscaler.status.wording import clipped, decimal, exact, optional_decimal, optional_share, to_the_second

LOWER_QUANTILE: Final = 0.1
MEDIAN: Final = 0.5

# With the target unchanged, these say nothing new; those must not be shown a moment longer than they are true.
UNEVENTFUL: Final = frozenset({DecisionReason.STEADY, DecisionReason.FORECAST_DEMAND, DecisionReason.MEASURED_DEMAND})
HOLDING: Final = frozenset({Binding.STABILIZATION, Binding.SCALE_UP_RATE, Binding.SCALE_DOWN_RATE, Binding.SWITCH_COST})


def next_status(inputs: StatusInputs) -> ModelDeploymentStatus:
    """Return the whole status as it should be now; `settle` says whether it is worth writing."""
    if inputs.workload is None or inputs.plan is None or inputs.step is None:
        return _undecided(inputs)
    return _decided(inputs, inputs.workload, inputs.plan, inputs.step)


def _undecided(inputs: StatusInputs) -> ModelDeploymentStatus:
    """Keep everything that is remembered: what cannot be managed now is left running as it is."""
    active, seen = inputs.previous.active, inputs.observation
    if active and seen:
        active = _active(PoolKey(active.placement, active.variant), seen, None)
    return inputs.previous.model_copy(
        update={"observed_generation": inputs.generation, "active": active, "conditions": conditions(inputs)}
    )


def _decided(inputs: StatusInputs, workload: Workload, plan: Plan, step: Step) -> ModelDeploymentStatus:
    state, seen = step.state, inputs.observation
    return ModelDeploymentStatus(
        observed_generation=inputs.generation,
        conditions=conditions(inputs),
        active=_active(state.active, seen, step) if state.active and seen else None,
        side=_side(state.side, seen, step) if state.side and seen else None,
        desired=_desired(plan),
        transition=transition_status(state.switch),
        unavailable=unavailable_status(state.outages),
        load=_load(seen) if seen else None,
        forecast=_forecast(inputs.forecast, plan, workload.policy.quantile or workload.forecast.quantile),
        served_accuracy=optional_share(served_accuracy(workload, seen)) if seen else None,
        degraded_share=optional_share(degraded_share(workload, seen, state.active)) if seen else None,
        capacity=capacity_status(
            inputs.capacities, starts_status(inputs.previous.capacity, seen.starts if seen else {})
        ),
        last_decision=_decision(inputs, plan),
        tuning=inputs.tuning,
        policy=policy_status(state, _most_missing_ticks(workload), inputs.savings),
    )


def _most_missing_ticks(workload: Workload) -> int:
    """Return how many ticks without metrics make a difference to a decision."""
    threshold = workload.fallback.failure_threshold if workload.fallback else 1
    return threshold if workload.idling is None else max(threshold, MOST_MISSING_TICKS + 1)


def _active(pool: PoolKey, seen: Observation, step: Step | None) -> ActivePool:
    observed = seen.pool(pool)
    asked = next((t.replicas for t in step.pools if t.pool == pool), observed.replicas) if step else observed.replicas
    return ActivePool(placement=pool.placement, variant=pool.variant, replicas=asked, ready_replicas=observed.ready)


def _side(side: Side, seen: Observation, step: Step) -> SidePool:
    observed = seen.pool(side.pool)
    asked = next((t.replicas for t in step.pools if t.pool == side.pool), observed.replicas)
    return SidePool(
        placement=side.pool.placement,
        variant=side.pool.variant,
        replicas=asked,
        ready_replicas=observed.ready,
        share=decimal(step.route.side_share if step.route and step.route.side == side.pool else 0.0),
        start_time=exact(side.started_at),
    )


def _desired(plan: Plan) -> DesiredPool:
    target, beside = plan.target, plan.side
    side = (
        DesiredSide(placement=beside.pool.placement, variant=beside.pool.variant, replicas=beside.replicas)
        if beside
        else None
    )
    return DesiredPool(
        placement=target.pool.placement,
        variant=target.pool.variant,
        replicas=target.replicas,
        hourly_cost=decimal(plan.hourly_cost),
        side=side,
    )


def _load(seen: Observation) -> LoadStatus:
    queued = known(seen.queued)
    latency_ms = round(seen.latency.value * 1000.0) if isinstance(seen.latency, Value) else None
    return LoadStatus(
        time=exact(seen.now),
        offered_rps=optional_decimal(known(seen.offered)),
        queued=None if queued is None else round(queued),
        latency_milliseconds=latency_ms,
    )


def _forecast(forecast: QuantileForecast | None, plan: Plan, quantile: float) -> ForecastStatus | None:
    if forecast is None:
        return None
    horizon_seconds = plan.demand.horizon_seconds
    return ForecastStatus(
        method=forecast.method,
        weights=[ForecastWeight(forecaster=name, share=decimal(share)) for name, share in forecast.shares],
        reason=clipped(forecast.note) or None,
        horizon_seconds=round(horizon_seconds),
        lower_rps=decimal(forecast.peak(LOWER_QUANTILE, horizon_seconds)),
        median_rps=decimal(forecast.peak(MEDIAN, horizon_seconds)),
        planned_rps=decimal(forecast.peak(quantile, horizon_seconds)),
    )


def _decision(inputs: StatusInputs, plan: Plan) -> Decision:
    """Return the last decision: a new one when this tick decided something, else the one that still stands."""
    before = inputs.previous.last_decision
    if before and not decides_anew(inputs.previous, plan):
        return before
    return Decision(
        time=to_the_second(inputs.now),
        reason=plan.reason,
        message=clipped(plan.message),
        binding_constraint=plan.binding,
        measured_rps=optional_decimal(plan.demand.measured_rps),
        rising_rps=optional_decimal(plan.demand.rising_rps),
        forecast_rps=optional_decimal(plan.demand.forecast_rps),
        planned_rps=decimal(plan.demand.planned_rps),
        horizon_seconds=round(plan.demand.horizon_seconds),
        runner_up=_runner_up(plan),
        candidates=candidates_status(inputs.candidates, plan),
    )


def decides_anew(previous: ModelDeploymentStatus, plan: Plan) -> bool:
    """Tell whether a plan is a new decision, or the last one still stands."""
    before = previous.last_decision
    return before is None or previous.desired != _desired(plan) or not _stands(before, plan)


def _stands(before: Decision, plan: Plan) -> bool:
    """Tell whether a decision still explains a target that has not changed."""
    if (before.reason, before.binding_constraint) == (plan.reason, plan.binding):
        return True
    return plan.reason in UNEVENTFUL and before.reason not in EXCEPTIONAL and before.binding_constraint not in HOLDING


def _runner_up(plan: Plan) -> RunnerUp | None:
    second = plan.runner_up
    if second is None:
        return None
    return RunnerUp(
        placement=second.pool.placement,
        variant=second.pool.variant,
        replicas=second.replicas,
        hourly_cost=decimal(second.hourly_cost),
        why_not=clipped(plan.why_not_runner_up),
    )
