"""What a running cluster writes down: for `status`, for tests, and for the run that cleans up after it."""

import fcntl
import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter

from localcluster.errors import LocalClusterError
from localcluster.processes import ProcessIdentity


class Phase(StrEnum):
    """How far the cluster's life is."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True)
class ClusterState:
    """The state file of one run."""

    name: str
    run_id: str
    """Random per run; part of every name on the machine that must not be confused with another run's."""
    phase: Phase
    supervisor: ProcessIdentity
    message: str = ""
    """Why it failed; empty otherwise."""
    ports: dict[str, int] = field(default_factory=dict)
    pod_network: str = ""
    kubeconfig: str = ""
    prometheus_url: str = ""
    """Empty when Prometheus was not asked for."""
    control_url: str = ""
    programs: dict[str, str] = field(default_factory=dict)


_STATE = TypeAdapter(ClusterState)


@dataclass(frozen=True)
class StateDirectory:
    """The files of one cluster; nothing of it lies elsewhere but the cache."""

    root: Path

    @property
    def certificates(self) -> Path:
        """Certificates and keys."""
        return self.root / "certificates"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def control_token(self) -> Path:
        """The secret that the supervisor's control address asks for."""
        return self.root / "control-token"

    @property
    def start_lock(self) -> Path:
        """Held while a start is under way."""
        return self.root / "start.lock"

    @property
    def images(self) -> Path:
        """The image table."""
        return self.root / "images.json"

    @property
    def spec(self) -> Path:
        """What was asked of the cluster."""
        return self.root / "spec.json"

    @property
    def logs(self) -> Path:
        """One log per control-plane process, and the supervisor's."""
        return self.root / "logs"

    @property
    def pods(self) -> Path:
        """Volumes and logs of pods."""
        return self.root / "pods"

    @property
    def processes(self) -> Path:
        """The process registry."""
        return self.root / "processes"

    def read(self) -> ClusterState | None:
        """Return the last state written, None before the first."""
        try:
            return _STATE.validate_json((self.root / "state.json").read_bytes())
        except FileNotFoundError:
            return None

    def write(self, state: ClusterState) -> None:
        """Replace the state in one step, so that a reader never sees half of it."""
        scratch = self.root / ".state.json.new"
        scratch.write_bytes(_STATE.dump_json(state, indent=2))
        scratch.replace(self.root / "state.json")

    def lock(self) -> int:
        """Take the lock that a running supervisor holds for its whole life; return its file descriptor.

        Raises:
            LocalClusterError: if a supervisor holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LocalClusterError(
                f"the cluster in {self.root} is running; end it first with `localcluster down`, "
                "or choose another with --name"
            ) from None
        return descriptor

    def running(self) -> bool:
        """Say whether a supervisor lives: the lock tells, whatever the files say."""
        if not (self.root / "lock").exists():
            return False
        try:
            os.close(self.lock())
        except LocalClusterError:
            return True
        return False
