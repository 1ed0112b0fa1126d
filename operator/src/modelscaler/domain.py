"""The records that observe, forecast, plan and render hand to each other: frozen, with units in their names.

Nothing here reads a clock or a network. Rates are requests per second, durations seconds, money per hour in the user's
currency, times UTC-aware.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelscaler.api.words import Binding, DecisionReason, GrantReason

Floats: TypeAlias = NDArray[np.float64]


class WorkloadKey(NamedTuple):
    """A ModelDeployment by namespace and name; a tuple, as keys are compared and looked up more than all else."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class PoolKey(NamedTuple):
    """A pool of like replicas: one placement running one variant."""

    placement: str
    variant: str

    def __str__(self) -> str:
        return f"{self.placement}-{self.variant}"


# --- readings: absence never looks like zero -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """A positive, finite, fresh sample."""

    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Zero:
    """A fresh sample that is truly zero."""

    at: datetime


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A fresh sum that leaves some replicas out: the number is no less than `value`, and `missing` of them are not in it."""

    value: float
    missing: int


@dataclass(frozen=True, slots=True)
class Absent:
    """The source answered, and has no such series."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The newest sample is too old to speak of now."""

    age_seconds: float


@dataclass(frozen=True, slots=True)
class SourceError:
    """The source failed, or answered NaN, an infinity, a negative rate or garbage."""

    message: str


Reading: TypeAlias = Value | Zero | AtLeast | Absent | Stale | SourceError


def known(reading: Reading) -> float | None:
    """Return the number of a value or a true zero; None for everything that is not knowledge."""
    match reading:
        case Value(value=value):
            return value
        case Zero():
            return 0.0
        case _:
            return None


def least(reading: Reading) -> float:
    """Return what a reading is at least: 0 when nothing is known."""
    return reading.value if isinstance(reading, AtLeast) else known(reading) or 0.0


def is_unknown(reading: Reading) -> bool:
    """Tell whether nothing at all is known: there is no number, and no bound of one."""
    return known(reading) is None and not isinstance(reading, AtLeast)


# --- what the user asked for ------------------------------------------------------------------------------------------


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
    replicas showed.
    """

    pool: PoolKey
    per_request_seconds: float
    overhead_seconds: float
    max_batch: int
    source: Literal["Spec", "Profile", "Measured"]
    reflex_only: bool = False
    tail_seconds: float = 0.0


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
    forecast settings. `recourse_quantile` must be carried by the planned variant itself; None: the median, or `quantile`
    where that is lower. `headroom` is added to all demand, as a share of it; below 0 it is
    left to the ladder, as far as enough is saved for that (planner/demand.py). `forecaster` Reactive leaves the forecast
    out of account. `scale_down_seconds` is how long the larger size is kept; None: as the spec's behaviour says.
    """

    quantile: float | None = None
    recourse_quantile: float | None = None
    headroom: float = 0.0
    forecaster: Literal["Forecast", "Reactive"] = "Forecast"
    scale_down_seconds: float | None = None


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
class Workload:
    """A ModelDeployment's spec as the planner sees it.

    `max_hourly_cost` None: no budget. `reflex`: replicas hold a ladder of cheaper variants for moments of overload.
    `priority`: who has shared accelerators first, the higher.
    `routed`: requests come through a gateway whose route may share them between two pools.
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

    def __hash__(self) -> int:
        """Hash what tells workloads apart nearly always; all of a spec takes longer to hash than a plan to look it up."""
        return hash((self.key, self.generation, self.min_replicas, self.reflex, self.policy))

    def placement(self, name: str) -> PlacementOption:
        """Return the placement of that name; KeyError when the spec has none."""
        return {p.name: p for p in self.placements}[name]

    def variant(self, name: str) -> VariantOption:
        """Return the variant of that name; KeyError when the spec has none."""
        return {v.name: v for v in self.variants}[name]


# --- what is seen -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """Offered load on a regular grid, oldest first.

    `rps` has shape (n,), float64, NaN where nothing is known; the last value belongs to `end`.
    """

    step_seconds: float
    end: datetime
    rps: Floats

    @property
    def span_seconds(self) -> float:
        """Length of the window in seconds."""
        return self.step_seconds * len(self.rps)


@dataclass(frozen=True, slots=True)
class QuantileForecast:
    """Quantiles of offered load one step after `made_at`, two steps after, and so on.

    `rps` has shape (steps, quantiles), float64, not below zero, not decreasing along either `quantiles` axis.
    `peak_rps` has the same shape: quantiles of the *maximum* over all steps up to that one. `note` says why the forecast is
    whose it is; `shares` names the forecasters with a share worth naming, rounded to a tenth, the largest first.
    """

    made_at: datetime
    step_seconds: float
    quantiles: tuple[float, ...]
    rps: Floats
    peak_rps: Floats
    method: str
    learned: bool
    note: str = ""
    shares: tuple[tuple[str, float], ...] = ()

    def peak(self, quantile: float, horizon_seconds: float) -> float:
        """Return the `quantile` of the peak within `horizon_seconds`, interpolated between the quantiles at hand."""
        return self.peaks([quantile], horizon_seconds)[0]

    def peaks(self, quantiles: Iterable[float], horizon_seconds: float) -> list[float]:
        """Return several quantiles of the peak within `horizon_seconds`."""
        row: list[float] = self.peak_rps[self._index(horizon_seconds)].tolist()
        return [self._interpolated(row, quantile) for quantile in quantiles]

    def _interpolated(self, row: Sequence[float], quantile: float) -> float:
        at = bisect_left(self.quantiles, quantile)
        if at == len(self.quantiles) or at == 0 or self.quantiles[at] == quantile:
            return row[min(at, len(row) - 1)]
        below, above = self.quantiles[at - 1], self.quantiles[at]
        share = (quantile - below) / (above - below)
        return row[at - 1] + share * (row[at] - row[at - 1])

    def values(self, horizon_seconds: float) -> Floats:
        """Return the quantiles of the load `horizon_seconds` ahead, shape (quantiles,)."""
        row: Floats = self.rps[self._index(horizon_seconds)]
        return row

    def _index(self, horizon_seconds: float) -> int:
        return min(max(math.ceil(horizon_seconds / self.step_seconds) - 1, 0), len(self.peak_rps) - 1)


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """A pool's Deployment and pods as the API server has them.

    `unschedulable` pods are those the scheduler could not place; `failing` those that crash, cannot be pulled or exit;
    `refused` is how many cannot even be made (a quota, admission), for `refused_seconds` now. `failure` is the reason of the
    first of these, None when there is none. `start_seconds` is the measured 90th percentile of pod created → ready, None
    before one was seen. `unready_seconds` is how long the oldest pod that is not ready has existed, 0 when all are ready.
    `budgets` is how full the budgets of accuracy of its replicas are, added up (2.5: two full ones and a half, overdrawn ones
    below 0), None when that is not known; `overdraft` by what share they may be overdrawn, None before any says so.
    """

    pool: PoolKey
    replicas: int
    ready: int
    starting: int = 0
    unschedulable: int = 0
    failing: int = 0
    refused: int = 0
    refused_seconds: float = 0.0
    failure: str | None = None
    start_seconds: float | None = None
    terminating: int = 0
    unready_seconds: float = 0.0
    budgets: float | None = None
    overdraft: float | None = None

    @property
    def alive(self) -> int:
        """Pods that are not on their way out."""
        return self.ready + self.starting + self.unschedulable + self.failing


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many replicas a ModelDeployment may have on a placement whose accelerators others want, too.

    `wanted` is how many it would have, and `reason` why it may not. `counted_units` are the accelerators in the cluster, None
    where they are not counted.
    """

    placement: str
    replicas: int
    wanted: int
    reason: GrantReason
    counted_units: int | None = None


