"""`modelscaler.dev/v1alpha1`: what a user writes in a ModelDeployment and what the operator answers in its status.

Pydantic lives here and at the other edges only; `modelscaler.domain` turns a validated resource into plain records.
Descriptions are what `kubectl explain` prints. Money, accuracies and rates are decimal strings, because the Kubernetes
API advises against floats.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from modelscaler.api import PAUSED_ANNOTATION

Decimal = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$", max_length=16)]
Fraction = Annotated[str, StringConstraints(pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$", max_length=8)]
Quantile = Annotated[str, StringConstraints(pattern=r"^0\.[0-9]{1,4}$", max_length=6)]
Quantity = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=24),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "minimum": 0}),
    # Outermost: inside, pydantic would leave the pattern out of the JSON schema.
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
]
PlacementName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$", max_length=20)]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$", max_length=20)]
QualifiedName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_./]{0,251}[A-Za-z0-9])?$", max_length=253)
]
ShortText = Annotated[str, StringConstraints(max_length=253)]
LongText = Annotated[str, StringConstraints(max_length=1024)]
CronText = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z*,/#-]+( [0-9A-Z*,/#-]+){4}$", max_length=100)]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$", max_length=64)]
HolidayDate = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10)]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$", max_length=2)]


def cel(rule: str, message: str, *, shown: str | None = None, field: str | None = None) -> dict[str, str]:
    """Write one `x-kubernetes-validations` rule.

    Args:
        rule: CEL expression that holds for valid values.
        message: what is expected, for people.
        shown: CEL string expression of the offending value, put after the message; None to show none. It must have a
            bounded length: the API server refuses string(integer), format and join for their estimated cost.
        field: path of the field at fault below this object, for example `.minReplicas`; None blames the object.
    """
    written = {"rule": rule, "message": message}
    if shown is not None:
        written["messageExpression"] = f"'{message}, got ' + {shown}"
    if field is not None:
        written["fieldPath"] = field
    return written


def validations(*rules: dict[str, str]) -> dict[str, Any]:
    """Attach CEL rules to a model's schema; `modelscaler.api.crd` carries them into the CRD."""
    return {"x-kubernetes-validations": list(rules)}


def list_map(*keys: str) -> dict[str, Any]:
    """Make a list a map by these keys: duplicates are rejected and server-side apply merges by key."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class ApiModel(BaseModel):
    """camelCase outside, snake_case inside, frozen, and closed to unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


MODEL_URI: Final = (
    r"^(builtin://[A-Za-z0-9][A-Za-z0-9._-]*|file:///.+|python:[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$"
)
"""What `modelserver serve --model` opens: what it cannot is refused here, not by pods that crash."""


class Model(ApiModel):
    """The model to serve."""

    uri: Annotated[str, StringConstraints(pattern=MODEL_URI, max_length=512)] = Field(
        description=(
            "Where the server finds the model in its image: builtin://search-ranker, file:///models/ranker, or "
            "python:package.module:Class."
        )
    )


class Variant(ApiModel):
    """One way to run the model: full precision, int8, pruned, distilled and so on."""

    name: VariantName = Field(description="Name of the variant: lower-case letters and digits, no hyphen.")
    artifact: ShortText | None = Field(
        default=None, description="The artefact under model.uri; the variant's name when absent."
    )
    accuracy: Fraction = Field(
        description='Measured accuracy between "0" and "1", as a decimal string, for example "0.912".'
    )


class Accelerator(ApiModel):
    """An accelerator by its extended resource name; nothing in the planner knows what a GPU is."""

    resource_name: QualifiedName = Field(description="Extended resource, for example nvidia.com/gpu or google.com/tpu.")
    count: int = Field(default=1, ge=1, le=64, description="Units per replica.")


class Resources(ApiModel):
    """Requests and limits of one replica, as in a container."""

    requests: dict[QualifiedName, Quantity] = Field(
        default_factory=dict, max_length=16, description="As in a container."
    )
    limits: dict[QualifiedName, Quantity] = Field(default_factory=dict, max_length=16, description="As in a container.")


