"""What a Prometheus without Kubernetes discovery is told."""

from typing import Any

from localcluster.supervisor.discovery import targets

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "annotations": {"prometheus.io/scrape": "true"}},
    "spec": {"nodeName": "node-1"},
    "status": {"podIP": "127.64.0.1", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


def test_labels_are_those_of_kubernetes_discovery() -> None:
    (group,) = targets([POD])
    assert group["targets"] == ["127.64.0.1"]
    assert group["labels"]["__meta_kubernetes_pod_annotation_prometheus_io_scrape"] == "true"
    assert group["labels"]["__meta_kubernetes_pod_ready"] == "true"
    assert all(isinstance(value, str) for value in group["labels"].values())


def test_pod_without_an_address_is_left_out() -> None:
    assert targets([{**POD, "status": {"phase": "Pending"}}]) == []
