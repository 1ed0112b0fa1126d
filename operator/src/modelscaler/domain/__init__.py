"""The records that observe, forecast, plan and render hand to each other: frozen, with units in their names.

Nothing here reads a clock or a network. Rates are requests per second, durations seconds, money per hour in the user's
currency, times UTC-aware.
"""

from modelscaler.domain.decision import Choice, Demand, Plan, PoolTarget, RouteTarget, SloVerdict, Step
from modelscaler.domain.keys import Floats, PoolKey, WorkloadKey
from modelscaler.domain.load import LoadWindow, QuantileForecast
from modelscaler.domain.memory import Outage, PolicyState, Savings, Side, Switch, backoff, is_out
from modelscaler.domain.observation import (
    LONGEST_START_SECONDS,
    Allowance,
    Observation,
    PoolObservation,
    Rollout,
    RouteObservation,
)
from modelscaler.domain.readings import (
    Absent,
    AtLeast,
    Reading,
    SourceError,
    Stale,
    Value,
    Zero,
    is_unknown,
    known,
    least,
)
from modelscaler.domain.workload import (
    DirectionRules,
    FallbackRule,
    ForecastSettings,
    Idling,
    Objective,
    PlacementOption,
    PolicySettings,
    RateLimit,
    ReplicaCapacity,
    Schedule,
    VariantOption,
    Workload,
)

__all__ = [
    "LONGEST_START_SECONDS",
    "Absent",
    "Allowance",
    "AtLeast",
    "Choice",
    "Demand",
    "DirectionRules",
    "FallbackRule",
    "Floats",
    "ForecastSettings",
    "Idling",
    "LoadWindow",
    "Objective",
    "Observation",
    "Outage",
    "PlacementOption",
    "Plan",
    "PolicySettings",
    "PolicyState",
    "PoolKey",
    "PoolObservation",
    "PoolTarget",
    "QuantileForecast",
    "RateLimit",
    "Reading",
    "ReplicaCapacity",
    "Rollout",
    "RouteObservation",
    "RouteTarget",
    "Savings",
    "Schedule",
    "Side",
    "SloVerdict",
    "SourceError",
    "Stale",
    "Step",
    "Switch",
    "Value",
    "VariantOption",
    "Workload",
    "WorkloadKey",
    "Zero",
    "backoff",
    "is_out",
    "is_unknown",
    "known",
    "least",
]