class Toleration(ApiModel):
    """A pod toleration."""

    key: ShortText | None = Field(
        default=None, description="Taint key; absent with operator Exists matches every taint."
    )
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How key and value are compared.")
    value: ShortText | None = Field(default=None, description="Taint value when operator is Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Taint effect; absent matches all."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, le=86400, description="How long a NoExecute taint is tolerated."
    )

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.operator != 'Exists' || !has(self.value)",
                "value must be absent when operator is Exists",
                field=".value",
            ),
            cel("self.operator == 'Exists' || has(self.key)", "key is required unless operator is Exists"),
            cel(
                "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
                "tolerationSeconds needs effect NoExecute",
                field=".tolerationSeconds",
            ),
        )
    )


class Placement(ApiModel):
    """A kind of place a replica may run on, with its price."""

    name: PlacementName = Field(
        description="Name of the placement, for example gpu, cpu or spot: lower-case letters and digits, no hyphen."
    )
    resources: Resources = Field(
        default=Resources(), description="Requests and limits of one replica on this placement."
    )
    accelerator: Accelerator | None = Field(
        default=None, description="Accelerator each replica needs; absent for none."
    )
    node_selector: dict[QualifiedName, ShortText] = Field(
        default_factory=dict, max_length=16, description="Node labels a replica needs."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, max_length=16, description="Taints a replica tolerates."
    )
    runtime_class_name: ShortText | None = Field(default=None, description="RuntimeClass of the pods.")
    hourly_cost: Decimal = Field(
        description='Price of one replica for an hour, in any one currency, for example "0.35".'
    )
    max_replicas: int | None = Field(
        default=None, ge=1, le=1000, description="Most replicas on this placement; absent: scaling.maxReplicas."
    )
    start_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="Expected time from creating a replica to ready: the forecast looks this far ahead.",
    )


class LatencyObjective(ApiModel):
    """The latency a share of requests must meet."""

    percentile: int = Field(
        default=99, ge=1, le=99, description="Share of requests, in percent, that must meet the target."
    )
    target_milliseconds: int = Field(
        ge=1, le=600000, description="Latency target in milliseconds, measured at the server."
    )


class Slo(ApiModel):
    """What users of the model are promised."""

    latency: LatencyObjective = Field(description="The latency objective.")
    min_accuracy: Fraction = Field(default="0", description="No answer comes from a variant below this accuracy.")
    min_mean_accuracy: Fraction | None = Field(
        default=None,
        description=(
            "What answers reach on average, over about a day, while the reflex answers bursts with cheaper variants; "
            "absent: minAccuracy."
        ),
    )

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.minMeanAccuracy) || double(self.minMeanAccuracy) >= double(self.minAccuracy)",
                "minMeanAccuracy must not be below minAccuracy",
                shown="self.minMeanAccuracy",
                field=".minMeanAccuracy",
            )
        )
    )


class CapacityEntry(ApiModel):
    """Latency of a batch of n requests on one replica: overhead + n x perRequest."""

    placement: PlacementName = Field(description="A name from placements.")
    variant: VariantName = Field(description="A name from variants.")
    per_request_milliseconds: Decimal = Field(description='Time each request adds to a batch, for example "8.2".')
    overhead_milliseconds: Decimal = Field(default="0", description='Fixed time per batch, for example "1.5".')
    tail_milliseconds: Decimal = Field(
        default="0",
        description="What one request in a hundred takes beyond a batch of one although it met no queue.",
    )
    max_batch: int = Field(default=32, ge=1, le=4096, description="Largest batch the server forms.")
    reflex_only: bool = Field(
        default=False,
        description="Let the pair answer bursts only, as a rung below a more accurate variant; it is never planned.",
    )

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "double(self.perRequestMilliseconds) > 0.0",
                "perRequestMilliseconds must be greater than 0",
                shown="self.perRequestMilliseconds",
                field=".perRequestMilliseconds",
            )
        )
    )


class CapacityProfile(ApiModel):
    """A stored profile: a ConfigMap whose key profile.json holds capacity entries."""

    config_map_name: ShortText = Field(description="ConfigMap in the same namespace; key profile.json.")


