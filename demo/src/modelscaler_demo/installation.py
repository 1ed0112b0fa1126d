"""A cluster with Prometheus, its history, and the operator from its chart: each step short, each error saying what next."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcluster.cluster import Cluster
from localcluster.errors import LocalClusterError
from localcluster.paths import cache_root, default_state_dir
from localcluster.spec import ClusterSpec, Image, NodeSpec, PrometheusSpec, Taint, Timing
from modelscaler_demo.checkout import Checkout
from modelscaler_demo.errors import DemoError
from modelscaler_demo.example import PROFILE_NAME, Example
from modelscaler_demo.scenario import GPU_NODES

OPERATOR_IMAGE, SERVER_IMAGE, TAG = "modelscaler/operator", "modelscaler/modelserver", "local"
OPERATOR_NAMESPACE = "modelscaler-system"
HELM_SECONDS = 60.0
FAST = {
    "replicas": 1,
    "image.repository": OPERATOR_IMAGE,
    "image.tag": TAG,
    "serverImage.repository": SERVER_IMAGE,
    "serverImage.tag": TAG,
    "operator.intervalSeconds": 2,
    "operator.rateWindowSeconds": 6,
    "operator.historyStepSeconds": 2,
    "operator.staleAfterSeconds": 10,
    "operator.statusRefreshSeconds": 1,
}
"""Chart values for a day of minutes: everything that is 15 to 60 seconds in production."""


def cluster_spec(checkout: Checkout, history: Path) -> ClusterSpec:
    """Say what the demo's cluster is: two nodes with an accelerator, two without, and a Prometheus that has seen two weeks."""
    name = f"demo-{os.getpid()}"
    keep = tuple(str(path) for path in (checkout.root, cache_root(), Path(sys.base_prefix)))
    images = tuple(
        Image(
            f"{repository}:{TAG}",
            path=(str(checkout.bin),),
            env={"MODELSERVER_MODELS": str(cache_root() / "models")},
            keep=keep,
        )
        for repository in (OPERATOR_IMAGE, SERVER_IMAGE)
    )
    return ClusterSpec(
        name=name,
        state_dir=default_state_dir(name),
        nodes=(*(_gpu_node(node) for node in GPU_NODES), NodeSpec("cpu-0"), NodeSpec("cpu-1")),
        images=images,
        prometheus=PrometheusSpec(scrape_interval_seconds=1.0, data_dir=str(history)),
        timing=Timing(node_monitor_grace_seconds=6.0, unreachable_toleration_seconds=3, crash_backoff_seconds=1.0),
    )


def _gpu_node(name: str) -> NodeSpec:
    """A node that says it has one GPU and, as such nodes do, lets nobody else in."""
    return NodeSpec(
        name, accelerators={"nvidia.com/gpu": 1}, taints=(Taint("nvidia.com/gpu", "present", "NoSchedule"),)
    )


@dataclass(frozen=True, slots=True)
class Installation:
    """A running cluster and what is installed on it."""

    cluster: Cluster
    checkout: Checkout

    def install_operator(self, settings: Mapping[str, object] = FAST) -> None:
        """Install the chart with these values and this cluster's Prometheus, as anybody would."""
        values = {**settings, "prometheus.url": self.cluster.prometheus_url}
        sets = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        self._helm("install", "modelscaler", str(self.checkout.chart), "--create-namespace", *sets)

    def apply(self, example: Example, manifest: Mapping[str, Any], profile: Iterable[Mapping[str, Any]]) -> None:
        """Apply the profile and the ModelDeployment in the example's namespace."""
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": PROFILE_NAME, "namespace": example.namespace},
            "data": {"profile.json": json.dumps({"entries": list(profile)})},
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": example.namespace}}
        objects = {"apiVersion": "v1", "kind": "List", "items": [namespace, config_map, dict(manifest)]}
        self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(objects))

    def whats_wrong(self, example: Example) -> str:
        """Return what a person would look at first when nothing gets ready."""
        looks = (
            ("get", "pods", "-A", "-o", "wide"),
            ("get", "mdep", "-n", example.namespace, example.name, "-o", "jsonpath={.status.conditions}"),
            ("logs", "-n", OPERATOR_NAMESPACE, "deployment/modelscaler", "--tail=20"),
        )
        return "\n".join(self._look(*look) for look in looks)

    def _look(self, *arguments: str) -> str:
        try:
            return self.cluster.kubectl(*arguments, check=False)
        except (LocalClusterError, OSError) as error:
            return str(error)

    def _helm(self, *arguments: str) -> None:
        # Helm's own directories go away with the run.
        with tempfile.TemporaryDirectory(prefix="modelscaler-helm-") as home:
            environment = {**os.environ, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home}
            command = [
                str(self.checkout.program("helm")),
                *arguments,
                f"--kubeconfig={self.cluster.kubeconfig}",
                f"--namespace={OPERATOR_NAMESPACE}",
            ]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=HELM_SECONDS, check=False
            )
        if done.returncode:
            raise DemoError(f"helm {arguments[0]} failed: {done.stderr.strip()[-1000:]}")
