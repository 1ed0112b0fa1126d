"""What is scaled, here and there: a search ranker on few cores, with a quicker variant for bursts. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

NAMESPACE: Final = "shop"
NAME: Final = "replayed"
MODEL: Final = "search-ranker"
PLACEMENT: Final = "cpu"
FULL, FAST = "int8", "distilled"
"""The planned variant, and the rung for bursts."""

ARTIFACTS: Final = {FULL: "int8", FAST: "distilled-int8"}
"""What the servers call them. onnxruntime computes both, so a replica starts without torch."""

CPU: Final = "150m"
TARGET_MS: Final = 400
START_SECONDS: Final = 10
HOURLY_COST: Final = 1.0
MOST_REPLICAS: Final = 6
SCALE_DOWN_SECONDS: Final = 30
LOOKBACK_SECONDS: Final = 14_400
MOST_DEGRADED: Final = 0.1
"""So many of the answers may be the rung's on average."""

STAND_IN: Final = {"perRequestMilliseconds": "40", "maxBatch": 16}
"""A speed for a replica that is there to be measured."""


def measured_alone(variant: str, accuracies: Mapping[str, float]) -> dict[str, Any]:
    """Return a ModelDeployment of one replica that nothing scales, to measure a variant on.

    Args:
        variant: Which.
        accuracies: By artifact.
    """
    entry = {"placement": PLACEMENT, "variant": variant, **STAND_IN}
    spec = _spec([_variant(variant, accuracies)], [entry], most_replicas=1)
    spec["serving"] |= {"args": ["--max-queue-seconds", "60"]}  # many clients at once are part of the measurement
    return _resource(f"measured-{variant}", spec)


def scaled(accuracies: Mapping[str, float], entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the ModelDeployment that both runs scale.

    Args:
        accuracies: By artifact.
        entries: Measured capacity entries of both variants.
    """
    full, fast = (accuracies[ARTIFACTS[name]] for name in (FULL, FAST))
    variants = [_variant(name, accuracies) for name in (FULL, FAST)]
    capacity = [{**entry} | ({"reflexOnly": True} if entry["variant"] == FAST else {}) for entry in entries]
    spec = _spec(variants, capacity, MOST_REPLICAS)
    mean = full - MOST_DEGRADED * (full - fast)
    spec["slo"] |= {"minAccuracy": f"{fast:.4f}", "minMeanAccuracy": f"{mean:.4f}"}
    return _resource(NAME, spec)


def _variant(name: str, accuracies: Mapping[str, float]) -> dict[str, str]:
    return {"name": name, "artifact": ARTIFACTS[name], "accuracy": f"{accuracies[ARTIFACTS[name]]:.4f}"}


def _spec(variants: list[dict[str, str]], capacity: list[dict[str, Any]], most_replicas: int) -> dict[str, Any]:
    resources = {"requests": {"cpu": CPU, "memory": "256Mi"}, "limits": {"cpu": CPU, "memory": "1Gi"}}
    placement = {
        "name": PLACEMENT,
        "resources": resources,
        "hourlyCost": f"{HOURLY_COST:g}",
        "startSeconds": START_SECONDS,
    }
    return {
        "model": {"uri": f"builtin://{MODEL}"},
        "variants": variants,
        "placements": [placement],
        "slo": {"latency": {"percentile": 99, "targetMilliseconds": TARGET_MS}},
        "capacity": capacity,
        "scaling": {
            "minReplicas": 1,
            "maxReplicas": most_replicas,
            "capacityRefinement": "Off",
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": SCALE_DOWN_SECONDS}},
            "forecast": {"lookbackSeconds": LOOKBACK_SECONDS},
        },
        "serving": {"terminationGracePeriodSeconds": 15},
    }


def _resource(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "modelscaler.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": dict(spec),
    }
