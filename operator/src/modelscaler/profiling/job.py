"""The same command as a Job in the cluster, with the file and the rights that it needs. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from modelscaler.render.pod import NOBODY
from modelscaler.workload import InvalidSpec

REQUEST_DIRECTORY: Final = "/request"
REQUEST_KEY: Final = "bodies.json"
REQUEST_PATH: Final = f"{REQUEST_DIRECTORY}/{REQUEST_KEY}"
"""Where the Job finds the bodies of --request."""

LARGEST_REQUEST_BYTES: Final = 1024 * 1024
"""What the values of a ConfigMap may come to, as the API server counts them."""

_RBAC: Final = "rbac.authorization.k8s.io"


def manifests(
    name: str, namespace: str, image: str, arguments: Sequence[str], request: str | None, profile: str | None
) -> list[dict[str, Any]]:
    """Return a Job that runs `modelscaler profile` with these arguments, and before it what it needs.

    Args:
        name: Of the Job and all beside it.
        namespace: Of all of them.
        image: That runs the command.
        arguments: Of `modelscaler profile`.
        request: Bodies for the Job to find under REQUEST_PATH; None: it makes them up.
        profile: Name of the ConfigMap that the Job may write, and nothing else; None: it has no rights.

    Raises:
        InvalidSpec: The bodies are too large for a ConfigMap.
    """
    made = [] if profile is None else _writer(name, namespace, profile)
    if request is not None:
        made.append(_bodies(name, namespace, request))
    return [
        *made,
        _job(name, namespace, image, arguments, has_bodies=request is not None, may_write=profile is not None),
    ]


def _job(
    name: str, namespace: str, image: str, arguments: Sequence[str], *, has_bodies: bool, may_write: bool
) -> dict[str, Any]:
    """Return the Job, as restricted as the servers' pods are."""
    container: dict[str, Any] = {
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
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": may_write,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NOBODY,
            "runAsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if may_write:
        pod["serviceAccountName"] = name
    if has_bodies:
        container["volumeMounts"] = [{"name": "request", "mountPath": REQUEST_DIRECTORY, "readOnly": True}]
        pod["volumes"] = [{"name": "request", "configMap": {"name": _name_of_bodies(name)}}]
    spec = {"backoffLimit": 0, "ttlSecondsAfterFinished": 86_400, "template": {"spec": pod}}
    return _object("batch/v1", "Job", name, namespace) | {"spec": spec}


def _bodies(name: str, namespace: str, request: str) -> dict[str, Any]:
    size_bytes = len(request.encode())
    if size_bytes > LARGEST_REQUEST_BYTES:
        expected = f"at most {LARGEST_REQUEST_BYTES} bytes, which a ConfigMap holds: give fewer lines"
        raise InvalidSpec("--request", f"{size_bytes} bytes", expected)
    return _object("v1", "ConfigMap", _name_of_bodies(name), namespace) | {"data": {REQUEST_KEY: request}}


def _name_of_bodies(name: str) -> str:
    return f"{name}-request"


def _writer(name: str, namespace: str, profile: str) -> list[dict[str, Any]]:
    """Return a service account that may write one ConfigMap.

    A rule's resourceNames hold for `create` too where a server-side apply makes the object, since its name is in the address.
    A plain create, which has none there, is refused.
    """
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [profile],
        "verbs": ["get", "create", "patch"],
    }
    return [
        _object("v1", "ServiceAccount", name, namespace),
        _object(f"{_RBAC}/v1", "Role", name, namespace) | {"rules": [rule]},
        _object(f"{_RBAC}/v1", "RoleBinding", name, namespace)
        | {
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def _object(api_version: str, kind: str, name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
