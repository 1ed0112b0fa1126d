"""What every pod on this machine shares, and what every container of one pod shares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcluster.addresses import AddressRange
from localcluster.apiclient import ApiClient
from localcluster.images import ImageTable
from localcluster.kubeobjects import JsonObject
from localcluster.node.cgroups import CgroupTree
from localcluster.node.environment import PodFacts
from localcluster.node.events import EventRecorder
from localcluster.node.sandbox import Isolation
from localcluster.node.settings import AgentSettings
from localcluster.node.volumes import PodVolumes
from localcluster.processes import ProcessRegistry


@dataclass(frozen=True)
class Machine:
    """The agent's means, shared by all pods."""

    settings: AgentSettings
    api: ApiClient
    images: ImageTable
    addresses: AddressRange
    registry: ProcessRegistry
    recorder: EventRecorder
    isolation: Isolation
    cgroups: CgroupTree | None


@dataclass(frozen=True)
class PodContext:
    """One pod's, shared by its containers."""

    machine: Machine
    pod: JsonObject
    directory: Path
    ip: str
    facts: PodFacts
    volumes: PodVolumes
    changed: Callable[[], None]
    """Told when a container's record has changed."""

    def service_environment(self) -> Mapping[str, str]:
        """Return what in-cluster clients look for."""
        settings = self.machine.settings
        return {
            "KUBERNETES_SERVICE_HOST": settings.api_host,
            "KUBERNETES_SERVICE_PORT": str(settings.api_port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(settings.api_port),
        }
