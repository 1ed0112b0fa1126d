"""One pass over one ModelDeployment, as a value: everything that was read goes in, everything to write comes out. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from modelscaler.api import POOL_LABEL
from modelscaler.api.v1alpha1 import CapacityEntry, ModelDeployment, ModelDeploymentStatus, TuningStatus
from modelscaler.api.words import Binding, ConditionReason, DecisionReason
from modelscaler.capacity.measured import Carried, Measured, carried, corrected, measured
from modelscaler.controller.summaries import Entry
from modelscaler.controller.tuning import Tunable
from modelscaler.domain import Observation, Plan, PolicyState, PoolTarget, QuantileForecast, Savings, Step, Workload
from modelscaler.planner.candidates import NoCandidateError
from modelscaler.planner.claims import Bidder
from modelscaler.planner.idling import rests
from modelscaler.planner.memory import recalled
from modelscaler.planner.plan import plan, sized_options
from modelscaler.planner.savings import saved, with_overdrafts
from modelscaler.planner.transition import next_step
from modelscaler.planner.weighing import Weighed, weigh
from modelscaler.render import RenderDefaults, Rendering, digest_of, render
from modelscaler.status import (
    ForecastHealth,
    StatusInputs,
    decides_anew,
    measured_from,
    next_status,
    policy_state,
    savings_from,
)
from modelscaler.status.tuning import latest, policy_from, tuning_now
from modelscaler.workload import InvalidSpec, workload_from


@dataclass(frozen=True, slots=True)
class Settings:
    """What every decision shares.

    `lead_seconds` is what a plan must look ahead besides the start of a replica: until the next decision, and for as long as
    a rate over a window lags behind the load. `rate_window_seconds` is the length of that window.
    """

    interval_seconds: float
    lead_seconds: float
    status_refresh_seconds: float
    defaults: RenderDefaults
    rate_window_seconds: float


class Trouble(NamedTuple):
    """What is wrong with a valid ModelDeployment, or its surroundings: one word, and a sentence."""

    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a decision leaves to the next one of this process: in more detail than the status has it, or before it does.

    `measured` is of the replicas' speed, `savings` of what answers have saved, `quiet_since` since when nobody has asked.
    """

    measured: Measured | None = None
    savings: Savings | None = None
    quiet_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything one decision may look at.

    `profile` None: the spec names none. `trouble` is why the ModelDeployment cannot be managed although its spec is
    valid (a profile that cannot be had, an HPA in the way), None when nothing is. `remembered` is what the last decision of
    this process left, None when there was none. `tuned` is what self-tuning found last in it, likewise.
    `unroutable` is why there can be no HTTPRoute, None when there can. `refused` is what of the last decisions could not be
    written, None when all was.
    """

    now: datetime
    entry: Entry
    profile: tuple[CapacityEntry, ...] | None
    trouble: Trouble | None
    observation: Observation
    forecast: QuantileForecast | None
    forecast_health: ForecastHealth
    remembered: Remembered | None = None
    tuned: TuningStatus | None = None
    unroutable: Trouble | None = None
    refused: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to write. `rendering` None: leave the children as they are. `plan` None: none could be made.

    `remembered` is for the next decision. `tunable` is what self-tuning may replay; None: it may not.
    """

    status: ModelDeploymentStatus
    rendering: Rendering | None = None
    plan: Plan | None = None
    step: Step | None = None
    remembered: Remembered = Remembered()
    tunable: Tunable | None = None


def decide(inputs: Inputs, settings: Settings) -> Outcome:
    """Plan one ModelDeployment and render the next safe step; what cannot be planned is left running as it is."""
    resource = inputs.entry.resource
    if resource is None:
        return _rejected(inputs, Trouble(ConditionReason.INVALID_SPEC, str(inputs.entry.error)))
    if inputs.trouble is not None:
        return _rejected(inputs, inputs.trouble)
    try:
        routed = resource.spec.serving.gateway is not None and inputs.unroutable is None
        workload = replace(workload_from(resource, inputs.profile), paused=resource.paused, routed=routed)
        return _planned(inputs, settings, resource, workload)
    except (InvalidSpec, NoCandidateError) as error:
        return _rejected(inputs, Trouble(ConditionReason.INVALID_SPEC, str(error)))


def _planned(inputs: Inputs, settings: Settings, resource: ModelDeployment, workload: Workload) -> Outcome:
    seen = inputs.observation
    before = _before(inputs)
    stated, known = workload, _as_known(inputs, settings, resource, workload, before)
    workload = known.workload
    wanted, state = plan(workload, seen, inputs.forecast, before, settings.lead_seconds)
    savings = saved(workload, seen, _left(inputs).savings or savings_from(inputs.entry.status))
    if workload.paused or workload.recommend_only:
        step, rendering = _hands_off(seen, before, state), None
    else:
        step = next_step(workload, seen, wanted, state)
        step = replace(step, pools=with_overdrafts(workload, seen, savings, step.pools))
        rendering = render(resource, workload, step, settings.defaults)
    if workload.paused:
        message = f"paused; would have: {wanted.message}"
        wanted = replace(wanted, reason=DecisionReason.PAUSED, binding=Binding.PAUSED, message=message)
    weighed: tuple[Weighed, ...] = ()
    if decides_anew(inputs.entry.status, wanted):
        weighed = weigh(workload, seen, inputs.forecast, before, settings.lead_seconds)
    status = next_status(
        replace(
            _status_inputs(inputs),
            forecast=inputs.forecast,
            workload=workload,
            plan=wanted,
            step=step,
            tuning=known.tuning,
            capacities=known.counted_on,
            candidates=weighed,
            savings=savings,
            template_digest=_digest(rendering, step),
        )
    )
    tunable = Tunable(workload, stated, seen.starts) if resource.spec.scaling.self_tuning == "Auto" else None
    remembered = Remembered(known.measured, savings, state.quiet_since)
    return Outcome(status, rendering, wanted, step, remembered, tunable)


