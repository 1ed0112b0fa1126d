"""A ModelDeployment as a whole."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelscaler.api import PAUSED_ANNOTATION
from modelscaler.api.v1alpha1.spec import ModelDeploymentSpec
from modelscaler.api.v1alpha1.status import ModelDeploymentStatus


class ObjectMeta(BaseModel):
    """The part of metadata the operator reads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: str
    namespace: str
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    annotations: dict[str, str] = Field(default_factory=dict)


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
