"""ConfigMaps and Secrets that a pod refers to, read once per look."""

import base64
from collections.abc import Iterable

from localcluster.apiclient import HTTP_NOT_FOUND, ApiClient, ApiError
from localcluster.kubeobjects import JsonObject

PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}


async def read_data(api: ApiClient, namespace: str, kind: str, name: str) -> dict[str, bytes] | None:
    """Return the data of a ConfigMap or Secret, None when it does not exist."""
    try:
        found = await api.get(f"/api/v1/namespaces/{namespace}/{PLURALS[kind]}/{name}")
    except ApiError as error:
        if error.status == HTTP_NOT_FOUND:
            return None
        raise
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    text = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return text | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def environment_references(container: JsonObject) -> Iterable[tuple[str, str]]:
    """Yield kind and name of every ConfigMap and Secret that a container's environment refers to."""
    for source in container.get("envFrom", ()):
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in source:
                yield kind, source[key]["name"]
    for variable in container.get("env", ()):
        source = variable.get("valueFrom") or {}
        for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if key in source:
                yield kind, source[key]["name"]
