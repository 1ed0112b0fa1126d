"""From a validated resource to the plain records the planner works on."""

from datetime import date
from typing import Final

from modelscaler.api.v1alpha1 import (
    CapacityEntry,
    ModelDeployment,
    ModelDeploymentSpec,
    Placement,
    ScaleToZero,
    Scaling,
    ScalingRules,
)
from modelscaler.domain import (
    DirectionRules,
    FallbackRule,
    ForecastSettings,
    Idling,
    Objective,
    PlacementOption,
    PoolKey,
    RateLimit,
    ReplicaCapacity,
    Schedule,
    VariantOption,
    Workload,
    WorkloadKey,
)
from modelscaler.forecast.clocks import countries, is_date, time_zones
from modelscaler.workload.checks import coverage_problem, problems, slow_problems

# The defaults of the HorizontalPodAutoscaler: up at once, down only after five minutes of lower demand.
SCALE_UP_STABILIZATION_SECONDS: Final = 0.0
SCALE_DOWN_STABILIZATION_SECONDS: Final = 300.0

DEFAULT_QUANTILE: Final = 0.95
"""Of demand that is planned for, until self-tuning finds another."""


def workload_from(resource: ModelDeployment, profile: tuple[CapacityEntry, ...] | None) -> Workload:
    """Return the planner's view of a resource.

    Args:
        resource: A ModelDeployment whose fields are valid one by one.
        profile: Entries of the stored profile it names, None when it names none. Pairs that the spec does not have are
            ignored, and entries of the spec win: one profile may serve several ModelDeployments.

    Raises:
        InvalidSpec: the first rule between fields that does not hold.
    """
    for problem in problems(resource):
        raise problem
    spec, meta = resource.spec, resource.metadata
    scaling = spec.scaling
    return Workload(
        key=WorkloadKey(meta.namespace, meta.name),
        generation=meta.generation,
        variants=tuple(VariantOption(v.name, float(v.accuracy)) for v in spec.variants),
        placements=tuple(_placement(p) for p in spec.placements),
        objective=_objective(spec),
        capacities=_capacities(spec, profile or ()),
        min_replicas=max(scaling.min_replicas, 1),
        idling=_idling(scaling),
        max_replicas=scaling.max_replicas,
        max_hourly_cost=None if scaling.max_hourly_cost is None else float(scaling.max_hourly_cost),
        scale_up=_rules(scaling.behavior.scale_up, SCALE_UP_STABILIZATION_SECONDS),
        scale_down=_rules(scaling.behavior.scale_down, SCALE_DOWN_STABILIZATION_SECONDS),
        fallback=FallbackRule(scaling.fallback.failure_threshold, scaling.fallback.replicas)
        if scaling.fallback
        else None,
        forecast=forecast_settings(scaling),
        start_deadline_seconds=float(spec.serving.start_deadline_seconds),
        recommend_only=scaling.mode == "Recommend",
        paused=resource.paused,
        reflex=scaling.reflex == "Auto",
        schedules=tuple(Schedule(s.start, s.end, s.time_zone, s.min_replicas) for s in scaling.schedules),
        priority=spec.priority,
        stated=_stated(scaling),
    )


def _stated(scaling: Scaling) -> frozenset[str]:
    """Return which settings of the policy the spec states itself.

    The default quantile does not count: API servers wrote it into specs that did not have it, when it was one of the CRD.
    """
    quantile = scaling.forecast.quantile
    said = {
        "quantile": quantile is not None and float(quantile) != DEFAULT_QUANTILE,
        "scale_down_seconds": scaling.behavior.scale_down.stabilization_window_seconds is not None,
    }
    return frozenset(name for name, is_stated in said.items() if is_stated)


def _placement(placement: Placement) -> PlacementOption:
    return PlacementOption(
        name=placement.name,
        hourly_cost=float(placement.hourly_cost),
        start_seconds=float(placement.start_seconds),
        max_replicas=placement.max_replicas,
        accelerator=placement.accelerator.resource_name if placement.accelerator else None,
        accelerator_units=placement.accelerator.count if placement.accelerator else 1,
    )


def _objective(spec: ModelDeploymentSpec) -> Objective:
    mean = spec.slo.min_mean_accuracy
    return Objective(
        percentile=spec.slo.latency.percentile / 100.0,
        latency_seconds=spec.slo.latency.target_milliseconds / 1000.0,
        min_accuracy=float(spec.slo.min_accuracy),
        min_mean_accuracy=None if mean is None else float(mean),
    )


def _capacities(spec: ModelDeploymentSpec, profile: tuple[CapacityEntry, ...]) -> tuple[ReplicaCapacity, ...]:
    placements, variants = {p.name for p in spec.placements}, {v.name for v in spec.variants}
    found: dict[PoolKey, ReplicaCapacity] = {}
    for index, entry in enumerate(profile):
        for problem in slow_problems(f"profile.json.entries[{index}]", entry):
            raise problem
        if entry.placement in placements and entry.variant in variants:
            found[PoolKey(entry.placement, entry.variant)] = _capacity(entry, from_profile=True)
    for entry in spec.capacity:
        found[PoolKey(entry.placement, entry.variant)] = _capacity(entry, from_profile=False)
    planned = ((c.pool.placement, c.pool.variant) for c in found.values() if not c.reflex_only)
    if uncovered := coverage_problem(spec, planned):
        raise uncovered
    return tuple(found[pool] for pool in sorted(found))


def _capacity(entry: CapacityEntry, *, from_profile: bool) -> ReplicaCapacity:
    return ReplicaCapacity(
        pool=PoolKey(entry.placement, entry.variant),
        per_request_seconds=float(entry.per_request_milliseconds) / 1000.0,
        overhead_seconds=float(entry.overhead_milliseconds) / 1000.0,
        max_batch=entry.max_batch,
        source="Profile" if from_profile else "Spec",
        reflex_only=entry.reflex_only,
        tail_seconds=float(entry.tail_milliseconds) / 1000.0,
        relative_error=None if entry.relative_error is None else float(entry.relative_error),
    )


def _idling(scaling: Scaling) -> Idling | None:
    if scaling.min_replicas:
        return None
    asked = scaling.scale_to_zero or ScaleToZero()
    return Idling(float(asked.after_seconds), float(asked.hold_seconds), asked.max_held_requests)


def _rules(rules: ScalingRules, default_seconds: float) -> DirectionRules:
    window = rules.stabilization_window_seconds
    return DirectionRules(
        stabilization_seconds=default_seconds if window is None else float(window),
        limits=tuple(RateLimit(p.type, p.value, float(p.period_seconds)) for p in rules.policies),
        select=rules.select_policy,
    )


def forecast_settings(scaling: Scaling) -> ForecastSettings:
    """Return how demand is to be forecast, as numbers.

    A spec that is refused is forecast too, so that nothing is lost when it is put right: what does not exist is left out.
    """
    asked = scaling.forecast
    return ForecastSettings(
        quantile=DEFAULT_QUANTILE if asked.quantile is None else float(asked.quantile),
        lookback_seconds=float(asked.lookback_seconds),
        season_seconds=float(asked.season_seconds),
        model=asked.model,
        time_zone=asked.time_zone if asked.time_zone in time_zones() else "UTC",
        holidays=tuple(date.fromisoformat(day) for day in asked.holidays if is_date(day)),
        holiday_country=asked.holiday_country if _known_country(asked.holiday_country) else None,
    )


def _known_country(code: str | None) -> bool:
    return code is not None and code in countries()
