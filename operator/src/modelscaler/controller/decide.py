"""One pass over one ModelDeployment, as a value: everything that was read goes in, everything to write comes out. Pure."""

from dataclasses import dataclass, replace

from modelscaler.api.v1alpha1 import CapacityEntry, ModelDeployment, ModelDeploymentStatus
from modelscaler.api.words import Binding, ConditionReason, DecisionReason
from modelscaler.controller.summaries import Entry
from modelscaler.domain import Observation, Plan, PolicyState, QuantileForecast, Step, Workload
from modelscaler.planner.plan import plan
from modelscaler.planner.transition import next_step
from modelscaler.render import RenderDefaults, Rendering, render
from modelscaler.status import ForecastHealth, StatusInputs, next_status, policy_state
from modelscaler.workload import InvalidSpec, workload_from


@dataclass(frozen=True, slots=True)
class Settings:
    """What every decision shares."""

    interval_seconds: float
    status_refresh_seconds: float
    defaults: RenderDefaults


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything one decision may look at.

    `profile` None: the spec names none. `trouble` is why the ModelDeployment cannot be managed although its spec is
    valid (a profile that cannot be had, an HPA in the way), None when nothing is.
    """

    entry: Entry
    profile: tuple[CapacityEntry, ...] | None
    trouble: "Trouble | None"
    observation: Observation
    forecast: QuantileForecast | None
    forecast_health: ForecastHealth


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a valid ModelDeployment is left alone."""

    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to write. `rendering` None: leave the children as they are. `plan` None: none could be made."""

    status: ModelDeploymentStatus
    rendering: Rendering | None = None
    plan: Plan | None = None
    step: Step | None = None


def decide(inputs: Inputs, settings: Settings) -> Outcome:
    """Plan one ModelDeployment and render the next safe step; what cannot be planned is left running as it is."""
    resource = inputs.entry.resource
    if resource is None:
        assert inputs.entry.error is not None  # noqa: S101 - an entry has a resource or an error
        return _rejected(inputs, settings, Trouble(ConditionReason.INVALID_SPEC, str(inputs.entry.error)))
    if inputs.trouble is not None:
        return _rejected(inputs, settings, inputs.trouble)
    try:
        workload = replace(workload_from(resource, inputs.profile), paused=resource.paused)
    except InvalidSpec as error:
        return _rejected(inputs, settings, Trouble(ConditionReason.INVALID_SPEC, str(error)))
    return _planned(inputs, settings, resource, workload)


def _planned(inputs: Inputs, settings: Settings, resource: ModelDeployment, workload: Workload) -> Outcome:
    before = policy_state(resource.status)
    wanted, state = plan(workload, inputs.observation, inputs.forecast, before, settings.interval_seconds)
    if workload.paused or workload.recommend_only:
        step = Step(pools=(), serving=None, state=replace(state, active=before.active, switch=before.switch))
        rendering = None
    else:
        step = next_step(workload, inputs.observation, wanted, state)
        rendering = render(resource, step, settings.defaults)
    if workload.paused:
        wanted = replace(
            wanted, reason=DecisionReason.PAUSED, binding=Binding.PAUSED, message=f"paused; would have: {wanted.message}"
        )
    status = next_status(_status_inputs(inputs, settings, workload=workload, plan=wanted, step=step))
    return Outcome(status, rendering, wanted, step)


def _rejected(inputs: Inputs, settings: Settings, trouble: Trouble) -> Outcome:
    return Outcome(next_status(_status_inputs(inputs, settings, rejected=(trouble.reason, trouble.message))))
