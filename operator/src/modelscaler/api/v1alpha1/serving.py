"""How the inference server is run."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from modelscaler.api.v1alpha1.fields import (
    ApiModel,
    Hostname,
    LabelValue,
    LongText,
    NamespaceName,
    ObjectName,
    QualifiedName,
    ShortText,
    cel,
    list_map,
    validations,
)
from modelscaler.api.v1alpha1.volumes import Volume, VolumeMount


class EnvVar(ApiModel):
    """A plain environment variable of the server."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", max_length=100)] = Field(
        description="Name."
    )
    value: LongText = Field(default="", description="Value.")


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
    volumes: list[Volume] = Field(
        default_factory=list,
        max_length=16,
        description="Further volumes of the pods.",
        json_schema_extra=list_map("name"),
    )
    volume_mounts: list[VolumeMount] = Field(
        default_factory=list,
        max_length=16,
        description="Where the server finds them.",
        json_schema_extra=list_map("mountPath"),
    )
    image_pull_secrets: list[ObjectName] = Field(
        default_factory=list,
        max_length=8,
        description="Names of Secrets to pull images with.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    pod_labels: dict[QualifiedName, LabelValue] = Field(
        default_factory=dict, max_length=16, description="Further labels of the pods; the operator's own win."
    )
    pod_annotations: dict[QualifiedName, LongText] = Field(
        default_factory=dict, max_length=16, description="Further annotations of the pods; the operator's own win."
    )
    priority_class_name: ObjectName | None = Field(
        default=None, description="PriorityClass of the pods; absent: the cluster's default."
    )
    gateway: GatewayRoute | None = Field(
        default=None,
        description="Set where all requests come through a gateway: two pools may then share them. Absent: one pool serves.",
    )

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
                "self.volumes.exists(v, v.name == m.name))",
                "volumeMounts[].name must be a name from volumes",
                field=".volumeMounts",
            )
        )
    )