@dataclass(frozen=True, slots=True)
class RouteObservation:
    """The route from the gateway to the pools, as the API server has it.

    `accepted`: a gateway has taken it up; `current`: with the weights that are written now. `side` is the pool beside the
    serving one that gets `side_share` of the requests, in [0, 1]; None when there is none.
    """

    accepted: bool
    side: PoolKey | None = None
    side_share: float = 0.0
    current: bool = True

    def share_of(self, pool: PoolKey) -> float:
        """Return the share of the requests that a pool gets as the one beside."""
        return self.side_share if pool == self.side else 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything a plan may look at besides the forecast.

    `latency` is in seconds at the objective's percentile. `selected` is the pool the Service selects, None when there is no
    Service yet. `new_readings` is False in an early pass, which looks at the last tick's readings again. `served` is
    (variant, answers per second) for the variants that answer in that pool, and `served_beside` likewise for the pool beside
    it; both are empty when that is not known. `allowances` are of placements with shared accelerators; one that is missing is
    not limited. `unmakeable` are pools that the API server does not let be made at all. `route` None: there is no route.
    """

    now: datetime
    offered: Reading
    queued: Reading
    latency: Reading
    pools: tuple[PoolObservation, ...] = ()
    selected: PoolKey | None = None
    new_readings: bool = True
    served: tuple[tuple[str, float], ...] = ()
    allowances: tuple[Allowance, ...] = ()
    served_beside: tuple[tuple[str, float], ...] = ()
    unmakeable: tuple[PoolKey, ...] = ()
    route: RouteObservation | None = None

    @property
    def load_is_known(self) -> bool:
        """Whether it is known how many requests come and how many wait; nothing is taken away, or risked, while it is not."""
        return known(self.offered) is not None and known(self.queued) is not None

    def pool(self, key: PoolKey) -> PoolObservation:
        """Return what was seen of a pool; an empty pool when it does not exist."""
        return next((p for p in self.pools if p.pool == key), PoolObservation(key, 0, 0))


# --- what is remembered -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outage:
    """A pool that could not start: left alone until `until`."""

    pool: PoolKey
    until: datetime
    failures: int
    reason: str


@dataclass(frozen=True, slots=True)
class Switch:
    """A make-before-break switch under way towards `target`."""

    target: PoolKey
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Side:
    """A pool beside the serving one, which a route shares requests with."""

    pool: PoolKey
    started_at: datetime


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What a decision must remember; it lives in the ModelDeployment's status, so it survives a restart.

    `recommendations` and `changes` are (time, replicas) and (time, change), oldest first. `cheaper_since` is when another
    choice started to be cheaper than the serving one, None when none is. `accelerator_wanted_since` is when it began to want
    a shared accelerator, or to hold one if it had not waited; `accelerator_held_since` when it got one; None: neither.
    `mix_better_since` is when another division between two pools started to be cheaper. `side` is the pool beside the serving
    one, None when there is none, and `side_recommendations` how many replicas of whichever of the two starts sooner would
    have carried all of the load.
    """

    active: PoolKey | None = None
    switch: Switch | None = None
    outages: tuple[Outage, ...] = ()
    recommendations: tuple[tuple[datetime, int], ...] = ()
    changes: tuple[tuple[datetime, int], ...] = ()
    missing_ticks: int = 0
    cheaper_since: datetime | None = None
    planned_generation: int = 0
    accelerator_wanted_since: datetime | None = None
    accelerator_held_since: datetime | None = None
    side: Side | None = None
    side_recommendations: tuple[tuple[datetime, int], ...] = ()
    mix_better_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Savings:
    """What answers saved of accuracy above the floor for their mean, less what was below it; `at`: up to when.

    One unit is one answer, one whole unit of accuracy. It is below 0 when answers were worse than the floor.
    """

    balance: float
    at: datetime


