"""Refuse a workload that somebody else already scales: an HPA (KEDA's ScaledObjects make HPAs) on one of our pools."""

from collections.abc import Iterable, Mapping
from typing import Any

from modelscaler.api.words import ConditionReason
from modelscaler.controller.decide import Trouble

Target = tuple[str, str]


def scaled_elsewhere(autoscalers: Iterable[Mapping[str, Any]]) -> dict[Target, str]:
    """Return (namespace, Deployment name) → HPA name for every HPA that scales a Deployment."""
    return {
        (hpa["metadata"]["namespace"], hpa["spec"]["scaleTargetRef"]["name"]): hpa["metadata"]["name"]
        for hpa in autoscalers
        if hpa.get("spec", {}).get("scaleTargetRef", {}).get("kind") == "Deployment"
    }


def conflict(names: Iterable[Target], scaled: Mapping[Target, str]) -> Trouble | None:
    """Return the trouble when one of these Deployments is scaled by an HPA; None when none is."""
    for namespace, name in names:
        if hpa := scaled.get((namespace, name)):
            return Trouble(
                ConditionReason.WORKLOAD_CONFLICT,
                f"Deployment {namespace}/{name} is already scaled by HorizontalPodAutoscaler {hpa!r}; "
                "delete it, since two autoscalers would fight",
            )
    return None
