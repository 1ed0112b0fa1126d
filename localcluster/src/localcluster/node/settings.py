"""What the node agent is told at its start."""

from dataclasses import dataclass
from pathlib import Path

from localcluster.certificates import KeyPair
from localcluster.spec import Timing


@dataclass(frozen=True)
class AgentSettings:
    """Addresses, certificates and places of one run."""

    api_host: str
    api_port: int
    kubelet_port: int
    authority: Path
    """Certificate that the API server's client certificate must come from."""
    kubelet: KeyPair
    """What the agent's HTTPS port serves with."""
    pods_dir: Path
    cgroup: str
    """Name of the cgroup that holds every container of this run."""
    timing: Timing
