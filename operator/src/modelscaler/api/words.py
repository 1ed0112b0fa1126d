"""Condition types and reasons: one word each, the same in status, events, logs, metrics and tests."""

from enum import StrEnum


class ConditionType(StrEnum):
    """The types of `status.conditions`."""

    ACCEPTED = "Accepted"
    APPLIED = "Applied"
    READY = "Ready"
    METRICS_AVAILABLE = "MetricsAvailable"
    FORECAST_HEALTHY = "ForecastHealthy"
    SLO_MET = "SLOMet"
    SCALING_LIMITED = "ScalingLimited"
    ACCELERATOR_AVAILABLE = "AcceleratorAvailable"
    FALLBACK = "Fallback"
    PAUSED = "Paused"
    ROUTED = "Routed"


class ConditionReason(StrEnum):
    """Why a condition has its status."""

    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    PROFILE_UNAVAILABLE = "ProfileUnavailable"
    WORKLOAD_CONFLICT = "WorkloadConflict"
    AS_DECIDED = "AsDecided"
    WRITE_REFUSED = "WriteRefused"
    ENOUGH_READY = "EnoughReplicasReady"
    STARTING = "ReplicasStarting"
    NOT_STARTED = "NoReplicaReady"
    REPLICAS_REFUSED = "ReplicasRefused"
    MODEL_FAILED = "ModelFailedToStart"
    SERIES_PRESENT = "SeriesPresent"
    SERIES_ABSENT = "SeriesAbsent"
    SERIES_STALE = "SeriesStale"
    SERIES_INCOMPLETE = "SeriesIncomplete"
    QUEUE_UNKNOWN = "QueueUnknown"
    SOURCE_ERROR = "SourceError"
    LEARNED = "LearnedModelServes"
    BASELINE = "BaselineServes"
    SHORT_HISTORY = "HistoryTooShort"
    NO_HISTORY = "NoHistory"
    DEMOTED = "LearnedModelDemoted"
    COVERAGE_LOST = "CoverageLost"
    WITHIN_OBJECTIVE = "WithinObjective"
    OVER_OBJECTIVE = "OverObjective"
    NO_TRAFFIC = "NoTraffic"
    UNKNOWN = "Unknown"
    WITHIN_LIMITS = "WithinLimits"
    SCHEDULABLE = "Schedulable"
    UNSCHEDULABLE = "Unschedulable"
    NOT_REQUESTED = "NotRequested"
    METRICS_PRESENT = "MetricsPresent"
    METRICS_MISSING = "MetricsMissing"
    ANNOTATED = "Annotated"
    NOT_PAUSED = "NotPaused"
    ROUTE_ACCEPTED = "RouteAccepted"
    ROUTE_PENDING = "RouteNotAccepted"
    ROUTES_NOT_SERVED = "GatewayAPINotServed"
    ROUTES_FORBIDDEN = "HTTPRoutesForbidden"


class DecisionReason(StrEnum):
    """Why the planner chose what it chose; also the reason of the event that announces it."""

    FIRST_PLAN = "FirstPlan"
    FORECAST_DEMAND = "ForecastDemand"
    MEASURED_DEMAND = "MeasuredDemand"
    DEMAND_FELL = "DemandFell"
    CHEAPER_CHOICE = "CheaperChoice"
    SPEC_CHANGED = "SpecChanged"
    CANDIDATE_UNAVAILABLE = "CandidateUnavailable"
    FAILBACK = "Failback"
    STEADY = "Steady"
    METRICS_MISSING = "MetricsMissing"
    FALLBACK = "Fallback"
    PAUSED = "Paused"
    INFEASIBLE = "Infeasible"


class Binding(StrEnum):
    """The constraint that stopped the plan from being smaller or cheaper, or from being larger."""

    DEMAND = "Demand"
    MIN_REPLICAS = "MinReplicas"
    SCHEDULE = "Schedule"
    MAX_REPLICAS = "MaxReplicas"
    MAX_HOURLY_COST = "MaxHourlyCost"
    OBJECTIVE = "LatencyObjective"
    MEAN_ACCURACY = "MeanAccuracy"
    AVAILABILITY = "Availability"
    STABILIZATION = "StabilizationWindow"
    SCALE_UP_RATE = "ScaleUpRate"
    SCALE_DOWN_RATE = "ScaleDownRate"
    SWITCH_COST = "SwitchCost"
    COST = "Cost"
    ACCURACY = "Accuracy"
    METRICS = "Metrics"
    PAUSED = "Paused"
    TOO_FEW_ACCELERATORS = "TooFewAccelerators"
    HIGHER_PRIORITY = "HigherPriority"
    WORTH_MORE_ELSEWHERE = "WorthMoreElsewhere"
    SUPPLY_UNKNOWN = "SupplyUnknown"
    BEING_HANDED_OVER = "BeingHandedOver"


class TuningReason(StrEnum):
    """Why the settings that a plan weighs by are what they are; also the reason of the event when they change."""

    CHEAPER = "CheaperSettings"
    MENDED = "ObjectiveMended"
    KEPT = "SettingsKept"
    SHORT_HISTORY = "HistoryTooShort"
    GAPS = "HistoryHasGaps"
    OUT_OF_TIME = "TuningOutOfTime"
    FAILED = "TuningFailed"
    SPEC_CHANGED = "SpecChanged"
    OFF = "TuningOff"


class GrantReason(StrEnum):
    """Why a ModelDeployment may have as many shared accelerators as it may; all but the first are constraints, too."""

    AS_WANTED = "AsWanted"
    TOO_FEW = "TooFewAccelerators"
    OUTRANKED = "HigherPriority"
    OUTBID = "WorthMoreElsewhere"
    UNKNOWN = "SupplyUnknown"
    HANDOVER = "BeingHandedOver"
