"""The status of a ModelDeployment."""

from typing import Literal

from pydantic import Field

from modelscaler.api.v1alpha1.fields import ApiModel, LongText, ShortText, list_map


class Condition(ApiModel):
    """As metav1.Condition."""

    type: ShortText = Field(description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: ShortText = Field(description="One word why.")
    message: LongText = Field(default="", description="A sentence for people.")
    observed_generation: int = Field(default=0, ge=0, description="metadata.generation this was judged on.")
    last_transition_time: ShortText = Field(description="When status last changed, RFC 3339.")


class ActivePool(ApiModel):
    """What serves now."""

    placement: ShortText = Field(description="Placement that serves.")
    variant: ShortText = Field(description="Variant that serves.")
    replicas: int = Field(ge=0, description="Replicas asked for in the serving pool.")
    ready_replicas: int = Field(ge=0, description="Replicas ready in the serving pool.")


class SidePool(ApiModel):
    """The pool beside the serving one."""

    placement: ShortText = Field(description="Its placement.")
    variant: ShortText = Field(description="Its variant.")
    replicas: int = Field(ge=0, description="Replicas asked for.")
    ready_replicas: int = Field(ge=0, description="Replicas ready.")
    share: ShortText = Field(description="Share of the requests that the route gives it, from 0 to 1.")
    start_time: ShortText = Field(description="Since when, RFC 3339.")


class DesiredSide(ApiModel):
    """What the plan wants beside the serving pool."""

    placement: ShortText = Field(description="Placement the plan wants.")
    variant: ShortText = Field(description="Variant the plan wants.")
    replicas: int = Field(ge=0, description="Replicas the plan wants.")


class DesiredPool(ApiModel):
    """What the plan wants."""

    placement: ShortText = Field(description="Placement the plan wants.")
    variant: ShortText = Field(description="Variant the plan wants.")
    replicas: int = Field(ge=0, description="Replicas the plan wants.")
    hourly_cost: ShortText = Field(description="Price of the plan per hour, of what is beside included.")
    side: DesiredSide | None = Field(default=None, description="What is wanted beside; absent: one pool alone.")


class LoadStatus(ApiModel):
    """Load as last read. Refreshed when it moves noticeably, not every tick."""

    time: ShortText | None = Field(default=None, description="When it was read, RFC 3339.")
    offered_rps: ShortText | None = Field(default=None, description="Offered requests per second; absent when unknown.")
    queued: int | None = Field(default=None, ge=0, description="Requests waiting in queues.")
    latency_milliseconds: int | None = Field(
        default=None, ge=0, description="Latency at the objective's percentile; absent without traffic."
    )


class ForecastWeight(ApiModel):
    """A forecaster and its share."""

    forecaster: ShortText = Field(description="Forecaster.")
    share: ShortText = Field(description="Its share in the upper quantiles, to a tenth.")


class ForecastStatus(ApiModel):
    """The forecast the plan was made on."""

    method: ShortText = Field(description="Forecaster that serves.")
    weights: list[ForecastWeight] = Field(
        default_factory=list, max_length=16, description="Who has which share in the forecast, the largest first."
    )
    reason: LongText | None = Field(default=None, description="Why the forecast is whose it is.")
    horizon_seconds: int = Field(ge=0, description="How far ahead the plan looked.")
    lower_rps: ShortText = Field(description="0.1 quantile of the peak within the horizon.")
    median_rps: ShortText = Field(description="Median of the peak within the horizon.")
    planned_rps: ShortText = Field(description="The planned quantile of the peak within the horizon.")


class CapacityStatus(ApiModel):
    """What one replica carries within the objective."""

    placement: ShortText = Field(description="Placement.")
    variant: ShortText = Field(description="Variant.")
    sustainable_rps: ShortText = Field(
        description="Requests per second one replica sustains within the latency objective."
    )
    source: Literal["Spec", "Profile", "Measured"] = Field(
        description="Where the figure came from; Measured: by spec or profile, corrected by what loaded replicas showed."
    )
    reflex_only: bool | None = Field(
        default=None, description="True where the pair answers bursts only; absent where it may be planned."
    )
    stated_rps: ShortText | None = Field(
        default=None,
        description="What it would be by spec or profile alone; absent where the figure is not a measured one.",
    )
    speed_factor: ShortText | None = Field(
        default=None, description="Measured speed over the stated one, as the plan counts on it; absent likewise."
    )
    speed_uncertainty: ShortText | None = Field(
        default=None,
        description="Relative standard error of that; absent also where it was measured with another variant of the placement. "
        "Where source is Spec or Profile: relativeError as stated there.",
    )
    measured_time: ShortText | None = Field(
        default=None, description="When a loaded window was last seen, to the hour, RFC 3339; absent likewise."
    )
    seen_briefly: bool | None = Field(
        default=None,
        description="True where hardly more than one window showed it: then an hour without serving forgets it. Else absent.",
    )
    measured_against: ShortText | None = Field(
        default=None, description="The stated speed that the factor corrects; another one starts anew. Absent likewise."
    )
    measured_start_seconds: int | None = Field(
        default=None,
        ge=0,
        description="90th percentile of the last starts, from creating a replica to ready; absent where none was seen.",
    )


class RunnerUp(ApiModel):
    """The second-best choice and why it lost."""

    placement: ShortText = Field(description="Placement.")
    variant: ShortText = Field(description="Variant.")
    replicas: int = Field(ge=0, description="Replicas.")
    hourly_cost: ShortText = Field(description="Price per hour.")
    why_not: LongText = Field(description="Why it lost.")


class CandidatePool(ApiModel):
    """A pool as the last decision weighed it."""

    placement: ShortText = Field(description="Placement.")
    variant: ShortText = Field(description="Variant.")
    needed: int = Field(
        ge=0,
        description="Replicas for the demand planned for, whatever the limits; "
        "of two pools the one that starts sooner follows the other.",
    )
    replicas: int = Field(ge=0, description="Replicas within the limits; of the one taken, those that are wanted.")
    replica_rps: ShortText = Field(description="Requests per second of one replica within the objective.")
    ladder_rps: ShortText | None = Field(
        default=None,
        description="The same with the help of the replica's cheaper variants; absent where none is counted on.",
    )
    start_seconds: int = Field(ge=0, description="From creating a replica to ready.")


class CandidateStatus(CandidatePool):
    """A candidate as the last decision weighed it: a pool alone, or two at once."""

    side: CandidatePool | None = Field(
        default=None, description="The pool beside it that shares its requests; absent: a pool alone."
    )
    hourly_cost: ShortText = Field(description="Price of those replicas per hour, of what is beside included.")
    carries: Literal["Yes", "CheaperAnswers", "No"] = Field(
        description="Whether it carries the demand within its limits; CheaperAnswers: only with cheaper answers for good."
    )
    bound_by: ShortText = Field(description="One word: what decided its size, or why it was not taken.")
    why_not: ShortText | None = Field(default=None, description="Why it was not taken; absent for the one that was.")


class Decision(ApiModel):
    """The last decision, with what it was made on."""

    time: ShortText = Field(description="When, RFC 3339.")
    reason: ShortText = Field(description="One word why.")
    message: LongText = Field(description="One sentence for people.")
    binding_constraint: ShortText = Field(description="The constraint that decided.")
    measured_rps: ShortText | None = Field(default=None, description="Demand measured then; absent when unknown.")
    rising_rps: ShortText | None = Field(
        default=None,
        description="What the measured load was taken to rise to; absent when it did not rise by more than noise.",
    )
    forecast_rps: ShortText | None = Field(default=None, description="Demand forecast then; absent when unknown.")
    planned_rps: ShortText | None = Field(default=None, description="Demand planned for.")
    horizon_seconds: int | None = Field(
        default=None,
        ge=0,
        description="Within how many seconds the forecast demand comes: what starts now serves by then.",
    )
    runner_up: RunnerUp | None = Field(default=None, description="The second-best choice; absent when there was none.")
    candidates: list[CandidateStatus] = Field(
        default_factory=list, max_length=8, description="What was weighed: the one taken, then the cheapest first."
    )


class Unavailable(ApiModel):
    """A pool that could not start and is left alone for a while."""

    placement: ShortText = Field(description="Placement.")
    variant: ShortText = Field(description="Variant.")
    reason: ShortText = Field(description="Why it could not start.")
    failures: int = Field(ge=1, description="Failures in a row.")
    retry_time: ShortText = Field(description="When it is tried again, RFC 3339.")


class TransitionStatus(ApiModel):
    """A switch of pools under way."""

    placement: ShortText = Field(description="Placement that is being started.")
    variant: ShortText = Field(description="Variant that is being started.")
    start_time: ShortText = Field(description="Since when, RFC 3339.")
    reason: ShortText | None = Field(default=None, description="Why it began, one word.")


class Recommendation(ApiModel):
    """A past recommendation, kept for the stabilisation windows."""

    time: ShortText = Field(description="When, RFC 3339.")
    replicas: int = Field(ge=0, description="Replicas of the serving pool that were recommended.")


class ScaleChange(ApiModel):
    """A past change of replicas, kept for the rate policies."""

    time: ShortText = Field(description="When, RFC 3339.")
    change: int = Field(description="Replicas added (positive) or removed (negative).")


class SavingsStatus(ApiModel):
    """What answers have saved of accuracy above slo.minMeanAccuracy, over about a day, for less accurate ones."""

    answers: ShortText = Field(
        description="In answers that are a whole unit of accuracy off; below 0 when answers were less accurate than that."
    )
    time: ShortText = Field(description="Up to when, RFC 3339.")


class PolicyStatus(ApiModel):
    """What the policy must remember across a restart of the operator."""

    recommendations: list[Recommendation] = Field(
        default_factory=list, max_length=64, description="Recent recommendations, thinned."
    )
    changes: list[ScaleChange] = Field(default_factory=list, max_length=64, description="Recent changes of replicas.")
    missing_ticks: int = Field(default=0, ge=0, description="Ticks in a row without usable metrics.")
    planned_generation: int = Field(default=0, ge=0, description="metadata.generation of the last plan.")
    cheaper_since: ShortText | None = Field(
        default=None, description="Since when another choice has been cheaper, RFC 3339."
    )
    accelerator_wanted_since: ShortText | None = Field(
        default=None, description="Since when a shared accelerator is wanted, RFC 3339; absent when none is."
    )
    accelerator_held_since: ShortText | None = Field(
        default=None, description="Since when a shared accelerator is held, RFC 3339; absent when none is."
    )
    side_recommendations: list[Recommendation] = Field(
        default_factory=list,
        max_length=64,
        description="While two pools serve: how many replicas of the one that starts sooner would have carried the load.",
    )
    mix_better_since: ShortText | None = Field(
        default=None, description="Since when another division between two pools has been cheaper, RFC 3339."
    )
    quiet_since: ShortText | None = Field(
        default=None,
        description="Since when nobody has asked, nor been expected to, RFC 3339; only with minReplicas 0.",
    )
    savings: SavingsStatus | None = Field(
        default=None,
        description="What servers may overdraw is taken from it; absent where no mean accuracy is asked for.",
    )


class TuningStatus(ApiModel):
    """The settings that a plan weighs by, as self-tuning chose them; absent figures are as by default."""

    quantile: ShortText | None = Field(
        default=None,
        description="Quantile of demand that must be carried, by cheaper variants if need be; absent: forecast.quantile.",
    )
    recourse_quantile: ShortText | None = Field(
        default=None,
        description="Quantile of demand that the planned variant must carry itself while enough is saved; absent: the median.",
    )
    headroom: ShortText = Field(
        default="0",
        description="Added to all demand, as a share of it; below 0: left to cheaper variants while enough is saved.",
    )
    forecaster: Literal["Forecast", "Reactive"] = Field(
        default="Forecast", description="Reactive leaves the forecast out of account."
    )
    scale_down_seconds: int | None = Field(
        default=None, ge=0, description="How long the larger size is kept; absent: as scaling.behavior says."
    )
    time: ShortText = Field(description="When they were last judged, RFC 3339.")
    reason: ShortText = Field(description="One word why.")
    message: LongText = Field(description="A sentence for people.")
    days: ShortText | None = Field(default=None, description="Days of history that were replayed.")
    cost_ratio: ShortText | None = Field(
        default=None,
        description="Cost on the newer half of those days over the cost with the settings that were in use before.",
    )
    violating_share: ShortText | None = Field(
        default=None, description="Share of requests on the newer half that were late or refused."
    )
    tuned_for: ShortText | None = Field(
        default=None,
        description="Digest of the objective and the stated speeds they were chosen for; others drop them.",
    )


class ModelDeploymentStatus(ApiModel):
    """What the operator saw, wants and did."""

    observed_generation: int = Field(default=0, ge=0, description="metadata.generation the status speaks of.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=16, description="Conditions.", json_schema_extra=list_map("type")
    )
    active: ActivePool | None = Field(default=None, description="What serves now.")
    side: SidePool | None = Field(default=None, description="What shares its requests; absent when it serves alone.")
    desired: DesiredPool | None = Field(default=None, description="What the plan wants.")
    transition: TransitionStatus | None = Field(default=None, description="A switch of pools under way.")
    unavailable: list[Unavailable] = Field(
        default_factory=list, max_length=64, description="Pools that could not start."
    )
    load: LoadStatus | None = Field(default=None, description="Load as last read.")
    served_accuracy: ShortText | None = Field(
        default=None, description="Mean accuracy of the answers given lately; absent when unknown or without traffic."
    )
    degraded_share: ShortText | None = Field(
        default=None,
        description="Share of the answers given lately that came from a variant below the serving pool's; absent when unknown.",
    )
    forecast: ForecastStatus | None = Field(default=None, description="The forecast the plan was made on.")
    capacity: list[CapacityStatus] = Field(default_factory=list, max_length=64, description="What one replica carries.")
    last_decision: Decision | None = Field(default=None, description="The last decision, with what it was made on.")
    tuning: TuningStatus | None = Field(
        default=None, description="The settings that self-tuning chose; absent before there is history enough."
    )
    policy: PolicyStatus | None = Field(default=None, description="What the policy remembers across restarts.")
