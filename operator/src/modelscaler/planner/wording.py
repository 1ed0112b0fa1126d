"""Decisions in one sentence, with the figures they were made on."""

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Choice, Observation, Workload, known
from modelscaler.planner.candidates import Candidate

_HELD = {
    Binding.STABILIZATION: "held by the stabilization window",
    Binding.SCALE_UP_RATE: "held by the scale-up rate limit",
    Binding.SCALE_DOWN_RATE: "held by the scale-down rate limit",
    Binding.MIN_REPLICAS: "the minimum",
    Binding.MAX_REPLICAS: "the maximum; more would be needed",
    Binding.MAX_HOURLY_COST: "all that the budget allows; more would be needed",
    Binding.AVAILABILITY: "nothing else can be started",
}


def message(
    workload: Workload,
    observation: Observation,
    candidate: Candidate,
    choice: Choice,
    reason: DecisionReason,
    binding: Binding,
) -> str:
    """Return the sentence for a decision."""
    return f"{_seen(workload, observation, candidate)}; {_sizing(workload, candidate, choice)}{_held(binding)}{_why(reason)}"


def why_not(second: Choice, chosen: Choice) -> str:
    """Return why the runner-up lost."""
    if not second.feasible:
        return f"it would leave {rps(second.shortfall_rps)} rps uncarried"
    if second.hourly_cost > chosen.hourly_cost:
        return f"it would cost {second.hourly_cost:g} an hour instead of {chosen.hourly_cost:g}"
    if second.hourly_cost < chosen.hourly_cost:
        return f"it would save {chosen.hourly_cost - second.hourly_cost:g} an hour, which does not pay for a switch yet"
    return f"the same cost at accuracy {second.accuracy:g} instead of {chosen.accuracy:g}"


def rps(value: float) -> str:
    """Return a rate with three significant digits."""
    return f"{value:.3g}"


def _seen(workload: Workload, observation: Observation, candidate: Candidate) -> str:
    demand = candidate.demand
    here = f"measured {rps(demand.measured_rps)} rps" if demand.measured_rps is not None else "load unknown"
    if known(observation.offered) is not None and demand.measured_rps == 0.0:
        here = "no load"
    if demand.forecast_rps is None:
        return here
    when = f"at {workload.forecast.quantile:g} within {demand.horizon_seconds:.0f} s"
    return f"{here}, forecast peak {rps(demand.forecast_rps)} rps {when}"


def _sizing(workload: Workload, candidate: Candidate, choice: Choice) -> str:
    objective = workload.objective
    within = f"within {objective.latency_seconds * 1000:.0f} ms p{objective.percentile * 100:g}"
    each = f"{choice.pool} carries {rps(candidate.sustainable_rps)} rps per replica {within}"
    return f"{each}: {choice.replicas} x {choice.pool}"


def _held(binding: Binding) -> str:
    return f", {_HELD[binding]}" if binding in _HELD else ""


def _why(reason: DecisionReason) -> str:
    texts = {
        DecisionReason.METRICS_MISSING: "; nothing is taken away while the load is unknown",
        DecisionReason.FALLBACK: "; the fallback holds while the load is unknown",
        DecisionReason.CHEAPER_CHOICE: "; it has been cheaper long enough to pay for the switch",
        DecisionReason.FAILBACK: "; it could not be had for a while and is tried again",
        DecisionReason.CANDIDATE_UNAVAILABLE: "; what served before cannot be had",
        DecisionReason.SPEC_CHANGED: "; what served before has left the spec",
    }
    return texts.get(reason, "")
