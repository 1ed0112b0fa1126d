"""The same command as a Job in the cluster. Pure."""

from collections.abc import Sequence
from typing import Any

from modelscaler.render.pod import NOBODY


def job(name: str, namespace: str, image: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return a Job that runs `modelscaler profile` with these arguments, as restricted as the servers' pods are."""
    container = {
        "name": "profile",
        "image": image,
        "args": ["profile", *arguments],
        "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    spec = {"backoffLimit": 0, "ttlSecondsAfterFinished": 86_400, "template": {"spec": pod}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
