"""Decisions in one sentence, with the figures they were made on. Pure."""

from dataclasses import dataclass
from datetime import datetime

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Absent, AtLeast, Observation, PolicyState, SourceError, Stale, Workload, is_out, known
from modelscaler.planner.allowances import WHY as WHY_NO_ACCELERATOR
from modelscaler.planner.allowances import denied, sentence
from modelscaler.planner.choice import NEAR_EQUAL_COST, Option
from modelscaler.planner.demand import aim_of
from modelscaler.planner.idling import what_keeps_awake
from modelscaler.planner.pairing import Mix, needed
from modelscaler.planner.savings import account_of
from modelscaler.planner.switching import Selection, saves

HELD = {
    Binding.STABILIZATION: "held by the stabilization window",
    Binding.SCALE_UP_RATE: "held by the scale-up policies",
    Binding.SCALE_DOWN_RATE: "held by the scale-down policies",
    Binding.OBJECTIVE: "held while the latency objective is missed",
    Binding.MEAN_ACCURACY: "for minMeanAccuracy",
    Binding.MIN_REPLICAS: "the minimum",
    Binding.SCHEDULE: "the minimum of a schedule",
    Binding.METRICS: "held while metrics are missing",
}

SHORT = {
    Binding.MAX_REPLICAS: "maxReplicas is reached",
    Binding.MAX_HOURLY_COST: "maxHourlyCost is reached",
    Binding.AVAILABILITY: "no more can be started",
    Binding.OBJECTIVE: "even an idle replica is slower than the objective",
    **{Binding(reason.value): f"accelerators: {text}" for reason, text in WHY_NO_ACCELERATOR.items()},
}

ALL_WISHES = (True, True, True, True, True)
"""What two pools grant of the wishes for a candidate."""

WHY = {
    DecisionReason.FIRST_PLAN: "the first plan",
    DecisionReason.CHEAPER_CHOICE: "better for long enough to pay for the switch",
    DecisionReason.FAILBACK: "to be had again",
    DecisionReason.CANDIDATE_UNAVAILABLE: "what serves cannot be had",
    DecisionReason.SPEC_CHANGED: "the spec changed",
}


def message(
    workload: Workload,
    observation: Observation,
    state: PolicyState,
    selection: Selection,
    replicas: int,
    reason: DecisionReason,
    binding: Binding,
) -> str:
    """Return the sentence for a decision.

    Args:
        workload: What the user asked for.
        observation: What was seen.
        state: What it was decided on.
        selection: What was selected.
        replicas: How many of it.
        reason: Why.
        binding: What bound.
    """
    option = selection.option
    parts = [f"{_demand(workload, observation, option)}; {_speed(workload, option)}: {_count(replicas)}"]
    if not option.feasible:
        parts.append(f"{rps(option.shortfall_rps)} rps short, {SHORT.get(binding, 'nothing carries more')}")
    elif option.degraded_rps > 0.0:
        parts.append(f"{rps(option.degraded_rps)} rps of it by cheaper answers, {SHORT.get(binding, 'no more is had')}")
    elif binding in HELD:
        parts.append(_minimum(workload, observation) if binding is Binding.MIN_REPLICAS else HELD[binding])
    parts += _woken(observation)
    if state.active not in (None, option.candidate.pool):
        parts.append(f"instead of {state.active}")
    if reason in WHY:
        parts.append(WHY[reason])
    parts += [sentence(workload, allowance) for allowance in denied(observation.allowances)]
    return ", ".join(parts)


def _minimum(workload: Workload, observation: Observation) -> str:
    """Return why there is a replica that the demand does not ask for."""
    if workload.idling is None:
        return HELD[Binding.MIN_REPLICAS]
    why = what_keeps_awake(workload, observation)
    if why is not None:
        return f"one is kept, since {why}"
    return f"one is kept until nobody has asked, nor been expected to, for {workload.idling.after_seconds:g} s"


def _woken(observation: Observation) -> list[str]:
    """Return why replicas come back that there were none of; nothing where the demand says it."""
    if not observation.held:
        return []
    if not observation.activator_ready:
        return ["the activator is not ready"]
    held = known(observation.queued)
    return [f"the activator holds {held:.0f} until one is ready"] if held else []