class RatePolicy(ApiModel):
    """As in HorizontalPodAutoscaler behavior policies."""

    type: Literal["Pods", "Percent"] = Field(description="Whether value counts replicas or percent of them.")
    value: int = Field(ge=1, le=1000, description="Largest change within the period.")
    period_seconds: int = Field(ge=1, le=1800, description="The period, in seconds.")


class ScalingRules(ApiModel):
    """Limits on how fast replicas change in one direction, as in HorizontalPodAutoscaler behavior."""

    stabilization_window_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Look back this long and take the safest recommendation; absent: 0 up, 300 down.",
    )
    policies: list[RatePolicy] = Field(
        default_factory=list, max_length=8, description="Rate limits; none means unlimited."
    )
    select_policy: Literal["Max", "Min", "Disabled"] = Field(
        default="Max", description="Which policy counts; Disabled forbids the direction."
    )


class Behavior(ApiModel):
    """Scaling behaviour per direction."""

    scale_up: ScalingRules = Field(default=ScalingRules(), description="Rules for adding replicas.")
    scale_down: ScalingRules = Field(default=ScalingRules(), description="Rules for removing replicas.")


class Schedule(ApiModel):
    """More replicas at certain times, as in KEDA's cron scaler; load may ask for more than that at any time."""

    start: CronText = Field(description="When it begins, as a cron expression: minute hour day month weekday.")
    end: CronText = Field(description="When it ends, likewise.")
    time_zone: TimeZone = Field(default="UTC", description="Time zone of both, an IANA name such as Europe/Berlin.")
    min_replicas: int = Field(ge=1, le=1000, description="Fewest replicas from start to end.")


class Fallback(ApiModel):
    """What to hold when metrics stay away, as in a KEDA ScaledObject; it never lowers what is running."""

    failure_threshold: int = Field(
        default=3, ge=1, le=1000, description="Ticks without usable metrics before the fallback holds."
    )
    replicas: int = Field(ge=1, le=1000, description="Replicas to hold at least.")


class Forecast(ApiModel):
    """How demand is forecast."""

    quantile: Quantile = Field(default="0.95", description="Quantile of demand that capacity is planned for.")
    lookback_seconds: int = Field(
        default=1209600, ge=60, le=5184000, description="History that is read, in seconds (default two weeks)."
    )
    season_seconds: int = Field(
        default=86400, ge=10, le=2678400, description="Length of the season that repeats (default one day)."
    )
    model: Literal["Auto", "Baselines", "Boosted"] = Field(
        default="Auto",
        description=(
            "Auto lets networks, and in small fleets trees of each series, serve as far as they beat the baselines; "
            "Boosted lets boosted trees that all series share do so instead."
        ),
    )
    time_zone: TimeZone = Field(
        default="UTC", description="Time zone that the load follows, an IANA name such as Europe/Berlin."
    )
    holidays: list[HolidayDate] = Field(
        default_factory=list, max_length=366, description="Local dates, YYYY-MM-DD, on which the load is as on Sundays."
    )
    holiday_country: CountryCode | None = Field(
        default=None,
        description="ISO 3166 code of a country whose public holidays count too, such as DE; absent: none.",
    )

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "double(self.quantile) > 0.0",
                "quantile must be greater than 0 and less than 1",
                shown="self.quantile",
                field=".quantile",
            ),
            cel(
                "self.seasonSeconds == 86400 || (self.timeZone == 'UTC' && !has(self.holidayCountry)"
                " && (!has(self.holidays) || size(self.holidays) == 0))",
                "timeZone, holidays and holidayCountry need a season of one day: seasonSeconds 86400",
                field=".seasonSeconds",
            ),
        )
    )


