"""The spec of a ModelDeployment."""

from pydantic import ConfigDict, Field

from modelscaler.api.v1alpha1.capacity import CapacityEntry, CapacityProfile
from modelscaler.api.v1alpha1.fields import ApiModel, cel, list_map, validations
from modelscaler.api.v1alpha1.model import Model, Variant
from modelscaler.api.v1alpha1.placement import Placement
from modelscaler.api.v1alpha1.scaling import Scaling
from modelscaler.api.v1alpha1.serving import Serving
from modelscaler.api.v1alpha1.slo import Slo


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