def _left(inputs: Inputs) -> Remembered:
    return inputs.remembered or Remembered()


def _before(inputs: Inputs) -> PolicyState:
    """Return what earlier decisions left behind, as the status has it; a quiet that has only begun is not written yet."""
    stored = policy_state(inputs.entry.status, inputs.now)
    return replace(stored, quiet_since=inputs.remembered.quiet_since) if inputs.remembered else stored


def _digest(rendering: Rendering | None, step: Step) -> str | None:
    """Return the digest of the template of the pool that serves; None when nothing was rendered."""
    if rendering is None:
        return None
    served = str(step.state.active)
    templates = (t for t in rendering.templates if t["metadata"]["labels"][POOL_LABEL] == served)
    return next((digest_of(template) for template in templates), None)


def bidder(inputs: Inputs, settings: Settings) -> Bidder | None:
    """Return a ModelDeployment as one that may share accelerators; None when it names or needs none, or may change nothing."""
    resource = inputs.entry.resource
    if resource is None or inputs.trouble is not None or not shares_accelerators(resource):
        return None
    before = recalled(inputs.observation, _before(inputs))
    try:
        spec = workload_from(resource, inputs.profile)
        workload = _as_known(inputs, settings, resource, spec, before).workload
        if rests(workload, inputs.observation, inputs.forecast, before, settings.lead_seconds):
            return None
        listed = sized_options(workload, inputs.observation, inputs.forecast, before, settings.lead_seconds)
    except (InvalidSpec, NoCandidateError):
        return None  # `decide` says why
    return Bidder(workload, inputs.observation, before, listed)


def names_accelerators(resource: ModelDeployment) -> bool:
    """Tell whether a ModelDeployment has a placement on an accelerator."""
    return any(placement.accelerator for placement in resource.spec.placements)


def shares_accelerators(resource: ModelDeployment) -> bool:
    """Tell whether it has, and may change what it has of them; one that may not keeps what it has."""
    return names_accelerators(resource) and not resource.paused and resource.spec.scaling.mode == "Auto"


@dataclass(frozen=True, slots=True)
class _Known:
    """A workload with what was learnt of it.

    Attributes:
        workload: As it is planned for.
        counted_on: What its replicas are counted on to carry.
        measured: What was measured of that.
        tuning: The settings that count now; None: the defaults.
    """

    workload: Workload
    counted_on: tuple[Carried, ...]
    measured: Measured
    tuning: TuningStatus | None


def _as_known(
    inputs: Inputs, settings: Settings, resource: ModelDeployment, stated: Workload, before: PolicyState
) -> _Known:
    found = latest(inputs.tuned, inputs.entry.status.tuning)
    tuning = tuning_now(found, resource.spec.scaling.self_tuning == "Auto", stated, inputs.now)
    workload = replace(stated, policy=policy_from(tuning).within(stated.stated))
    known = _measured(inputs, settings, resource, workload, before)
    counted_on = carried(workload, known)
    return _Known(corrected(workload, counted_on), counted_on, known, tuning)


def _measured(
    inputs: Inputs, settings: Settings, resource: ModelDeployment, workload: Workload, before: PolicyState
) -> Measured:
    """Return what is known of the replicas' speed by now; after a restart the status says what was known before."""
    if resource.spec.scaling.capacity_refinement == "Off":
        return Measured()
    known = _left(inputs).measured or measured_from(inputs.entry.status.capacity)
    return measured(known, workload, inputs.observation, before, settings.rate_window_seconds)


def _hands_off(seen: Observation, before: PolicyState, state: PolicyState) -> Step:
    """Return the step that changes nothing: every pool stays as it is."""
    return Step(
        pools=tuple(PoolTarget(pool.pool, pool.replicas) for pool in seen.pools),
        serving=None,
        state=replace(state, active=before.active, switch=before.switch, side=before.side),
    )


def _rejected(inputs: Inputs, trouble: Trouble) -> Outcome:
    rejected = replace(_status_inputs(inputs), rejected=trouble)
    asleep_since = _before(inputs).quiet_since if inputs.observation.held else None  # else nobody has watched meanwhile
    return Outcome(next_status(rejected), remembered=replace(_left(inputs), quiet_since=asleep_since))


def _status_inputs(inputs: Inputs) -> StatusInputs:
    return StatusInputs(
        generation=inputs.entry.generation,
        paused=inputs.entry.paused,
        now=inputs.now,
        previous=inputs.entry.status,
        observation=inputs.observation if inputs.entry.resource else None,
        forecast_health=inputs.forecast_health,
        routed=inputs.entry.resource is not None and inputs.entry.resource.spec.serving.gateway is not None,
        unroutable=inputs.unroutable,
        refused=inputs.refused,
    )