class Scaling(ApiModel):
    """Limits and behaviour of scaling."""

    mode: Literal["Auto", "Recommend"] = Field(
        default="Auto", description="Recommend writes the plan to status and changes nothing."
    )
    reflex: Literal["Auto", "Off"] = Field(
        default="Auto",
        description="Auto lets replicas answer a burst with cheaper variants above the floors; Off keeps to the planned one.",
    )
    capacity_refinement: Literal["Auto", "Off"] = Field(
        default="Auto",
        description="Auto corrects the stated speed of a replica by what loaded replicas show; Off keeps to spec and profile.",
    )
    self_tuning: Literal["Auto", "Off"] = Field(
        default="Auto",
        description="Auto adopts the settings that replaying the load of the last days recommends; Off keeps to the defaults.",
    )
    min_replicas: int = Field(default=1, ge=1, le=1000, description="Fewest replicas.")
    max_replicas: int = Field(default=10, ge=1, le=1000, description="Most replicas.")
    max_hourly_cost: Decimal | None = Field(
        default=None, description="Budget for all replicas per hour; absent for none."
    )
    schedules: list[Schedule] = Field(
        default_factory=list, max_length=16, description="Times with another minimum of replicas."
    )
    behavior: Behavior = Field(default=Behavior(), description="Rate limits and stabilisation.")
    fallback: Fallback | None = Field(default=None, description="Replicas to hold when metrics stay away.")
    forecast: Forecast = Field(default=Forecast(), description="How demand is forecast.")

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas must not be greater than maxReplicas",
                field=".minReplicas",
            ),
            cel(
                "!has(self.fallback) || self.fallback.replicas <= self.maxReplicas",
                "fallback.replicas must not be greater than maxReplicas",
                field=".fallback.replicas",
            ),
            cel(
                "!has(self.schedules) || self.schedules.all(s, s.minReplicas <= self.maxReplicas)",
                "minReplicas of a schedule must not be greater than maxReplicas",
                field=".schedules",
            ),
        )
    )


class EnvVar(ApiModel):
    """A plain environment variable of the server."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", max_length=100)] = Field(
        description="Name."
    )
    value: LongText = Field(default="", description="Value.")


ObjectName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$", max_length=253
    ),
]
NamespaceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63)]
Hostname = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$", max_length=253
    ),
]


class ParentRef(ApiModel):
    """A Gateway that requests come through, as in an HTTPRoute's parentRefs."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: NamespaceName | None = Field(
        default=None, description="Its namespace; absent: that of the ModelDeployment."
    )
    section_name: ObjectName | None = Field(default=None, description="One of its listeners; absent: all of them.")


class GatewayRoute(ApiModel):
    """Requests come through a gateway: the operator keeps an HTTPRoute, whose weights may share them between two pools."""

    parent_refs: list[ParentRef] = Field(
        min_length=1, max_length=8, description="Gateways that the HTTPRoute attaches to."
    )
    hostnames: list[Hostname] = Field(
        default_factory=list, max_length=16, description="Hosts that are served; none: those of the listeners."
    )

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.parentRefs.all(p, self.parentRefs.exists_one(q, q.name == p.name)"
                " || has(p.namespace) || has(p.sectionName))",
                "a Gateway that parentRefs name more than once needs a sectionName each time",
                field=".parentRefs",
            ),
            cel(
                "!has(self.hostnames) || self.hostnames.all(h, self.hostnames.exists_one(g, g == h))",
                "hostnames must not name a host twice",
                field=".hostnames",
            ),
        )
    )


class Serving(ApiModel):
    """How the inference server is run."""

    image: ShortText | None = Field(default=None, description="Server image; absent: the operator's default.")
    args: list[ShortText] = Field(
        default_factory=list, max_length=32, description="Further arguments of modelserver serve."
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=64,
        description="Further environment variables.",
        json_schema_extra=list_map("name"),
    )
    service_account_name: ShortText | None = Field(
        default=None, description="Service account of the pods; absent: the namespace's default."
    )
    termination_grace_period_seconds: int = Field(default=60, ge=5, le=3600, description="Time a replica has to drain.")
    start_deadline_seconds: int = Field(
        default=600,
        ge=5,
        le=7200,
        description="A new pool that is not ready by then is given up, and the runner-up is taken.",
    )
    gateway: GatewayRoute | None = Field(
        default=None,
        description="Set where all requests come through a gateway: two pools may then share them. Absent: one pool serves.",
    )


