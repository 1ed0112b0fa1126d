"""What the user asked for."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from modelscaler.domain.keys import PoolKey, WorkloadKey


@dataclass(frozen=True, slots=True)
class VariantOption:
    """A variant that may serve; `accuracy` between 0 and 1."""

    name: str
    accuracy: float


@dataclass(frozen=True, slots=True)
class PlacementOption:
    """A placement that may be used.

    `max_replicas` None: only the workload's own maximum. `accelerator` None: needs none; else one replica takes
    `accelerator_units` of it.
    """

    name: str
    hourly_cost: float
    start_seconds: float
    max_replicas: int | None = None
    accelerator: str | None = None
    accelerator_units: int = 1


@dataclass(frozen=True, slots=True)
class Objective:
    """`percentile` in (0, 1): that share of requests within `latency_seconds`; no answer below `min_accuracy`.

    `min_mean_accuracy` is what answers must reach on average, over about a day; None: `min_accuracy` is all that is asked.
    """

    percentile: float
    latency_seconds: float
    min_accuracy: float
    min_mean_accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class ReplicaCapacity:
    """Speed of one replica: a batch of n takes `overhead_seconds + n * per_request_seconds`, n up to `max_batch`.

    `reflex_only`: the pair may answer bursts as a rung of the reflex's ladder, but is never planned. `tail_seconds` is what one
    request in a hundred takes beyond a batch of one although it met no queue. `source` Measured: corrected by what loaded
    replicas showed. `relative_error` (0 to 1): how far the stated rate may be off, None: not known; nothing is planned by it.
    """

    pool: PoolKey
    per_request_seconds: float
    overhead_seconds: float
    max_batch: int
    source: Literal["Spec", "Profile", "Measured"]
    reflex_only: bool = False
    tail_seconds: float = 0.0
    relative_error: float | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `value` replicas (or percent of them) of change within `period_seconds`."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_seconds: float


@dataclass(frozen=True, slots=True)
class DirectionRules:
    """How fast replicas may change in one direction (HorizontalPodAutoscaler behavior)."""

    stabilization_seconds: float
    limits: tuple[RateLimit, ...] = ()
    select: Literal["Max", "Min", "Disabled"] = "Max"


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """`quantile` in (0, 1) is planned for; `season_seconds` is the period that repeats.

    `time_zone` is an IANA name. `holidays` are local dates on which the load is as on Sundays; `holiday_country` is an ISO 3166
    code whose public holidays count as well, None for none.
    """

    quantile: float
    lookback_seconds: float
    season_seconds: float
    model: Literal["Auto", "Baselines", "Boosted"]
    time_zone: str = "UTC"
    holidays: tuple[date, ...] = ()
    holiday_country: str | None = None


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """How a plan weighs what it knows; self-tuning chooses these, nobody has to.

    `quantile` of demand must be carried, with the cheapest rung of the reflex's ladder if need be; None: the quantile of the
    forecast settings. `recourse_quantile` must be carried by the planned variant itself, more where little is saved for cheaper
    answers; None: the median, or `quantile` where that is lower. `headroom` is added to all demand, as a share of it; below
    0 it is left to the ladder, as far as enough is saved for that (planner/demand.py). `forecaster` Reactive leaves the
    forecast out of account. `scale_down_seconds` is how long the larger size is kept; None: as the spec's behaviour says.
    """

    quantile: float | None = None
    recourse_quantile: float | None = None
    headroom: float = 0.0
    forecaster: Literal["Forecast", "Reactive"] = "Forecast"
    scale_down_seconds: float | None = None

    def within(self, stated: frozenset[str]) -> "PolicySettings":
        """Return the same, with what a spec states itself left to it; `stated` are names of settings."""
        left = dict.fromkeys(stated)
        return replace(self, **left) if left else self  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class FallbackRule:
    """After `failure_threshold` ticks without metrics hold at least `replicas`."""

    failure_threshold: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """At least `min_replicas` from each time that `start` names until the next that `end` names.

    Both are cron expressions of five fields, on the clock of `time_zone` (an IANA name).
    """

    start: str
    end: str
    time_zone: str
    min_replicas: int


@dataclass(frozen=True, slots=True)
class Idling:
    """No replica is kept where nobody has asked, nor been expected to, for `after_seconds`.

    Meanwhile an activator holds up to `most_held` requests at once, each for `hold_seconds` at most.
    """

    after_seconds: float
    hold_seconds: float
    most_held: int


@dataclass(frozen=True, slots=True)
class Workload:
    """A ModelDeployment's spec as the planner sees it.

    `max_hourly_cost` None: no budget. `reflex`: replicas hold a ladder of cheaper variants for moments of overload.
    `priority`: who has shared accelerators first, the higher.
    `routed`: requests come through a gateway whose route may share them between two pools.
    `stated` names the policy settings that the spec states itself, which self-tuning leaves alone.
    `idling` None: at least `min_replicas`, which is 1 or more, are always kept.
    """

    key: WorkloadKey
    generation: int
    variants: tuple[VariantOption, ...]
    placements: tuple[PlacementOption, ...]
    objective: Objective
    capacities: tuple[ReplicaCapacity, ...]
    min_replicas: int
    max_replicas: int
    max_hourly_cost: float | None
    scale_up: DirectionRules
    scale_down: DirectionRules
    fallback: FallbackRule | None
    forecast: ForecastSettings
    start_deadline_seconds: float
    recommend_only: bool = False
    paused: bool = False
    reflex: bool = False
    policy: PolicySettings = PolicySettings()
    schedules: tuple[Schedule, ...] = ()
    priority: int = 0
    routed: bool = False
    stated: frozenset[str] = frozenset()
    idling: Idling | None = None

    def __hash__(self) -> int:
        """Hash what tells workloads apart nearly always; all of a spec takes longer to hash than a plan to look it up."""
        return hash((self.key, self.generation, self.min_replicas, self.reflex, self.policy))

    def placement(self, name: str) -> PlacementOption:
        """Return the placement of that name; KeyError when the spec has none."""
        return {p.name: p for p in self.placements}[name]

    def variant(self, name: str) -> VariantOption:
        """Return the variant of that name; KeyError when the spec has none."""
        return {v.name: v for v in self.variants}[name]
