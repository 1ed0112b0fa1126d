"""The pod of a replica: the server's command, its environment, probes, resources and confinement."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from modelscaler.api import (
    LADDER_DIRECTORY,
    LADDER_VOLUME,
    METRIC_LABELS_VARIABLE,
    POD_IP_VARIABLE,
    TMP_DIRECTORY,
    TMP_VOLUME,
)
from modelscaler.api.v1alpha1 import ApiModel, ModelDeployment, Placement, Serving, Variant
from modelscaler.domain import PoolKey
from modelscaler.render.ladder import LADDER_KEY, artifact_of, ladder_volume

Fields: TypeAlias = dict[str, Any]

SERVER_PORT = 8080
SERVER_PORT_NAME = "http"
CONTAINER_NAME = "server"
NOBODY = 65532

STARTUP_PERIOD_SECONDS = 1

POD_SECURITY: Fields = {
    "runAsNonRoot": True,
    "runAsUser": NOBODY,
    "runAsGroup": NOBODY,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Fields = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Image:
    """Which image to run, and how it is pulled."""

    name: str
    pull_policy: str


def pod_spec(
    resource: ModelDeployment,
    placement: Placement,
    variant: Variant,
    image: Image,
    spread_over: Mapping[str, str],
    ladder: str,
) -> Fields:
    """Return the pod spec of a replica.

    Args:
        resource: The ModelDeployment.
        placement: Where the replica runs.
        variant: The planned one.
        image: Of the server.
        spread_over: Labels of the pods among which it is spread over nodes.
        ladder: Name of the ConfigMap with the pool's ladder.
    """
    serving = resource.spec.serving
    optional = {
        "serviceAccountName": serving.service_account_name,
        "runtimeClassName": placement.runtime_class_name,
        "nodeSelector": dict(placement.node_selector),
        "tolerations": [_as_written(toleration) for toleration in placement.tolerations],
        "imagePullSecrets": [{"name": name} for name in serving.image_pull_secrets],
        "priorityClassName": serving.priority_class_name,
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": serving.termination_grace_period_seconds,
        "securityContext": POD_SECURITY,
        "topologySpreadConstraints": [_soft_spread(spread_over)],
        "containers": [_container(resource, placement, variant, image)],
        "volumes": [{"name": TMP_VOLUME, "emptyDir": {}}, ladder_volume(ladder), *map(_as_written, serving.volumes)],
        **{field: value for field, value in optional.items() if value},
    }


def _container(resource: ModelDeployment, placement: Placement, variant: Variant, image: Image) -> Fields:
    serving, pool = resource.spec.serving, PoolKey(placement.name, variant.name)
    return {
        "name": CONTAINER_NAME,
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "command": _command(resource, variant),
        "env": _environment(resource, pool),
        "ports": [{"name": SERVER_PORT_NAME, "containerPort": SERVER_PORT, "protocol": "TCP"}],
        "resources": _resources(placement),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": TMP_VOLUME, "mountPath": TMP_DIRECTORY},
            {"name": LADDER_VOLUME, "mountPath": LADDER_DIRECTORY, "readOnly": True},
            *map(_as_written, serving.volume_mounts),
        ],
        **_probes(serving),
    }


def _command(resource: ModelDeployment, variant: Variant) -> list[str]:
    """The command is always explicit, so that nothing depends on an image's entrypoint."""
    return [
        *("modelserver", "serve"),
        *("--model", resource.spec.model.uri),
        *("--variant", artifact_of(variant)),
        *("--host", f"$({POD_IP_VARIABLE})"),
        *("--port", str(SERVER_PORT)),
        *("--ladder-file", f"{LADDER_DIRECTORY}/{LADDER_KEY}"),
        *resource.spec.serving.args,
    ]


def _environment(resource: ModelDeployment, pool: PoolKey) -> list[Fields]:
    """Return the environment; what the operator relies on comes first and cannot be overridden (`workload_from`)."""
    return [
        pod_ip(),
        {"name": METRIC_LABELS_VARIABLE, "value": metric_labels(resource, str(pool))},
        *({"name": extra.name, "value": extra.value} for extra in resource.spec.serving.env),
    ]


def scrape_annotations() -> dict[str, str]:
    """Return the annotations by which Prometheus finds a pod's metrics."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(SERVER_PORT),
        "prometheus.io/path": "/metrics",
    }


def pod_ip() -> Fields:
    """Return the variable that holds the pod's address."""
    return {"name": POD_IP_VARIABLE, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}


def metric_labels(resource: ModelDeployment, pool: str) -> str:
    """Return the labels that all series of a pod bear."""
    meta = resource.metadata
    return f"modeldeployment_namespace={meta.namespace},modeldeployment={meta.name},pool={pool}"


def _resources(placement: Placement) -> Fields:
    """Return requests and limits; an extended resource needs both, and equal."""
    accelerator = placement.accelerator
    units = {accelerator.resource_name: str(accelerator.count)} if accelerator else {}
    resources = {
        "requests": {**placement.resources.requests, **units},
        "limits": {**placement.resources.limits, **units},
    }
    return {kind: amounts for kind, amounts in resources.items() if amounts}


def _probes(serving: Serving) -> Fields:
    """Return the probes.

    Start-up waits for *ready*, so that a replica that never gets there is restarted after its deadline. Readiness is slow
    to give up a replica that is merely saturated, and liveness slower still: killing a busy server loses what it holds.
    """
    return {
        "startupProbe": {
            **_get("/v2/health/ready"),
            "periodSeconds": STARTUP_PERIOD_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": serving.start_deadline_seconds // STARTUP_PERIOD_SECONDS,
        },
        "readinessProbe": {**_get("/v2/health/ready"), "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**_get("/v2/health/live"), "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
    }


def _get(path: str) -> Fields:
    return {"httpGet": {"path": path, "port": SERVER_PORT_NAME, "scheme": "HTTP"}}


def _soft_spread(labels: Mapping[str, str]) -> Fields:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }


def _as_written(part: ApiModel) -> Fields:
    """Return a part of the spec that a pod has under the same names."""
    return part.model_dump(by_alias=True, exclude_none=True)
