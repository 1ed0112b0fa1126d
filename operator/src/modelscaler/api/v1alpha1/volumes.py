"""Volumes of the pods, each with one source: models, certificates and whatever else a server reads that is not in its image."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from modelscaler.api import RESERVED_DIRECTORIES, RESERVED_VOLUMES
from modelscaler.api.v1alpha1.fields import ApiModel, ObjectName, Quantity, ShortText, cel, validations

VolumeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63)]


class ClaimSource(ApiModel):
    """A PersistentVolumeClaim."""

    claim_name: ObjectName = Field(
        description="Name of the claim; it must allow as many readers as there are replicas."
    )
    read_only: bool = Field(default=True, description="As in a pod.")


class ConfigMapSource(ApiModel):
    """A ConfigMap."""

    name: ObjectName = Field(description="Name of the ConfigMap.")


class SecretSource(ApiModel):
    """A Secret."""

    secret_name: ObjectName = Field(description="Name of the Secret.")


class ImageSource(ApiModel):
    """An OCI image or artifact, mounted as it is; needs a Kubernetes that has image volumes."""

    reference: ShortText = Field(description="The image, as in a container.")


class EmptyDirSource(ApiModel):
    """An empty directory that lives as long as the pod."""

    size_limit: Quantity | None = Field(default=None, description="Largest size, for example 4Gi; absent: unlimited.")


class Volume(ApiModel):
    """A volume of the pods: a name, and one source."""

    name: VolumeName = Field(description="Name of the volume.")
    persistent_volume_claim: ClaimSource | None = Field(default=None, description="A PersistentVolumeClaim.")
    config_map: ConfigMapSource | None = Field(default=None, description="A ConfigMap.")
    secret: SecretSource | None = Field(default=None, description="A Secret.")
    image: ImageSource | None = Field(default=None, description="An OCI image or artifact.")
    empty_dir: EmptyDirSource | None = Field(default=None, description="An empty directory.")

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "[has(self.persistentVolumeClaim), has(self.configMap), has(self.secret), has(self.image), has(self.emptyDir)]"
                ".filter(there, there).size() == 1",
                "a volume has exactly one of persistentVolumeClaim, configMap, secret, image and emptyDir",
            ),
            cel(
                f"!(self.name in {list(RESERVED_VOLUMES)})",
                "volumes tmp and ladder are the operator's own",
                field=".name",
            ),
        )
    )


class VolumeMount(ApiModel):
    """Where the server finds a volume."""

    name: VolumeName = Field(description="Name of the volume.")
    mount_path: Annotated[str, StringConstraints(pattern=r"^/[^:]+$", max_length=253)] = Field(
        description="Directory in the container, for example /models."
    )
    sub_path: ShortText | None = Field(default=None, description="Path within the volume; absent: all of it.")
    read_only: bool = Field(default=True, description="As in a container.")

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                f"!(self.mountPath in {list(RESERVED_DIRECTORIES)})",
                "mountPath must not be one of the operator's own, /tmp and /run/modelscaler",
                field=".mountPath",
            )
        )
    )
