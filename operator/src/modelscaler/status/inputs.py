"""What a status is made from."""

from dataclasses import dataclass
from datetime import datetime

from modelscaler.api.v1alpha1 import ModelDeploymentStatus, TuningStatus
from modelscaler.api.words import ConditionReason
from modelscaler.capacity.measured import Carried
from modelscaler.domain import (
    Objective,
    Observation,
    Plan,
    QuantileForecast,
    Savings,
    SloVerdict,
    Step,
    Value,
    Workload,
    Zero,
)
from modelscaler.planner.weighing import Weighed


@dataclass(frozen=True, slots=True)
class ForecastHealth:
    """Whether forecasting works as it should. `healthy` None: not known yet."""

    healthy: bool | None
    reason: ConditionReason
    message: str


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """Everything that a status speaks of.

    A decision brings `workload`, `plan` and `step`; a ModelDeployment that cannot be managed brings `rejected` instead, the
    reason and a sentence. `capacities` are what the plan counts on. `candidates` are what the plan weighed, the one it takes
    first; needed only where it makes a new decision (`decides_anew`). `observation` None: nothing could be observed, since the
    spec cannot be read. `routed`: a gateway is asked for; `unroutable` says why there can be no route, None when there can.
    `refused` is why something that was decided could not be written, None when all was. `template_digest` is of what the
    serving pool's pods should be made from, None when nothing was rendered. `savings` None: no mean accuracy is
    asked for.
    """

    generation: int
    paused: bool
    now: datetime
    previous: ModelDeploymentStatus
    observation: Observation | None
    forecast_health: ForecastHealth
    forecast: QuantileForecast | None = None
    workload: Workload | None = None
    plan: Plan | None = None
    step: Step | None = None
    capacities: tuple[Carried, ...] = ()
    candidates: tuple[Weighed, ...] = ()
    rejected: tuple[ConditionReason, str] | None = None
    tuning: TuningStatus | None = None
    savings: Savings | None = None
    routed: bool = False
    unroutable: tuple[ConditionReason, str] | None = None
    refused: tuple[ConditionReason, str] | None = None
    template_digest: str | None = None


def slo_verdict(observation: Observation, objective: Objective) -> SloVerdict:
    """Judge the latency objective by what is measured now; without an answered request there is nothing to judge."""
    match observation.latency, observation.offered:
        case Value(value=latency_seconds), _:
            return SloVerdict.MET if latency_seconds <= objective.latency_seconds else SloVerdict.MISSED
        case _, Zero():
            return SloVerdict.NO_TRAFFIC
        case _:
            return SloVerdict.UNKNOWN
