"""Limits and behaviour of scaling."""

from typing import Literal

from pydantic import ConfigDict, Field

from modelscaler.api.v1alpha1.fields import (
    ApiModel,
    CountryCode,
    CronText,
    Decimal,
    HolidayDate,
    Quantile,
    TimeZone,
    cel,
    validations,
)


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
        description="Look back this long, take the safest recommendation; absent: 0 up, 300 or what self-tuning finds down.",
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

    quantile: Quantile | None = Field(
        default=None,
        description="Quantile of demand that capacity is planned for; absent or 0.95: until self-tuning finds another.",
    )
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
                "!has(self.quantile) || double(self.quantile) > 0.0",
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


class ScaleToZero(ApiModel):
    """When no replica is kept, and what becomes of requests that come meanwhile; only with `minReplicas: 0`."""

    after_seconds: int = Field(
        default=300, ge=30, le=86400, description="How long nobody must have asked, nor been expected to, in seconds."
    )
    hold_seconds: int = Field(
        default=600,
        ge=1,
        le=3600,
        description="Longest time that a request is held until a replica is ready, in seconds.",
    )
    max_held_requests: int = Field(default=1000, ge=1, le=10000, description="Most requests that are held at once.")


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
    min_replicas: int = Field(
        default=1,
        ge=0,
        le=1000,
        description=(
            "Fewest replicas, or the placement's maxReplicas where that is less; 0: none where nobody asks, nor is expected to."
        ),
    )
    scale_to_zero: ScaleToZero | None = Field(
        default=None, description="When no replica is kept, where minReplicas is 0; absent: the defaults of its fields."
    )
    max_replicas: int = Field(default=10, ge=1, le=1000, description="Most replicas.")
    max_hourly_cost: Decimal | None = Field(
        default=None,
        description="Budget for all replicas per hour, above which only minReplicas are kept; absent for none.",
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
                "!has(self.scaleToZero) || self.minReplicas == 0",
                "scaleToZero needs minReplicas 0",
                field=".scaleToZero",
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
