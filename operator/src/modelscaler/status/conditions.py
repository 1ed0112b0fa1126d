"""The conditions of a ModelDeployment, each with a transition time that moves only when its status does."""

from datetime import datetime

from modelscaler.api.v1alpha1 import Condition
from modelscaler.api.words import ConditionReason, ConditionType
from modelscaler.status import judgements
from modelscaler.status.inputs import StatusInputs
from modelscaler.status.judgements import Judgement
from modelscaler.status.wording import LONGEST_WORD_CHARACTERS, clipped, to_the_second


def conditions(inputs: StatusInputs) -> list[Condition]:
    """Return all conditions, in the order of ConditionType."""
    before = {condition.type: condition for condition in inputs.previous.conditions}
    found = _judged(inputs)
    return [
        _condition(kind, found[kind], before.get(kind), inputs.generation, inputs.now)
        for kind in ConditionType
        if kind in found
    ]


def _judged(inputs: StatusInputs) -> dict[ConditionType, Judgement]:
    always = {
        ConditionType.ACCEPTED: judgements.accepted(inputs),
        ConditionType.APPLIED: judgements.applied(inputs),
        ConditionType.READY: judgements.ready(inputs),
        ConditionType.UPDATED: judgements.updated(inputs),
        ConditionType.METRICS_AVAILABLE: judgements.metrics_available(inputs),
        ConditionType.FORECAST_HEALTHY: judgements.forecast_healthy(inputs),
        ConditionType.PAUSED: judgements.paused(inputs),
    }
    if inputs.routed:
        always[ConditionType.ROUTED] = judgements.routed(inputs)
    if inputs.workload is None or inputs.plan is None or inputs.step is None or inputs.observation is None:
        return always | dict.fromkeys(_needing_a_decision(inputs), judgements.undecided(inputs))
    return always | {
        ConditionType.SLO_MET: judgements.slo_met(inputs.workload.objective, inputs.observation),
        ConditionType.SCALING_LIMITED: judgements.scaling_limited(inputs.plan),
        ConditionType.FALLBACK: judgements.fallback(inputs.plan, inputs.observation),
        **_accelerator(judgements.accelerator_available(inputs.workload, inputs.observation, inputs.step.state)),
    }


def _needing_a_decision(inputs: StatusInputs) -> list[ConditionType]:
    kinds = [ConditionType.SLO_MET, ConditionType.SCALING_LIMITED, ConditionType.FALLBACK]
    judged_before = {condition.type for condition in inputs.previous.conditions}
    accelerator = ConditionType.ACCELERATOR_AVAILABLE
    return [*kinds, accelerator] if accelerator in judged_before else kinds


def _accelerator(judgement: Judgement | None) -> dict[ConditionType, Judgement]:
    return {} if judgement is None else {ConditionType.ACCELERATOR_AVAILABLE: judgement}


def _condition(
    kind: ConditionType, judgement: Judgement, before: Condition | None, generation: int, now: datetime
) -> Condition:
    unmoved = before is not None and before.status == judgement.status
    return Condition(
        type=kind,
        status=judgement.status,
        reason=clipped(judgement.reason or ConditionReason.UNKNOWN, LONGEST_WORD_CHARACTERS),
        message=clipped(judgement.message),
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and unmoved else to_the_second(now),
    )
