"""The plan: candidates sized for the demand, one selected, its change limited, and the reason, as one value. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import (
    AtLeast,
    Idling,
    Observation,
    Plan,
    PolicyState,
    QuantileForecast,
    Workload,
    is_unknown,
    known,
)
from modelscaler.planner import wording
from modelscaler.planner.allowances import released, remembered, within_allowances
from modelscaler.planner.behavior import (
    limit_change,
    longest_window_seconds,
    remember,
    scale_down_window_seconds,
    since,
)
from modelscaler.planner.candidates import Candidate, candidates
from modelscaler.planner.choice import Option, Past, best, options
from modelscaler.planner.demand import load_from
from modelscaler.planner.idling import idle_plan, is_idle, quiet_since
from modelscaler.planner.memory import fallback_holds, recalled
from modelscaler.planner.mixed import mixed_plan, side_recommendations
from modelscaler.planner.mixing import Mixing, Scene, mixing
from modelscaler.planner.recourse import degraded_share
from modelscaler.planner.schedules import least_replicas
from modelscaler.planner.starts import longest_start
from modelscaler.planner.switching import Selection, demand_reason, option_of, select, why_leave


def plan(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> tuple[Plan, PolicyState]:
    """Choose replicas x placement x variant, and say why.

    Args:
        workload: What the user asked for.
        observation: What is seen.
        forecast: Quantiles of the coming load; None when there is none.
        state: What earlier decisions left behind.
        lead_seconds: How far to look ahead besides the start of a replica: to the next decision, and as far as rates lag.

    Returns:
        The plan, and the state with what this decision adds to it (the pools in `state.active` and `state.switch` are
        moved by `next_step`, not here).

    Raises:
        NoCandidateError: The spec allows no pool at all.
    """
    found = considered(workload, observation, forecast, state, lead_seconds)
    if found.idling is not None:
        made = idle_plan(found.idling, found.selection.option)
    elif found.scene is None or found.shared.mix is None:
        minimum = Binding.MIN_REPLICAS if found.workload is workload else Binding.SCHEDULE
        size = _size(found.workload, observation, found.selection.option, found.state, minimum)
        made = _plan(observation, found, size)
    else:
        made = mixed_plan(found.scene, found.shared, found.shared.mix)
    return made, _next_state(observation, found)


def sized_options(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> tuple[Option, ...]:
    """Size every candidate for the demand, as `plan` does, as if there were accelerators for all.

    Args:
        workload: What the user asked for.
        observation: What is seen.
        forecast: Quantiles of the coming load; None when there is none.
        state: What earlier decisions left behind, brought up to what is seen (`recalled`).
        lead_seconds: How far to look ahead besides the start of a replica: to the next decision, and as far as rates lag.

    Raises:
        NoCandidateError: The spec allows no pool at all.
    """
    alone = replace(observation, allowances=())
    return _options(_scheduled(workload, alone, lead_seconds), alone, forecast, state, lead_seconds)


@dataclass(frozen=True, slots=True)
class Considered:
    """What a plan is made of.

    Attributes:
        workload: With the minimum that schedules ask for.
        state: As it is remembered.
        listed: The options.
        unlimited: The options as they would be were there accelerators for all.
        selection: Which option to take.
        scene: What is decided from whether two pools serve; None where no route may share requests.
        shared: Whether they do, and how large each.
        quiet_since: Since when nobody has asked, nor been expected to; None: somebody does, or may.
        idling: By which rule no replica is to run for that; None: some are.
    """

    workload: Workload
    state: PolicyState
    listed: tuple[Option, ...]
    unlimited: tuple[Option, ...]
    selection: Selection
    scene: Scene | None
    shared: Mixing
    quiet_since: datetime | None
    idling: Idling | None


def considered(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> Considered:
    """Size every candidate, select one, and decide whether a second serves beside it; the arguments are those of `plan`.

    Raises:
        NoCandidateError: The spec allows no pool at all.
    """
    state = remembered(observation, recalled(observation, state))
    workload = _scheduled(workload, observation, lead_seconds)
    listed = _options(workload, observation, forecast, state, lead_seconds)
    window_seconds = scale_down_window_seconds(workload)
    selection = select(listed, state, observation.now, window_seconds, observation.load_is_known)
    unlimited = _unlimited(listed, workload, observation, forecast, state, lead_seconds)
    since = quiet_since(workload, observation, forecast, state, lead_seconds)
    serving = option_of(listed, state.active)
    if serving is not None and is_idle(workload, observation, state, since):
        chosen = Selection(serving)
        return Considered(workload, released(state), listed, unlimited, chosen, None, Mixing(), since, workload.idling)
    scene = _scene(workload, observation, state, listed, selection)
    shared = mixing(scene) if scene else Mixing()
    return Considered(workload, state, listed, unlimited, selection, scene, shared, since, None)


@dataclass(frozen=True, slots=True)
class Size:
    """How many replicas of the selected pool, out of how many at present, and what held the change back, if anything.

    `minimum` says whose the least number of replicas is: the spec's own, or a schedule's.
    """

    current: int
    replicas: int
    held_by: Binding | None
    minimum: Binding


def _scheduled(workload: Workload, observation: Observation, lead_seconds: float) -> Workload:
    """Return the workload with the minimum that schedules ask for, in time for the slowest placement; else itself."""
    if not workload.schedules:
        return workload
    ahead_seconds = longest_start(workload.placements, observation.starts) + lead_seconds
    least = least_replicas(workload, observation.now, ahead_seconds)
    return workload if least == workload.min_replicas else replace(workload, min_replicas=least)


def _options(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> tuple[Option, ...]:
    found = candidates(workload, observation, state)
    serving = next((c for c in found if c.pool == state.active), None)
    beside = next((c for c in found if state.side and c.pool == state.side.pool), None)
    held = 0
    if known(observation.offered) is None:
        held = max(_current(observation, state) or _last_recommended(state), _fallback_replicas(workload, state))
    load = load_from(workload, observation, forecast, _assumed_rps(observation, serving, beside, held))
    past = _past(workload, observation, state, at_least=0 if serving else held)
    return options(within_allowances(found, observation, state), load, lead_seconds, past)


def _unlimited(
    listed: tuple[Option, ...],
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> tuple[Option, ...]:
    """Return the options as they would be were there accelerators for all, to say what would have been taken then."""
    if not observation.allowances:
        return listed
    return _options(workload, replace(observation, allowances=()), forecast, state, lead_seconds)


def _assumed_rps(observation: Observation, serving: Candidate | None, beside: Candidate | None, held: int) -> float:
    """Return the load that nobody sees: what replicas that are left out of the sum, or all of them, carry at most."""
    if isinstance(observation.offered, AtLeast):
        return observation.offered.missing * max((c.rps_per_replica for c in (serving, beside) if c), default=0.0)
    if not held:
        return 0.0
    own_rps = serving.clipped(held) * serving.rps_per_replica if serving else 0.0
    return own_rps + (observation.pool(beside.pool).replicas * beside.rps_per_replica if beside else 0.0)


def _past(workload: Workload, observation: Observation, state: PolicyState, at_least: int = 0) -> Past:
    window_seconds = scale_down_window_seconds(workload)
    recommended = max([r for _, r in since(state.recommendations, observation.now, window_seconds)], default=0)
    return Past(state.active, _current(observation, state), recommended, at_least)


def _current(observation: Observation, state: PolicyState) -> int:
    return observation.pool(state.active).replicas if state.active else 0


def _last_recommended(state: PolicyState) -> int:
    """Return what the serving pool had last: its Deployment may be gone, and the metrics with it."""
    return state.recommendations[-1][1] if state.recommendations else 0


def _fallback_replicas(workload: Workload, state: PolicyState) -> int:
    return workload.fallback.replicas if workload.fallback and fallback_holds(workload, state) else 0


def _size(workload: Workload, observation: Observation, option: Option, state: PolicyState, minimum: Binding) -> Size:
    """Limit the change of a pool that serves already; a pool that is yet to start gets what it needs at once.

    So does one that wakes, until a replica is ready: the first who is held is heard of before the others have come.
    """
    current = _current(observation, state)
    if option.candidate.pool != state.active or not current:
        return Size(0, option.replicas, None, minimum)
    if observation.held and not observation.pool(option.candidate.pool).ready and option.wanted > current:
        return Size(current, option.candidate.clipped(option.wanted), None, minimum)
    now = observation.now
    replicas, held_by = limit_change(workload, current, option.wanted, state.recommendations, state.changes, now)
    if replicas < current and option.feasible:
        trouble = _trouble(workload, observation, option.candidate)
        replicas, held_by = (current, trouble) if trouble else (replicas, held_by)
    return Size(current, option.candidate.clipped(replicas), held_by, minimum)


def _trouble(workload: Workload, observation: Observation, candidate: Candidate) -> Binding | None:
    """Return what users miss now, or that nobody knows how many requests wait; then nothing is taken away."""
    if known(observation.queued) is None:
        return Binding.METRICS
    seconds = known(observation.latency)
    if seconds is not None and seconds > candidate.objective.latency_seconds:
        return Binding.OBJECTIVE
    share = degraded_share(workload, observation, candidate.pool)
    if share is not None and candidate.rung is not None and share > candidate.rung.allowed_share:
        return Binding.MEAN_ACCURACY
    return None


def _scene(
    workload: Workload,
    observation: Observation,
    state: PolicyState,
    listed: Sequence[Option],
    selection: Selection,
) -> Scene | None:
    """Return what is decided from whether a second pool runs; None, at no cost, where no route may share requests."""
    serving = option_of(listed, state.active)
    if not workload.routed or serving is None:
        return None
    return Scene(
        workload=workload,
        observation=observation,
        state=state,
        listed=listed,
        selection=selection,
        recent_rps=serving.proven_replicas(_past(workload, observation, state)) * serving.candidate.rps_per_replica,
        at_least=_fallback_replicas(workload, state),
        trouble=_trouble(workload, observation, serving.candidate),
    )


def _plan(observation: Observation, found: Considered, size: Size) -> Plan:
    workload, state, selection, option = found.workload, found.state, found.selection, found.selection.option
    target = option.choice(size.replicas)
    reason = _reason(workload, observation, state, found.listed, option, size)
    binding = _binding(observation, selection, size)
    second = _runner_up(found.unlimited, option)
    return Plan(
        target=target,
        reason=reason,
        message=wording.message(workload, observation, state, selection, size.replicas, reason, binding),
        binding=binding,
        demand=option.decisive,
        runner_up=second.choice(second.replicas) if second else None,
        why_not_runner_up=wording.loss(workload, observation, state, selection, second).text if second else "",
    )


def _reason(
    workload: Workload,
    observation: Observation,
    state: PolicyState,
    listed: Sequence[Option],
    option: Option,
    size: Size,
) -> DecisionReason:
    if not option.feasible:
        return DecisionReason.INFEASIBLE
    if state.active is None:
        return DecisionReason.FIRST_PLAN
    if option.candidate.pool != state.active:
        return why_leave(option_of(listed, state.active), option, state)
    if is_unknown(observation.offered):
        return DecisionReason.FALLBACK if fallback_holds(workload, state) else DecisionReason.METRICS_MISSING
    if size.replicas == size.current:
        return DecisionReason.STEADY
    if state.planned_generation not in (0, workload.generation):
        return DecisionReason.SPEC_CHANGED
    return demand_reason(option) if size.replicas > size.current else DecisionReason.DEMAND_FELL


def _binding(observation: Observation, selection: Selection, size: Size) -> Binding:
    option, candidate = selection.option, selection.option.candidate
    if not option.feasible or option.degraded_rps > 0.0 or not candidate.most:
        return candidate.why_short
    if not candidate.keeps_minimum or not candidate.within_budget:
        return candidate.most_because
    if size.held_by is not None:
        return size.held_by
    if known(observation.offered) is None:
        return Binding.METRICS
    if selection.waiting is not None:
        return Binding.SWITCH_COST
    if size.replicas == candidate.most < option.needed:
        return candidate.most_because
    if option.for_mean_accuracy:
        return Binding.MEAN_ACCURACY
    return size.minimum if size.replicas == candidate.fewest > option.needed else Binding.DEMAND


def _runner_up(listed: Sequence[Option], chosen: Option) -> Option | None:
    """Return what would have been taken without the chosen one, were everything available."""
    others = [
        o if o.candidate.available else _as_available(o) for o in listed if o.candidate.pool != chosen.candidate.pool
    ]
    return option_of(listed, best(others).candidate.pool) if others else None


def _as_available(option: Option) -> Option:
    return option._replace(candidate=replace(option.candidate, available=True))


def _next_state(observation: Observation, found: Considered) -> PolicyState:
    """Remember what the serving pool would have been sized to, for the stabilisation windows."""
    workload, state, shared, now = found.workload, found.state, found.shared, observation.now
    recommendations = state.recommendations
    serving = option_of(found.listed, state.active)
    if serving is not None:
        entry = (now, serving.wanted)
        recommendations = remember(recommendations, entry, now, longest_window_seconds(workload))
    return replace(
        state,
        recommendations=recommendations,
        side_recommendations=side_recommendations(workload, observation, state, shared),
        mix_better_since=shared.better_since,
        cheaper_since=found.selection.better_since,
        quiet_since=found.quiet_since,
        planned_generation=workload.generation,
    )
