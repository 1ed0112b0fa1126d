"""Targets for a Prometheus that cannot ask Kubernetes itself.

Debian builds its package without Kubernetes discovery. Such a Prometheus is told the pods by HTTP discovery, under
the very labels that ``kubernetes_sd_configs`` with role ``pod`` would set, so that one relabelling serves both.
Labels: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#pod
"""

import re
from collections.abc import Iterable, Mapping

from localcluster.kubeobjects import JsonObject

META = "__meta_kubernetes_"
NOT_IN_A_LABEL_NAME = re.compile(r"[^a-zA-Z0-9_]")


def targets(pods: Iterable[JsonObject]) -> list[JsonObject]:
    """Return Prometheus' target groups: one per pod that has an address."""
    return [
        {"targets": [pod["status"]["podIP"]], "labels": _labels(pod)}
        for pod in pods
        if pod.get("status", {}).get("podIP")
    ]


def _labels(pod: JsonObject) -> dict[str, str]:
    metadata, status = pod["metadata"], pod["status"]
    ready = next((one["status"] for one in status.get("conditions", ()) if one["type"] == "Ready"), "False")
    labels = {
        f"{META}namespace": metadata["namespace"],
        f"{META}pod_name": metadata["name"],
        f"{META}pod_uid": metadata["uid"],
        f"{META}pod_ip": status["podIP"],
        f"{META}pod_host_ip": status.get("hostIP", ""),
        f"{META}pod_phase": status.get("phase", ""),
        f"{META}pod_ready": ready.lower(),
        f"{META}pod_node_name": pod["spec"].get("nodeName", ""),
    }
    return (
        labels
        | _flattened("pod_label", metadata.get("labels"))
        | _flattened("pod_annotation", metadata.get("annotations"))
    )


def _flattened(prefix: str, values: Mapping[str, str] | None) -> dict[str, str]:
    return {f"{META}{prefix}_{NOT_IN_A_LABEL_NAME.sub('_', key)}": value for key, value in (values or {}).items()}
