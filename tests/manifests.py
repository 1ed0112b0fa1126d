"""ModelDeployment manifests as a user writes them, for tests that talk to a real API server."""

from copy import deepcopy
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]

ABSENT = object()
"""As the value of a change: take the field away."""

SMALLEST: Manifest = {
    "apiVersion": "modelscaler.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "ranker", "namespace": "default"},
    "spec": {
        "model": {"uri": "builtin://search-ranker"},
        "variants": [{"name": "full", "accuracy": "0.91"}, {"name": "int8", "accuracy": "0.9"}],
        "placements": [{"name": "cpu", "hourlyCost": "0.2"}],
        "slo": {"latency": {"targetMilliseconds": 200}},
        "capacity": [{"placement": "cpu", "variant": "full", "perRequestMilliseconds": "8"}],
    },
}


def model_deployment(changes: dict[str, Any] | None = None) -> Manifest:
    """Return the smallest valid manifest with changes.

    Args:
        changes: dotted path → value, for example `{"spec.placements.0.hourlyCost": "-1"}`; numbers index lists, missing
            objects on the way are made, and `ABSENT` takes the field away.
    """
    manifest = deepcopy(SMALLEST)
    for path, value in (changes or {}).items():
        *way, last = path.split(".")
        parent: Any = manifest
        for part in way:
            parent = parent[int(part)] if isinstance(parent, list) else parent.setdefault(part, {})
        _set(parent, last, value)
    return manifest


def _set(parent: Any, name: str, value: Any) -> None:
    key = int(name) if isinstance(parent, list) else name
    if value is ABSENT:
        del parent[key]
    elif isinstance(parent, list) and key == len(parent):
        parent.append(value)
    else:
        parent[key] = value
