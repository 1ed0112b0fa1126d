"""What each condition says, judged from what is seen and planned.

Messages hold no figure that moves by itself, or every tick would change them; figures have fields of their own.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from modelscaler.api.words import Binding, ConditionReason, DecisionReason
from modelscaler.domain import (
    Absent,
    Allowance,
    AtLeast,
    Objective,
    Observation,
    Plan,
    PolicyState,
    PoolKey,
    PoolObservation,
    Rollout,
    SloVerdict,
    SourceError,
    Stale,
    Workload,
    is_out,
    is_unknown,
    known,
)
from modelscaler.planner.allowances import WHY, denied
from modelscaler.status.inputs import StatusInputs, slo_verdict

Truth: TypeAlias = Literal["True", "False", "Unknown"]

NOT_TO_BE_HAD: Final = frozenset({"Unschedulable", "NotReady"})  # no room on any node, or the node itself is gone
CAPPED: Final = {
    Binding.MAX_REPLICAS: "demand or a minimum asks for more replicas than maxReplicas, of scaling or of the placement, allows",
    Binding.MAX_HOURLY_COST: "demand or a minimum asks for more than scaling.maxHourlyCost pays for; the minimum is kept",
    Binding.SCALE_UP_RATE: "demand asks for more at once than scaling.behavior.scaleUp allows",
    **{Binding(reason.value): f"demand asks for more accelerators: {why}" for reason, why in WHY.items()},
}
COUNTED_NONE: Final = (
    "no node that is ready has any; where an autoscaler adds nodes, set accelerators.supply of the operator to OnDemand"
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a condition holds, and why."""

    status: Truth
    reason: str
    message: str


def accepted(inputs: StatusInputs) -> Judgement:
    """Judge whether the spec can be acted on."""
    if inputs.rejected:
        reason, message = inputs.rejected
        return Judgement("False", reason, f"{message}; what runs is left as it is")
    return Judgement("True", ConditionReason.VALID, "the spec is valid")


def applied(inputs: StatusInputs) -> Judgement:
    """Judge whether the API server has taken what was decided."""
    if inputs.refused:
        reason, message = inputs.refused
        return Judgement("False", reason, f"{message}; it is tried again with every tick")
    return Judgement("True", ConditionReason.AS_DECIDED, "the API server refuses nothing of what was decided")


def undecided(inputs: StatusInputs) -> Judgement:
    """Judge what only a decision can tell, when none was made."""
    reason = inputs.rejected[0] if inputs.rejected else ConditionReason.UNKNOWN
    return Judgement("Unknown", reason, "not judged, because no decision could be made; see the condition Accepted")


def paused(inputs: StatusInputs) -> Judgement:
    """Judge whether the user has paused the ModelDeployment."""
    if inputs.paused:
        return Judgement(
            "True", ConditionReason.ANNOTATED, "the pause annotation is set: nothing is changed until it goes"
        )
    return Judgement("False", ConditionReason.NOT_PAUSED, "the pause annotation is not set")


def ready(inputs: StatusInputs) -> Judgement:
    """Judge whether the serving pool serves: at least the smallest number of replicas allowed is ready."""
    pool, seen = _serving(inputs), inputs.observation
    if seen is None:
        return Judgement("Unknown", ConditionReason.UNKNOWN, "the spec cannot be read, so its pools are not looked at")
    if pool is None:
        return Judgement("False", ConditionReason.STARTING, _progress(seen.pools))
    found = seen.pool(pool)
    if inputs.step is not None and inputs.step.held and not found.failure:
        return _held(pool, seen, inputs.plan)
    needed = max(1, min(inputs.workload.min_replicas if inputs.workload else 1, found.replicas))
    if found.ready >= needed:
        is_about_to_serve = inputs.step is not None and inputs.step.serving == pool and inputs.refused is None
        return _up(pool, seen, is_about_to_serve)
    if found.failing:
        why = f"replicas of {pool} do not start: {found.failure}; see `kubectl logs` and `kubectl describe` of its pods"
        return Judgement("False", ConditionReason.MODEL_FAILED, why)
    if found.refused:
        why = f"replicas of {pool} cannot be made; see `kubectl describe` of its Deployment"
        return Judgement("False", ConditionReason.REPLICAS_REFUSED, why)
    if found.ready or found.starting or found.unschedulable:
        return Judgement(
            "False", ConditionReason.STARTING, f"fewer replicas of {pool} are ready than scaling.minReplicas asks"
        )
    return Judgement("False", ConditionReason.NOT_STARTED, f"no replica of {pool} is ready")


