"""Builders of domain records for tests: sensible defaults, and whatever a test is about as an override."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from modelscaler.domain import (
    Absent,
    Choice,
    DirectionRules,
    FallbackRule,
    ForecastSettings,
    Idling,
    LoadWindow,
    Objective,
    Observation,
    Outage,
    PlacementOption,
    PoolKey,
    PoolObservation,
    QuantileForecast,
    RateLimit,
    Reading,
    ReplicaCapacity,
    Value,
    VariantOption,
    Workload,
    WorkloadKey,
    Zero,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CPU_INT8, CPU_FULL = PoolKey("cpu", "int8"), PoolKey("cpu", "full")
GPU_INT8, GPU_FULL = PoolKey("gpu", "int8"), PoolKey("gpu", "full")


def capacity(pool: PoolKey = CPU_INT8, per_request_ms: float = 10.0, **overrides: Any) -> ReplicaCapacity:
    """Return a replica that carries about 80 rps within 400 ms at the 99th percentile by default."""
    fields: dict[str, Any] = {
        "pool": pool,
        "per_request_seconds": per_request_ms / 1000.0,
        "overhead_seconds": 0.002,
        "max_batch": 16,
        "source": "Spec",
    }
    return ReplicaCapacity(**(fields | overrides))


def objective(latency_seconds: float = 0.4, percentile: float = 0.99, min_accuracy: float = 0.0) -> Objective:
    """Return an objective: 99 % of requests within 400 ms, any accuracy, by default."""
    return Objective(percentile=percentile, latency_seconds=latency_seconds, min_accuracy=min_accuracy)


def placement(
    name: str = "cpu", hourly_cost: float = 0.1, start_seconds: float = 20.0, **overrides: Any
) -> PlacementOption:
    """Return a placement without an accelerator or a maximum of its own."""
    return PlacementOption(name=name, hourly_cost=hourly_cost, start_seconds=start_seconds, **overrides)


def rules(stabilization_seconds: float = 0.0, *limits: RateLimit, **overrides: Any) -> DirectionRules:
    """Return scaling rules of one direction: neither a window nor limits by default."""
    return DirectionRules(stabilization_seconds=stabilization_seconds, limits=limits, **overrides)


def idling(after_seconds: float = 300.0, hold_seconds: float = 600.0, most_held: int = 1000) -> Idling:
    """Return when no replica is kept: after five minutes by default, with the activator's own limits."""
    return Idling(after_seconds, hold_seconds, most_held)


def workload(**overrides: Any) -> Workload:
    """Return a workload on cheap CPUs and on GPUs that cost five times and carry five times as much, full or int8."""
    fields: dict[str, Any] = {
        "key": WorkloadKey("shop", "ranker"),
        "generation": 1,
        "variants": (VariantOption("full", 0.92), VariantOption("int8", 0.91)),
        "placements": (
            placement("cpu", 0.1, 20.0),
            placement("gpu", 0.5, 60.0, accelerator="example.com/gpu"),
        ),
        "objective": objective(),
        "capacities": (
            capacity(CPU_FULL, 20.0),
            capacity(CPU_INT8, 10.0),
            capacity(GPU_FULL, 4.0),
            capacity(GPU_INT8, 2.0),
        ),
        "min_replicas": 1,
        "max_replicas": 10,
        "max_hourly_cost": None,
        "scale_up": rules(),
        "scale_down": rules(300.0),
        "fallback": None,
        "forecast": ForecastSettings(quantile=0.95, lookback_seconds=86400.0, season_seconds=86400.0, model="Auto"),
        "start_deadline_seconds": 600.0,
    }
    return Workload(**(fields | overrides))


def single_pool(**overrides: Any) -> Workload:
    """Return a workload that may only run int8 on CPUs, so that nothing but the number of replicas is to be chosen."""
    fields: dict[str, Any] = {
        "variants": (VariantOption("int8", 0.91),),
        "placements": (placement("cpu"),),
        "capacities": (capacity(CPU_INT8),),
    }
    return workload(**(fields | overrides))


def fallback(replicas: int, failure_threshold: int = 3) -> FallbackRule:
    """Return a fallback rule."""
    return FallbackRule(failure_threshold=failure_threshold, replicas=replicas)


def pool(key: PoolKey = CPU_INT8, replicas: int = 1, ready: int | None = None, **overrides: Any) -> PoolObservation:
    """Return a pool of which all replicas are ready, or else `ready` of them; the rest is starting unless said otherwise."""
    up = replicas if ready is None else ready
    stuck = sum(overrides.get(why, 0) for why in ("unschedulable", "failing", "refused"))
    fields: dict[str, Any] = {"starting": max(replicas - up - stuck, 0)}
    return PoolObservation(pool=key, replicas=replicas, ready=up, **(fields | overrides))


def reading(rps: float | None) -> Reading:
    """Return a fresh reading; None for an absent series."""
    if rps is None:
        return Absent()
    return Value(rps, NOW) if rps else Zero(NOW)


def observation(
    offered: Reading | float | None = 0.0, *pools: PoolObservation, now: datetime = NOW, **overrides: Any
) -> Observation:
    """Return an observation of an offered load (a rate, a reading, or None for an absent series) and pools."""
    fields: dict[str, Any] = {
        "now": now,
        "offered": reading(offered) if offered is None or isinstance(offered, int | float) else offered,
        "queued": Zero(now),
        "latency": Absent(),
        "answered": Absent(),
        "waited": Absent(),
        "pools": pools,
        "selected": None,
    }
    return Observation(**(fields | overrides))


def forecast(
    peak_rps: float | Sequence[float],
    made_at: datetime = NOW,
    step_seconds: float = 15.0,
    spread: float = 0.0,
    **overrides: Any,
) -> QuantileForecast:
    """Return a forecast whose median peak is `peak_rps`: one rate for the next hour, or one per step.

    Its 0.1 and 0.95 quantiles are `spread` (a share) below and above the median.
    """
    given = np.atleast_1d(np.asarray(peak_rps, dtype=np.float64))
    median = np.full(240, given[0]) if len(given) == 1 else np.maximum.accumulate(given)
    peaks = median[:, None] * np.array([1.0 - spread, 1.0, 1.0 + spread])
    fields: dict[str, Any] = {
        "made_at": made_at,
        "step_seconds": step_seconds,
        "quantiles": (0.1, 0.5, 0.95),
        "rps": peaks,
        "peak_rps": peaks,
        "method": "test",
        "learned": False,
    }
    return QuantileForecast(**(fields | overrides))


def load_window(rps: Sequence[float], step_seconds: float = 60.0, end: datetime = NOW) -> LoadWindow:
    """Return a window of offered load, NaN where nothing is known."""
    return LoadWindow(step_seconds=step_seconds, end=end, rps=np.asarray(rps, dtype=np.float64))


def choice(key: PoolKey = CPU_INT8, replicas: int = 1, **overrides: Any) -> Choice:
    """Return a feasible choice."""
    fields: dict[str, Any] = {"hourly_cost": 0.1 * replicas, "accuracy": 0.91, "latency_seconds": 0.1}
    return Choice(pool=key, replicas=replicas, **(fields | overrides))


def outage(key: PoolKey, until: datetime, failures: int = 1, reason: str = "Unschedulable") -> Outage:
    """Return an outage."""
    return Outage(pool=key, until=until, failures=failures, reason=reason)
