"""Node objects and their heartbeats."""

import asyncio
import datetime
import logging
import platform
from collections.abc import Mapping

import aiohttp

from localcluster.apiclient import HTTP_CONFLICT, HTTP_NOT_FOUND, STRATEGIC_MERGE, ApiClient, ApiError
from localcluster.kubeobjects import JsonObject
from localcluster.node.clock import micro_timestamp, now, timestamp
from localcluster.node.status import HOST_IP
from localcluster.spec import NodeSpec

LOG = logging.getLogger(__name__)
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
LONGEST_HEARTBEAT_SECONDS = 10.0
HEARTBEATS_PER_GRACE = 4
HEARTBEATS_PER_STATUS = 6
KUBELET_VERSION = "v1.37.2-localcluster"


def resources(spec: NodeSpec) -> dict[str, str]:
    """Return what a node advertises; capacity and allocatable are one here."""
    accelerators = {name: str(count) for name, count in spec.accelerators.items()}
    return {
        "cpu": spec.cpu,
        "memory": spec.memory,
        "pods": str(spec.pods),
        "ephemeral-storage": "100Gi",
        **accelerators,
    }


def node_object(spec: NodeSpec) -> JsonObject:
    """Return the Node to create."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    labels = {
        "kubernetes.io/hostname": spec.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        **spec.labels,
    }
    taints = [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in spec.taints]
    return {"metadata": {"name": spec.name, "labels": labels}, "spec": {"taints": taints}}


def node_status(spec: NodeSpec, kubelet_port: int, moment: datetime.datetime, since: datetime.datetime) -> JsonObject:
    """Return the status of a live node.

    Args:
        spec: what it advertises.
        kubelet_port: where logs are served.
        moment: now.
        since: when it became ready.
    """
    beat = {"lastHeartbeatTime": timestamp(moment), "lastTransitionTime": timestamp(since)}
    pressure = {"status": "False", "reason": "KubeletHasSufficient", "message": "the local cluster does not watch this"}
    conditions = [{"type": kind, **pressure, **beat} for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    conditions.append(
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the node agent is running", **beat}
    )
    return {
        "capacity": resources(spec),
        "allocatable": resources(spec),
        "conditions": conditions,
        "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": spec.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        "nodeInfo": _node_info(),
    }


def _node_info() -> JsonObject:
    unknown = dict.fromkeys(("machineID", "systemUUID", "bootID"), "")
    return {
        **unknown,
        "architecture": platform.machine(),
        "kernelVersion": platform.release(),
        "osImage": "local processes",
        "operatingSystem": "linux",
        "containerRuntimeVersion": "localcluster://1",
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
    }


class NodeHeart:
    """Registers one node and keeps it alive until it is failed."""

    def __init__(self, api: ApiClient, spec: NodeSpec, kubelet_port: int, grace_seconds: float) -> None:
        """Prepare the node.

        Args:
            api: the agent's client.
            spec: what to advertise.
            kubelet_port: where logs are served.
            grace_seconds: the node lifecycle controller's patience; heartbeats come several times in it.
        """
        self.spec = spec
        self.failed = False
        self._api = api
        self._kubelet_port = kubelet_port
        self._interval_seconds = min(LONGEST_HEARTBEAT_SECONDS, grace_seconds / HEARTBEATS_PER_GRACE)
        self._since = now()

    @property
    def allocatable(self) -> Mapping[str, str]:
        """What pods on this node may have."""
        return resources(self.spec)

    async def register(self) -> None:
        """Create the Node, or take over one of this name, and make it Ready."""
        try:
            await self._api.create("/api/v1/nodes", node_object(self.spec))
        except ApiError as error:
            if error.status != HTTP_CONFLICT:
                raise
        self._since = now()
        await self._write_status()
        await self._renew()

    async def write_resources(self, spec: NodeSpec) -> None:
        """Advertise something else, at once; a resource that vanished stays as 0."""
        self.spec = spec
        if not self.failed:
            await self._write_status()

    async def beat(self) -> None:
        """Renew the lease for ever, and the status now and then."""
        count = 0
        while True:
            await asyncio.sleep(self._interval_seconds)
            if self.failed:
                continue
            count += 1
            try:
                await self._renew()
                if count % HEARTBEATS_PER_STATUS == 0:
                    await self._write_status()
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                LOG.warning("heartbeat of node %s failed: %s", self.spec.name, error)

    async def _write_status(self) -> None:
        status = node_status(self.spec, self._kubelet_port, now(), self._since)
        await self._api.patch(f"/api/v1/nodes/{self.spec.name}/status", {"status": status}, STRATEGIC_MERGE)

    async def _renew(self) -> None:
        name = self.spec.name
        renewal = {"renewTime": micro_timestamp(now()), "holderIdentity": name, "leaseDurationSeconds": 40}
        try:
            await self._api.patch(f"{LEASES}/{name}", {"spec": renewal})
        except ApiError as error:
            if error.status != HTTP_NOT_FOUND:
                raise
            await self._create_lease(renewal)

    async def _create_lease(self, renewal: JsonObject) -> None:
        metadata = {"name": self.spec.name}
        try:
            await self._api.create(LEASES, {"metadata": metadata, "spec": renewal})
        except ApiError as error:
            # The namespace of node leases appears a moment after the API server's start.
            LOG.info("lease of node %s not created yet: %s", self.spec.name, error)
