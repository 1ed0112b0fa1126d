"""The activator's Deployment: who takes requests while no replica runs. Pure."""

from typing import Any, Final, TypeAlias

from modelscaler.api import ACTIVATOR, METRIC_LABELS_VARIABLE, POD_IP_VARIABLE
from modelscaler.api.v1alpha1 import ModelDeployment, ScaleToZero
from modelscaler.render.pod import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    SERVER_PORT,
    SERVER_PORT_NAME,
    Image,
    metric_labels,
    pod_ip,
    scrape_annotations,
)

Fields: TypeAlias = dict[str, Any]

STATUS_PORT: Final = 8081
STATUS_PORT_NAME: Final = "status"
CONTAINER_NAME: Final = "activator"
RESOURCES: Final[Fields] = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "320Mi"}}
"""Bodies that are held take 128 MiB at most, and the process itself less than 100."""

LEAST_SHUTDOWN_SECONDS: Final = 10
"""Endpoints lag: requests still come to a pod that is told to stop, whatever the longest hold."""

SHUTDOWN_SLACK_SECONDS: Final = 15
"""After the last request was given up: for the rest of its answer, and for kubelet."""


def activator_name(name: str) -> str:
    """Return the name of the activator of a ModelDeployment with that name."""
    return f"{name}-{ACTIVATOR}"


def activator_spec(resource: ModelDeployment, image: Image, upstream: str, labels: Fields, selector: Fields) -> Fields:
    """Return the spec of the activator's Deployment.

    Args:
        resource: The ModelDeployment.
        image: Of the operator, whose command it is.
        upstream: Address of the ModelDeployment's Service.
        labels: Of its pods.
        selector: Those of them that select it.
    """
    return {
        "replicas": 1,
        "selector": {"matchLabels": selector},
        "revisionHistoryLimit": 2,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": {**resource.spec.serving.pod_annotations, **scrape_annotations()},
            },
            "spec": _pod(resource, image, upstream),
        },
    }


def _pod(resource: ModelDeployment, image: Image, upstream: str) -> Fields:
    serving = resource.spec.serving
    optional = {
        "imagePullSecrets": [{"name": name} for name in serving.image_pull_secrets],
        "priorityClassName": serving.priority_class_name,
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _shutdown_seconds(resource) + SHUTDOWN_SLACK_SECONDS,
        "securityContext": POD_SECURITY,
        "containers": [_container(resource, image, upstream)],
        **{name: value for name, value in optional.items() if value},
    }


def _container(resource: ModelDeployment, image: Image, upstream: str) -> Fields:
    ports = ((SERVER_PORT_NAME, SERVER_PORT), (STATUS_PORT_NAME, STATUS_PORT))
    return {
        "name": CONTAINER_NAME,
        "image": image.name,
        "imagePullPolicy": image.pull_policy,
        "command": _command(resource, upstream),
        "env": [pod_ip(), {"name": METRIC_LABELS_VARIABLE, "value": metric_labels(resource, ACTIVATOR)}],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports],
        "resources": RESOURCES,
        "securityContext": CONTAINER_SECURITY,
        "startupProbe": {**_get("/readyz"), "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**_get("/readyz"), "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {**_get("/healthz"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }


def _command(resource: ModelDeployment, upstream: str) -> list[str]:
    settings = _settings(resource)
    return [
        *("modelscaler", "activator"),
        *("--upstream", upstream),
        *("--host", f"$({POD_IP_VARIABLE})"),
        *("--port", str(SERVER_PORT)),
        *("--status-port", str(STATUS_PORT)),
        *("--hold-seconds", str(settings.hold_seconds)),
        *("--most-held", str(settings.max_held_requests)),
        *("--shutdown-seconds", str(_shutdown_seconds(resource))),
    ]


def _settings(resource: ModelDeployment) -> ScaleToZero:
    return resource.spec.scaling.scale_to_zero or ScaleToZero()


def _shutdown_seconds(resource: ModelDeployment) -> int:
    return max(_settings(resource).hold_seconds, LEAST_SHUTDOWN_SECONDS)


def _get(path: str) -> Fields:
    return {"httpGet": {"path": path, "port": STATUS_PORT_NAME, "scheme": "HTTP"}}
