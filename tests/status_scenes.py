"""What a status is made from, for tests: a ModelDeployment that serves, and whatever a test is about as an override."""

from datetime import datetime
from typing import Any

import builders
from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.api.words import Binding, ConditionReason, DecisionReason
from modelscaler.capacity.measured import Carried
from modelscaler.domain import Choice, Demand, Plan, PolicyState, PoolKey, PoolTarget, Step, Value
from modelscaler.status import ForecastHealth, StatusInputs

HEALTHY = ForecastHealth(True, ConditionReason.LEARNED, "the learned model serves")


def plan(target: Choice | None = None, **overrides: Any) -> Plan:
    """Return a plan for two replicas of cpu-int8 that demand decided."""
    fields: dict[str, Any] = {
        "target": target or builders.choice(replicas=2),
        "reason": DecisionReason.FORECAST_DEMAND,
        "message": "120 requests/s are forecast",
        "binding": Binding.DEMAND,
        "demand": Demand(100.0, 120.0, 120.0, 75.0),
        "runner_up": builders.choice(builders.GPU_INT8, 1),
        "why_not_runner_up": "costs 2.5 times as much",
    }
    return Plan(**(fields | overrides))


def step(state: PolicyState | None = None, replicas: int = 2, pool: PoolKey = builders.CPU_INT8) -> Step:
    """Return a step that keeps a pool serving with so many replicas."""
    return Step((PoolTarget(pool, replicas),), pool, state or PolicyState(active=pool, planned_generation=7))


def scene(
    previous: ModelDeploymentStatus | None = None, now: datetime = builders.NOW, rps: float = 100.0, **overrides: Any
) -> StatusInputs:
    """Return the inputs of a ModelDeployment that serves `rps` on two ready replicas within its objective."""
    seen = builders.observation(
        Value(rps, now),
        builders.pool(builders.CPU_INT8, replicas=2),
        now=now,
        queued=Value(1.0, now),
        latency=Value(0.12, now),
        selected=builders.CPU_INT8,
    )
    fields: dict[str, Any] = {
        "generation": 7,
        "paused": False,
        "now": now,
        "previous": previous or ModelDeploymentStatus(),
        "observation": seen,
        "forecast_health": HEALTHY,
        "forecast": builders.forecast(1.2 * rps, spread=0.25),
        "workload": builders.workload(),
        "plan": plan(),
        "step": step(),
        "capacities": (Carried(builders.capacity(builders.CPU_INT8), 81.234, 81.234),),
    }
    return StatusInputs(**(fields | overrides))


def rejected(previous: ModelDeploymentStatus | None = None, **overrides: Any) -> StatusInputs:
    """Return the inputs of a ModelDeployment whose spec cannot be used."""
    why = (
        ConditionReason.INVALID_SPEC,
        "spec.scaling.minReplicas: got 5, expected at most spec.scaling.maxReplicas (3)",
    )
    none: dict[str, Any] = {"workload": None, "plan": None, "step": None, "forecast": None, "capacities": ()}
    return scene(previous, **(none | {"generation": 8, "rejected": why} | overrides))
