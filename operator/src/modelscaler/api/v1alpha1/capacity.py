"""How fast a replica is."""

from pydantic import ConfigDict, Field

from modelscaler.api.v1alpha1.fields import (
    ApiModel,
    Decimal,
    Fraction,
    PlacementName,
    ShortText,
    VariantName,
    cel,
    validations,
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
    relative_error: Fraction | None = Field(
        default=None,
        description='How far the rate may be off by the measuring, for example "0.06": half of its 90 % interval over '
        "the middle. It is shown, and not planned for.",
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