class ModelDeploymentSpec(ApiModel):
    """What to serve, where it may run, what users are promised, and the limits."""

    model: Model = Field(description="The model to serve.")
    variants: list[Variant] = Field(
        min_length=1, max_length=8, description="Ways to run the model.", json_schema_extra=list_map("name")
    )
    placements: list[Placement] = Field(
        min_length=1, max_length=8, description="Places a replica may run on.", json_schema_extra=list_map("name")
    )
    slo: Slo = Field(description="What users of the model are promised.")
    capacity: list[CapacityEntry] = Field(
        default_factory=list,
        max_length=64,
        description="Measured speed per placement and variant; a pair without an entry here or in the profile is not used.",
        json_schema_extra=list_map("placement", "variant"),
    )
    capacity_profile: CapacityProfile | None = Field(
        default=None, description="A stored profile; entries in capacity win over it."
    )
    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Who has accelerators first where ModelDeployments share them: the higher.",
    )
    scaling: Scaling = Field(default=Scaling(), description="Limits and behaviour of scaling.")
    serving: Serving = Field(default=Serving(), description="How the inference server is run.")

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.variants.exists(v, double(v.accuracy) >= double(self.slo.minAccuracy))",
                "slo.minAccuracy must not be above the accuracy of every variant",
                shown="self.slo.minAccuracy",
                field=".slo.minAccuracy",
            ),
            cel(
                "!has(self.slo.minMeanAccuracy)"
                " || self.variants.exists(v, double(v.accuracy) >= double(self.slo.minMeanAccuracy))",
                "slo.minMeanAccuracy must not be above the accuracy of every variant",
                shown="self.slo.minMeanAccuracy",
                field=".slo.minMeanAccuracy",
            ),
            cel(
                "!has(self.capacity) || self.capacity.all(c, self.placements.exists(p, p.name == c.placement))",
                "capacity[].placement must be a name from placements",
                field=".capacity",
            ),
            cel(
                "!has(self.capacity) || self.capacity.all(c, self.variants.exists(v, v.name == c.variant))",
                "capacity[].variant must be a name from variants",
                field=".capacity",
            ),
            cel(
                "(has(self.capacity) && size(self.capacity) > 0) || has(self.capacityProfile)",
                "one of capacity or capacityProfile is required: the planner needs the speed of a replica",
            ),
        )
    )


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
        description="Relative standard error of that; absent also where it was measured with another variant of the placement.",
    )
    measured_time: ShortText | None = Field(
        default=None, description="When a loaded window was last seen, to the hour, RFC 3339; absent likewise."
    )
    measured_against: ShortText | None = Field(
        default=None, description="The stated speed that the factor corrects; another one starts anew. Absent likewise."
    )


class RunnerUp(ApiModel):
    """The second-best choice and why it lost."""

    placement: ShortText = Field(description="Placement.")
    variant: ShortText = Field(description="Variant.")
    replicas: int = Field(ge=0, description="Replicas.")
    hourly_cost: ShortText = Field(description="Price per hour.")
    why_not: LongText = Field(description="Why it lost.")


class CandidateStatus(ApiModel):
    """A candidate as the last decision weighed it."""

    placement: ShortText = Field(description="Placement.")
    variant: ShortText = Field(description="Variant.")
    needed: int = Field(ge=0, description="Replicas for the demand planned for, whatever the limits.")
    replicas: int = Field(ge=0, description="Replicas within the limits; of the one taken, those that are wanted.")
    hourly_cost: ShortText = Field(description="Price of those replicas per hour.")
    replica_rps: ShortText = Field(description="Requests per second of one replica within the objective.")
    ladder_rps: ShortText | None = Field(
        default=None, description="The same with the help of the replica's cheaper variants; absent where it has none."
    )
    start_seconds: int = Field(ge=0, description="From creating a replica to ready.")
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
        default=None, description="Quantile of demand that the planned variant must carry itself; absent: the median."
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


class ObjectMeta(BaseModel):
    """The part of metadata the operator reads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: str
    namespace: str
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    annotations: dict[str, str] = Field(default_factory=dict)
    deletion_timestamp: str | None = None


class ModelDeployment(BaseModel):
    """A whole resource, as read from the API."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()

    @property
    def paused(self) -> bool:
        """Whether the pause annotation is set."""
        return self.metadata.annotations.get(PAUSED_ANNOTATION, "").lower() == "true"