def _up(pool: PoolKey, seen: Observation, is_about_to_serve: bool) -> Judgement:
    """Judge readiness where enough replicas are ready."""
    if seen.held and seen.activator_ready and is_about_to_serve:
        return Judgement("True", ConditionReason.WAKING, f"requests are held until the Service selects {pool}")
    if seen.selected is None:
        return Judgement("False", ConditionReason.STARTING, f"no Service selects {pool} yet")
    return Judgement("True", ConditionReason.ENOUGH_READY, f"{pool} serves")


def _held(pool: PoolKey, seen: Observation, plan: Plan | None) -> Judgement:
    """Judge readiness where the activator takes requests, or is about to."""
    if seen.held and not seen.activator_ready:
        nobody = f"neither the activator nor a replica of {pool} is ready"
        return Judgement("False", ConditionReason.NOT_STARTED, nobody)
    until = f"held until a replica of {pool} is ready"
    if plan is not None and plan.idle:
        return Judgement("True", ConditionReason.IDLE, f"nobody asks; who does is {until}")
    return Judgement("True", ConditionReason.WAKING, f"requests are {until}")


def updated(inputs: StatusInputs) -> Judgement:
    """Judge whether the serving pool's pods are as the spec says now; "Unknown" while they are being replaced."""
    pool, seen = _serving(inputs), inputs.observation
    if pool is None or seen is None:
        return Judgement("Unknown", ConditionReason.UNKNOWN, "no pool serves yet")
    found = seen.pool(pool)
    if found.rollout is Rollout.FAILED:
        why = (
            f"pods of {pool} as the spec has them now do not get ready, so the old ones go on; "
            "see `kubectl logs` and `kubectl describe` of the new ones"
        )
        return Judgement("False", ConditionReason.ROLLOUT_FAILED, why)
    pending = inputs.template_digest is not None and found.template_digest != inputs.template_digest
    if pending or found.rollout is Rollout.UNDER_WAY:
        return Judgement("Unknown", ConditionReason.ROLLING_OUT, f"{pool} is being brought up to date")
    return Judgement("True", ConditionReason.UP_TO_DATE, f"pods of {pool} are as the spec says")


def metrics_available(inputs: StatusInputs) -> Judgement:
    """Judge whether the offered load is known."""
    seen = inputs.observation
    if seen is None:
        return Judgement(
            "Unknown", ConditionReason.UNKNOWN, "the spec cannot be read, so its metrics are not looked at"
        )
    match seen.offered:
        case Absent() if not any(pool.ready for pool in seen.pools):
            return Judgement("Unknown", ConditionReason.SERIES_ABSENT, "no replica is ready yet, so none reports")
        case Absent():
            why = (
                "Prometheus has no modelserver_requests_offered_total of this ModelDeployment, or too few samples for a rate; "
                "check that it scrapes pods with the annotation prometheus.io/scrape"
            )
            return Judgement("False", ConditionReason.SERIES_ABSENT, why)
        case Stale():
            why = "the newest sample is too old to act on; check that Prometheus still scrapes the pods"
            return Judgement("False", ConditionReason.SERIES_STALE, why)
        case SourceError(message=message):
            return Judgement("False", ConditionReason.SOURCE_ERROR, message)
        case AtLeast():
            why = (
                "some replicas that are ready do not report, and are counted as fully loaded; check that Prometheus scrapes "
                "every pod at least twice within the operator's rate window"
            )
            return Judgement("False", ConditionReason.SERIES_INCOMPLETE, why)
        case _ if known(seen.queued) is None:
            why = "nobody says how many requests wait (modelserver_queue_depth), so no replica is taken away"
            return Judgement("False", ConditionReason.QUEUE_UNKNOWN, why)
        case _:
            return Judgement("True", ConditionReason.SERIES_PRESENT, "the offered load is read from Prometheus")


def forecast_healthy(inputs: StatusInputs) -> Judgement:
    """Judge the forecast by what the forecaster says of itself."""
    health = inputs.forecast_health
    status: Truth = "Unknown" if health.healthy is None else "True" if health.healthy else "False"
    return Judgement(status, health.reason, health.message)


