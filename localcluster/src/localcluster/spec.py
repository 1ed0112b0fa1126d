"""What a user may ask of a cluster: immutable records, read and written as JSON at the edges."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from localcluster.errors import LocalClusterError

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Taint:
    """A node taint, as in ``key=value:Effect``."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class NodeSpec:
    """A node to register: what it advertises, not what the machine really has."""

    name: str
    cpu: str = "8"
    memory: str = "16Gi"
    pods: int = 110
    accelerators: Mapping[str, int] = field(default_factory=dict)
    """Extended resource name to count, for example ``{"nvidia.com/gpu": 4}``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


@dataclass(frozen=True)
class Image:
    """A row of the image table: what a container gets when it names this image."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    """Directories put in front of the container's PATH."""
    command: tuple[str, ...] = ()
    """Default command, used when the container names none."""
    keep: tuple[str, ...] = ()
    """Host directories that stay visible even when a volume is mounted over a parent of theirs."""


@dataclass(frozen=True)
class PrometheusSpec:
    """How Prometheus runs in the cluster."""

    scrape_interval_seconds: float = 15.0
    retention: str = "15d"
    data_dir: str | None = None
    """A TSDB data directory whose blocks are copied in before the start; None starts empty."""


@dataclass(frozen=True)
class Timing:
    """Times that kubelet and the control plane take from their configuration; defaults are Kubernetes' own."""

    node_monitor_grace_seconds: float = 50.0
    """Silence after which the node lifecycle controller calls a node Unknown."""
    unreachable_toleration_seconds: int = 300
    """Default toleration added to pods for the not-ready and unreachable taints."""
    crash_backoff_seconds: float = 10.0
    """First CrashLoopBackOff delay; it doubles up to thirty times this."""
    cfs_period_ms: int = 10
    """Period of the CPU quota (kubelet's cpuCFSQuotaPeriod; its default of 100 stalls small pods for longer)."""
    volume_refresh_seconds: float = 30.0
    """How often ConfigMap, Secret and projected volumes are brought up to date."""


@dataclass(frozen=True)
class ClusterSpec:
    """Everything that ``localcluster up`` decides before the first process starts."""

    name: str
    state_dir: Path
    api_only: bool = False
    """Only etcd and kube-apiserver: no controllers, no scheduler, no nodes. For API tests."""
    nodes: tuple[NodeSpec, ...] = ()
    images: tuple[Image, ...] = ()
    prometheus: PrometheusSpec | None = None
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        """Reject a name that could not be a directory, a cgroup and a kubeconfig context at once."""
        if not DNS_LABEL.fullmatch(self.name):
            raise LocalClusterError(
                f"cluster name {self.name!r}: expected up to 40 lower-case letters, digits and dashes; "
                "choose another with --name"
            )
        if self.api_only and (self.nodes or self.prometheus):
            raise LocalClusterError(
                "api_only: nodes and Prometheus need the whole control plane; leave one of them out"
            )


CLUSTER_SPEC = TypeAdapter(ClusterSpec)
NODE_SPEC = TypeAdapter(NodeSpec)
IMAGES = TypeAdapter(tuple[Image, ...])