def mixed_message(
    workload: Workload, observation: Observation, mix: Mix, reason: DecisionReason, binding: Binding
) -> str:
    """Return the sentence for a decision that divides the load between two pools."""
    base, side = mix.base.candidate, mix.side.candidate
    speeds = (
        f"{base.pool} carries {rps(base.rps_per_replica)} rps per replica and {side.pool} {rps(side.rps_per_replica)}"
    )
    parts = [f"{_demand(workload, observation, mix.fast)}; {speeds}: {mix.base_replicas} x {base.pool} serve"]
    if mix.side_replicas:
        parts.append(f"{mix.side_replicas} x {side.pool} beside them get {mix.side_share * 100:.0f} % of the requests")
    else:
        parts.append(f"{side.pool} would be started beside them in time")
    if not mix.feasible:
        parts.append(f"{rps(mix.shortfall_rps)} rps short, {SHORT.get(binding, 'nothing carries more')}")
    elif binding in HELD:
        parts.append(HELD[binding])
    if reason in WHY:
        parts.append(WHY[reason])
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a candidate is not the one that was taken: the constraint, and a sentence."""

    word: Binding
    text: str


def loss(
    workload: Workload, observation: Observation, state: PolicyState, selection: Selection, second: Option
) -> Loss:
    """Return why a candidate lost.

    Args:
        workload: What the user asked for.
        observation: What was seen.
        state: What it was decided on.
        selection: What was selected.
        second: Another one, sized as if there were accelerators for all.
    """
    kept_out = _kept_out(workload, observation, state, second)
    if kept_out is not None:
        return kept_out
    chosen = selection.option
    if second.wishes < chosen.wishes:
        return _missing_wish(second, chosen.wishes)
    if second.shortfall_rps > chosen.shortfall_rps:
        short = f"it would be {rps(second.shortfall_rps)} of {rps(second.far.planned_rps)} rps short"
        return Loss(second.candidate.why_short, short)
    if second.degraded_rps > chosen.degraded_rps:
        cheaper = (
            f"{rps(second.degraded_rps)} of {rps(second.far.lasting_rps)} rps could only get cheaper answers for good"
        )
        return Loss(second.candidate.why_short, cheaper)
    if selection.waiting is second:
        lasting = f"better, but only once that has lasted {selection.patience_seconds:.0f} s does it pay for a switch"
        return Loss(Binding.SWITCH_COST, lasting)
    return _cost(second, chosen)


def loss_alone(
    workload: Workload, observation: Observation, state: PolicyState, mix: Mix, binding: Binding, second: Option
) -> Loss:
    """Return why one pool lost against two.

    Args:
        workload: What the user asked for.
        observation: What was seen.
        state: What it was decided on.
        mix: The two pools.
        binding: What bound them.
        second: The one, as it would be alone.
    """
    kept_out = _kept_out(workload, observation, state, second)
    if kept_out is not None:
        return kept_out
    if not all(second.wishes):
        return _missing_wish(second, ALL_WISHES)
    if second.shortfall_rps > mix.shortfall_rps:
        short = f"alone it would be {rps(second.shortfall_rps)} of {rps(second.far.planned_rps)} rps short"
        return Loss(second.candidate.why_short, short)
    if second.degraded_rps > 0.0:
        cheaper = (
            f"alone it would answer {rps(second.degraded_rps)} of {rps(second.far.lasting_rps)} rps cheaper for good"
        )
        return Loss(second.candidate.why_short, cheaper)
    return _cost_alone(second, mix, binding)


def rps(value: float) -> str:
    """Return a rate with three significant digits."""
    return f"{value:.3g}" if value < 1000.0 else f"{value:.0f}"


def _demand(workload: Workload, observation: Observation, option: Option) -> str:
    demand = option.decisive
    match observation.offered:
        case Absent():
            present = "load unknown (no such series)"
        case Stale(age_seconds=age):
            present = f"load unknown (last sample {age:.0f} s old)"
        case SourceError():
            present = "load unknown (the source failed)"
        case AtLeast(value=value, missing=missing):
            present = f"measured at least {rps(value)} rps, {_count(missing)} not seen and counted as loaded"
        case _:
            present = f"measured {rps(demand.measured_rps or 0.0)} rps"
    if demand.rising_rps is not None:
        present += f" and rising to {rps(demand.rising_rps)}"
    aim = aim_of(workload, account_of(workload, observation.pools))
    if headroom := aim.growth - 1.0:
        present += f", {headroom * 100:.3g} % headroom"
    if demand.forecast_rps is None:
        return present
    ahead = f"forecast {rps(demand.forecast_rps)} rps at {aim.quantile:g}"
    return f"{ahead} within {demand.horizon_seconds:.0f} s, {present}"


def _speed(workload: Workload, option: Option) -> str:
    objective, candidate = workload.objective, option.candidate
    promise = f"{objective.latency_seconds * 1000:g} ms p{objective.percentile * 100:g}"
    how = f"within {promise}" if candidate.meets_objective else f"although not within {promise}"
    text = f"{candidate.pool} carries {rps(candidate.rps_per_replica)} rps per replica {how}"
    if candidate.rung is None:
        return text
    own_rps = option.decisive.own_rps
    return (
        f"{text}, for {rps(own_rps)} rps, and {rps(candidate.rung_rps_per_replica)} as {candidate.rung.variant} beyond"
    )


def _count(replicas: int) -> str:
    return f"{replicas} replica{'' if replicas == 1 else 's'}"


def _why_out(second: Option, state: PolicyState, now: datetime) -> str:
    outage = next((o for o in state.outages if o.pool == second.candidate.pool), None)
    if outage is None:
        return "its replicas cannot run"
    return f"left alone for {max((outage.until - now).total_seconds(), 0.0):.0f} s more: {outage.reason}"


def _kept_out(workload: Workload, observation: Observation, state: PolicyState, second: Option) -> Loss | None:
    """Return why a candidate cannot be had, whatever it carries and costs; None when it can."""
    pool = second.candidate.pool
    refused = next((a for a in denied(observation.allowances) if a.placement == pool.placement), None)
    if refused is not None:
        return Loss(Binding(refused.reason.value), sentence(workload, refused))
    if is_out(state, pool, observation.now) or not second.candidate.available:
        return Loss(Binding.AVAILABILITY, _why_out(second, state, observation.now))
    return None


def _missing_wish(second: Option, granted: tuple[bool, ...]) -> Loss:
    """Return the first wish that a candidate does not grant, of those that what was taken does."""
    _, objective, accuracy, minimum, _ = granted
    if objective and not second.candidate.meets_objective:
        return Loss(Binding.OBJECTIVE, SHORT[Binding.OBJECTIVE])
    if accuracy and not second.candidate.keeps_mean_accuracy:
        return Loss(Binding.MEAN_ACCURACY, f"accuracy {second.candidate.accuracy:g} is below minMeanAccuracy")
    if minimum and not second.candidate.keeps_minimum:
        return Loss(Binding.MIN_REPLICAS, f"its placement allows only {second.candidate.most} replicas")
    dear = f"its fewest replicas cost more than maxHourlyCost: {second.hourly_cost:g}"
    return Loss(Binding.MAX_HOURLY_COST, dear)


def _cost(second: Option, chosen: Option) -> Loss:
    if second.hourly_cost > chosen.hourly_cost * (1.0 + NEAR_EQUAL_COST):
        return Loss(Binding.COST, f"it would cost {second.hourly_cost:g} per hour instead of {chosen.hourly_cost:g}")
    if second.candidate.accuracy < chosen.candidate.accuracy:
        worse = f"accuracy {second.candidate.accuracy:g} instead of {chosen.candidate.accuracy:g}"
        return Loss(Binding.ACCURACY, f"no cheaper, and {worse}")
    if second.hourly_cost < chosen.hourly_cost:
        saving = chosen.hourly_cost - second.hourly_cost
        return Loss(Binding.SWITCH_COST, f"it would save only {saving:.3g} per hour, too little for a switch")
    return Loss(Binding.SWITCH_COST, "no better, and a switch has a price")


def _cost_alone(second: Option, mix: Mix, binding: Binding) -> Loss:
    if second.hourly_cost > mix.hourly_cost * (1.0 + NEAR_EQUAL_COST):
        dearer = f"alone it would cost {second.hourly_cost:.3g} per hour instead of {mix.hourly_cost:.3g}"
        return Loss(Binding.COST, dearer)
    if binding in HELD and binding is not Binding.MIN_REPLICAS:
        return Loss(binding, f"two stay for now, {HELD[binding]}")
    lasting_cost = needed(mix).hourly_cost
    if second.hourly_cost > lasting_cost * (1.0 + NEAR_EQUAL_COST):
        later = f"alone it would cost {second.hourly_cost:.3g} per hour instead of the {lasting_cost:.3g} that two shrink to"
        return Loss(Binding.COST, later)
    if saves(second.hourly_cost, mix.hourly_cost):
        return Loss(Binding.SWITCH_COST, "cheaper alone, but not for long enough to pay for a switch")
    if second.candidate.accuracy < mix.accuracy:
        worse = f"accuracy {second.candidate.accuracy:g} instead of {mix.accuracy:.4g}"
        return Loss(Binding.ACCURACY, f"alone it would be hardly cheaper, and {worse}")
    return Loss(Binding.SWITCH_COST, "alone it would be hardly cheaper, and a switch has a price")