def slo_met(objective: Objective, seen: Observation) -> Judgement:
    """Judge the latency objective."""
    promise = f"{objective.percentile * 100:g} % of requests within {objective.latency_seconds * 1000:g} ms"
    match slo_verdict(seen, objective):
        case SloVerdict.MET:
            return Judgement("True", ConditionReason.WITHIN_OBJECTIVE, promise)
        case SloVerdict.MISSED:
            return Judgement("False", ConditionReason.OVER_OBJECTIVE, f"slower than promised: {promise}")
        case SloVerdict.NO_TRAFFIC:
            return Judgement("Unknown", ConditionReason.NO_TRAFFIC, "no request was answered lately")
        case SloVerdict.UNKNOWN:
            return Judgement("Unknown", ConditionReason.UNKNOWN, "the latency is not known")


def scaling_limited(plan: Plan) -> Judgement:
    """Judge whether a limit keeps capacity below what demand asks for."""
    if plan.binding in CAPPED:
        return Judgement("True", plan.binding, CAPPED[plan.binding])
    if not plan.target.feasible:
        return Judgement(
            "True", plan.binding, "no allowed choice carries the demand within the objective; see lastDecision"
        )
    return Judgement("False", ConditionReason.WITHIN_LIMITS, "the limits allow what demand asks for")


def fallback(plan: Plan, seen: Observation) -> Judgement:
    """Judge whether the fallback holds."""
    if plan.reason is DecisionReason.FALLBACK:
        return Judgement(
            "True", ConditionReason.METRICS_MISSING, "metrics stay away: scaling.fallback.replicas are held"
        )
    if is_unknown(seen.offered):
        return Judgement("False", ConditionReason.METRICS_MISSING, "metrics are missing; the fallback does not hold")
    return Judgement("False", ConditionReason.METRICS_PRESENT, "metrics are there")


def routed(inputs: StatusInputs) -> Judgement:
    """Judge whether requests come through a gateway as asked, so that two pools may share them."""
    if inputs.unroutable:
        reason, message = inputs.unroutable
        return Judgement("False", reason, f"{message}; one pool serves at a time")
    route = inputs.observation.route if inputs.observation else None
    if route is None or not route.accepted:
        why = "no Gateway in serving.gateway.parentRefs has taken up the HTTPRoute yet; one pool serves at a time"
        return Judgement("False", ConditionReason.ROUTE_PENDING, why)
    return Judgement("True", ConditionReason.ROUTE_ACCEPTED, "a gateway has taken up the HTTPRoute")


def accelerator_available(workload: Workload, seen: Observation, state: PolicyState) -> Judgement | None:
    """Judge whether accelerators can be had; None when no placement needs one."""
    names = {p.name: p.accelerator for p in workload.placements if p.accelerator}
    if not names:
        return None
    stuck = sorted({pool.pool.placement for pool in seen.pools if pool.unschedulable} & set(names))
    out = {o.pool.placement for o in state.outages if o.reason in NOT_TO_BE_HAD and is_out(state, o.pool, seen.now)}
    lacking = sorted(set(stuck) | (out & set(names)))
    if lacking:
        wanted = ", ".join(f"{names[name]} for placement {name}" for name in lacking)
        return Judgement("False", ConditionReason.UNSCHEDULABLE, f"no node has room: {wanted}")
    if refused := denied(seen.allowances):
        told = [f"{names.get(a.placement)} for placement {a.placement}: {_why_refused(a)}" for a in refused]
        return Judgement("False", refused[0].reason, "; ".join(told))
    if any(pool.ready and pool.pool.placement in names for pool in seen.pools):
        return Judgement("True", ConditionReason.SCHEDULABLE, "replicas run on accelerators")
    return Judgement("Unknown", ConditionReason.NOT_REQUESTED, "no replica asks for an accelerator now")


def _why_refused(allowance: Allowance) -> str:
    return COUNTED_NONE if allowance.counted_units == 0 else WHY[allowance.reason]


def _serving(inputs: StatusInputs) -> PoolKey | None:
    if inputs.step is not None:
        return inputs.step.state.active
    active = inputs.previous.active
    return PoolKey(active.placement, active.variant) if active else None


def _progress(pools: tuple[PoolObservation, ...]) -> str:
    troubled = next((p for p in pools if p.failure), None)
    if troubled:
        return f"the first pool is being started; {troubled.pool}: {troubled.failure}"
    return "the first pool is being started"
