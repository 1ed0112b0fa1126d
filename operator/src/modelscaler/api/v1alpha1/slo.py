"""What users of the model are promised."""

from pydantic import ConfigDict, Field

from modelscaler.api.v1alpha1.fields import ApiModel, Fraction, cel, validations


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