# --- what is decided --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """One candidate: so many replicas of a pool, what they cost and carry, and what latency they promise.

    `latency_seconds` is inf when the choice cannot carry the demand. `shortfall_rps` is the demand it cannot carry.
    """

    pool: PoolKey
    replicas: int
    hourly_cost: float
    accuracy: float
    latency_seconds: float
    shortfall_rps: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether the whole demand is carried within the objective."""
        return self.shortfall_rps <= 0.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What the plan is for: `planned_rps`. `measured_rps` None: unknown; `forecast_rps` None: no forecast.

    `base_rps` is the part that the planned variant must carry itself; cheaper variants of the ladder may answer what is
    above it. None: there is no ladder, and the planned variant carries everything.
    """

    measured_rps: float | None
    forecast_rps: float | None
    planned_rps: float
    horizon_seconds: float
    base_rps: float | None = None

    @property
    def own_rps(self) -> float:
        """What the planned variant must carry itself."""
        return self.planned_rps if self.base_rps is None else self.base_rps


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision as a value: the target, one word and one sentence why, what bound it and what came second.

    `side` is what is to run beside the target and share its requests; None: the target alone.
    """

    target: Choice
    reason: DecisionReason
    message: str
    binding: Binding
    demand: Demand
    runner_up: Choice | None = None
    why_not_runner_up: str = ""
    side: Choice | None = None

    @property
    def hourly_cost(self) -> float:
        """Price of all replicas."""
        return self.target.hourly_cost + (self.side.hourly_cost if self.side else 0.0)


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """How many replicas a pool shall have now; a pool that shall go away has `delete` set once it is drained.

    `overdraft` is by what share its replicas may overdraw their budgets of accuracy, 0 to 1.
    """

    pool: PoolKey
    replicas: int
    delete: bool = False
    overdraft: float = 0.0


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """How a route shall share requests: weights of the serving pool and of the one beside it, None when there is none."""

    base_weight: int
    side: PoolKey | None = None
    side_weight: int = 0

    @property
    def side_share(self) -> float:
        """Share of the requests that the pool beside gets, in [0, 1]."""
        total = self.base_weight + self.side_weight
        return self.side_weight / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """The next safe step towards a plan.

    Replicas per pool, the pool the Service selects (None: leave the Service as it is), the state to remember, what happened
    on the way, as (reason, sentence) pairs for events, and how the route shares requests (None: leave it as it is).
    """

    pools: tuple[PoolTarget, ...]
    serving: PoolKey | None
    state: PolicyState
    notes: tuple[tuple[DecisionReason, str], ...] = field(default=())
    route: RouteTarget | None = None


class SloVerdict(Enum):
    """Whether the latency objective is met now."""

    MET = "met"
    MISSED = "missed"
    NO_TRAFFIC = "no traffic"
    UNKNOWN = "unknown"


def is_out(state: PolicyState, pool: PoolKey, now: datetime) -> bool:
    """Tell whether a pool is still left alone after failing to start."""
    return any(outage.pool == pool and outage.until > now for outage in state.outages)


def backoff(failures: int) -> timedelta:
    """Return how long a pool that failed `failures` times in a row is left alone: 30 s doubling to 10 minutes."""
    return timedelta(seconds=min(30.0 * 2 ** (max(failures, 1) - 1), 600.0))
