"""Places a replica may run on."""

from typing import Literal

from pydantic import ConfigDict, Field

from modelscaler.api.v1alpha1.fields import (
    ApiModel,
    Decimal,
    PlacementName,
    QualifiedName,
    Quantity,
    ShortText,
    cel,
    validations,
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
