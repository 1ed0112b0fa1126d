"""The plan for two pools at once, as a value: sizes, reason, what bound it, and what one pool alone would have cost. Pure."""

import math
from dataclasses import replace
from datetime import datetime

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Observation, Plan, PolicyState, Workload, is_unknown, known
from modelscaler.planner import wording
from modelscaler.planner.behavior import remember, scale_down_window_seconds
from modelscaler.planner.candidates import ROUNDING
from modelscaler.planner.choice import Option
from modelscaler.planner.memory import fallback_holds
from modelscaler.planner.mixing import Mixing, Scene
from modelscaler.planner.pairing import Mix, largest, need_of
from modelscaler.planner.switching import demand_reason


def mixed_plan(scene: Scene, shared: Mixing, mix: Mix) -> Plan:
    """Return the plan for two pools.

    Args:
        scene: What it was decided from; what one pool would do is the runner-up.
        shared: The decision.
        mix: The sizes in it.
    """
    workload, observation = scene.workload, scene.observation
    single, why = alone(scene, shared, mix, scene.single)
    reason = _reason(workload, observation, scene.state, mix)
    binding = _binding(workload, observation, shared, mix)
    share, demand = mix.side_share, mix.fast.demand
    return Plan(
        target=replace(mix.base.sharing(mix.base_replicas, demand, 1.0 - share), shortfall_rps=mix.shortfall_rps),
        side=mix.side.sharing(mix.side_replicas, demand, share),
        reason=reason,
        message=wording.mixed_message(workload, observation, mix, reason, binding),
        binding=binding,
        demand=demand if mix.feasible else mix.fast.far,
        runner_up=single.choice(single.replicas),
        why_not_runner_up=why.text,
    )


def alone(scene: Scene, shared: Mixing, mix: Mix, second: Option) -> tuple[Option, wording.Loss]:
    """Return one pool as it would be alone, and why it lost against two; the arguments are those of `mixed_plan`."""
    sized = scene.alone(second, mix.base, mix.side)
    binding = _binding(scene.workload, scene.observation, shared, mix)
    return sized, wording.loss_alone(scene.workload, scene.observation, scene.state, mix, binding, sized)


def side_recommendations(
    workload: Workload, observation: Observation, state: PolicyState, shared: Mixing
) -> tuple[tuple[datetime, int], ...]:
    """Remember what two pools were to carry, in replicas of the one that starts sooner, until one pool serves alone."""
    mix = shared.mix
    if mix is None or known(observation.offered) is None:
        return state.side_recommendations if state.side else ()
    replicas = math.ceil(need_of(mix.base, mix.side, 0.0).near_rps / mix.fast.candidate.rps_per_replica - ROUNDING)
    before = state.side_recommendations if state.side and state.side.pool == mix.side.candidate.pool else ()
    return remember(before, (observation.now, replicas), observation.now, scale_down_window_seconds(workload))


def _reason(workload: Workload, observation: Observation, state: PolicyState, mix: Mix) -> DecisionReason:
    if not mix.feasible:
        return DecisionReason.INFEASIBLE
    if is_unknown(observation.offered):
        return DecisionReason.FALLBACK if fallback_holds(workload, state) else DecisionReason.METRICS_MISSING
    changes = [
        replicas - observation.pool(option.candidate.pool).replicas
        for option, replicas in ((mix.base, mix.base_replicas), (mix.side, mix.side_replicas))
    ]
    if not any(changes):
        return DecisionReason.STEADY
    if state.planned_generation not in (0, workload.generation):
        return DecisionReason.SPEC_CHANGED
    if min(changes) < 0 < max(changes):
        return DecisionReason.CHEAPER_CHOICE
    return demand_reason(mix.fast) if max(changes) > 0 else DecisionReason.DEMAND_FELL


def _binding(workload: Workload, observation: Observation, shared: Mixing, mix: Mix) -> Binding:
    if not mix.feasible:
        return _why_short(workload, mix)
    if shared.held_by is not None:
        return shared.held_by
    if known(observation.offered) is None:
        return Binding.METRICS
    if shared.waiting:
        return Binding.SWITCH_COST
    total = mix.base_replicas + mix.side_replicas
    return Binding.MIN_REPLICAS if total <= max(workload.min_replicas, 1) else Binding.DEMAND


def _why_short(workload: Workload, mix: Mix) -> Binding:
    """Return what keeps two pools from carrying all at their largest: a pool that finds no node, limits, or the budget."""
    if mix.base.candidate.stuck or mix.side.candidate.stuck:
        return Binding.AVAILABILITY
    most = largest(workload, mix)
    if most.base_replicas + most.side_replicas >= workload.max_replicas:
        return Binding.MAX_REPLICAS
    base, side = most.base.candidate, most.side.candidate
    if most.base_replicas < base.most or most.side_replicas < side.most:
        return Binding.MAX_HOURLY_COST
    return side.most_because if base.most_because is Binding.MAX_REPLICAS else base.most_because
