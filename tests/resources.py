"""ModelDeployments as the operator reads them, for tests that need no API server."""

from typing import Any

import manifests
from modelscaler.api.v1alpha1 import ModelDeployment
from modelscaler.workload import parse_resource

UID = "0a1b2c3d-0000-4000-8000-000000000001"


def model_deployment(changes: dict[str, Any] | None = None) -> ModelDeployment:
    """Return the smallest valid resource with changes, dotted path → value as `manifests.model_deployment` takes them."""
    return parse_resource(
        manifests.model_deployment({"metadata.uid": UID, "metadata.generation": 3, **(changes or {})})
    )
