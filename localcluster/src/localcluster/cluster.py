"""The cluster from the outside: start it, talk to it, end it. The command line and the tests use this alike."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock

from localcluster.binaries.catalogue import API_PROGRAMS, CONTROL_PLANE_PROGRAMS
from localcluster.binaries.provide import provide
from localcluster.binaries.search import find
from localcluster.cleaning import end_processes, remove_run_files
from localcluster.controlclient import call
from localcluster.errors import LocalClusterError
from localcluster.images import ImageTable
from localcluster.spec import CLUSTER_SPEC, NODE_SPEC, ClusterSpec, Image, NodeSpec
from localcluster.state import ClusterState, Phase, StateDirectory

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 40.0
POLL_SECONDS = 0.05
# Between asking the system for free ports and using them another process may take one.
PORT_TAKEN, START_ATTEMPTS = "address already in use", 3


class Cluster:
    """A running cluster, wherever its supervisor was started."""

    def __init__(self, state_dir: Path) -> None:
        self.files = StateDirectory(state_dir)
        self._owner: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, spec: ClusterSpec, *, owned: bool = True) -> "Cluster":
        """Start a cluster and return when it is ready.

        What a run that died left in the same state directory is ended and removed first.

        Args:
            spec: what to start.
            owned: whether it ends with this process, however this process ends. False leaves it running in
                the background until ``stop``.

        Raises:
            LocalClusterError: when one is running there already, or the start failed.
        """
        provide(_needed(spec))
        cluster = cls(spec.state_dir)
        cluster.files.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Two starts at once: the second waits, and then finds a running cluster.
        with FileLock(cluster.files.start_lock):
            for attempts_left in reversed(range(START_ATTEMPTS)):
                cluster._prepare(spec)
                try:
                    cluster._launch(owned=owned)
                    cluster._await_ready()
                except BaseException as error:
                    cluster.stop(remove=False)
                    if PORT_TAKEN not in str(error) or not attempts_left:
                        raise
                else:
                    break
        return cluster

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def state(self) -> ClusterState:
        """What the supervisor last wrote down.

        Raises:
            LocalClusterError: if no cluster has run here.
        """
        state = self.files.read()
        if state is None:
            raise LocalClusterError(f"no cluster in {self.files.root}; start one with `localcluster up`")
        return state

    @property
    def running(self) -> bool:
        """Say whether the supervisor lives."""
        return self.files.running()

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.files.kubeconfig

    @property
    def prometheus_url(self) -> str:
        """Prometheus' address, empty when it was not asked for."""
        return self.state.prometheus_url

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as administrator and return its output.

        Raises:
            LocalClusterError: when it fails and ``check`` is True, with what it said.
        """
        command = [str(find("kubectl") or "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise LocalClusterError(
                f"kubectl {' '.join(arguments)} failed: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def add_image(self, image: Image) -> None:
        """Add a row to the image table."""
        ImageTable(self.files.images).add(image)

    def add_node(self, node: NodeSpec) -> None:
        """Register a node and keep it alive."""
        self._control("POST", "/nodes", NODE_SPEC.dump_json(node))

    def fail_node(self, name: str) -> None:
        """Let a node die: its processes end, its heartbeats stop."""
        self._control("POST", f"/nodes/{name}/fail")

    def recover_node(self, name: str) -> None:
        """Let a dead node come back, as after a reboot."""
        self._control("POST", f"/nodes/{name}/recover")

    def set_accelerators(self, name: str, accelerators: Mapping[str, int]) -> None:
        """Change how many of each accelerator a node advertises; 0 means that the devices failed."""
        self._control("POST", f"/nodes/{name}/accelerators", json.dumps(dict(accelerators)).encode())

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes this cluster's agent plays: name and whether each is failed."""
        nodes: list[dict[str, Any]] = self._control("GET", "/nodes")["nodes"]
        return nodes

    def change_part(self, name: str, command: str) -> None:
        """Stop, start, pause or resume one process, for example ``prometheus``."""
        self._control("POST", f"/parts/{name}/{command}")

    def stop(self, *, remove: bool = True) -> list[str]:
        """End the cluster; nothing of it stays.

        Args:
            remove: False keeps the state directory with its logs, for reading what went wrong.

        Returns:
            Names of processes that a dead supervisor had left behind and that were killed.
        """
        state = self.files.read()
        if state is not None and self.running:
            _end_supervisor(state)
        if self._owner is not None:
            self._owner.terminate()
            self._reap()
        killed = end_processes(self.files)
        if remove:
            shutil.rmtree(self.files.root, ignore_errors=True)
        return killed

    def _prepare(self, spec: ClusterSpec) -> None:
        end_processes(self.files)
        remove_run_files(self.files)
        self.files.spec.write_bytes(CLUSTER_SPEC.dump_json(spec))
        if spec.images:
            ImageTable(self.files.images).add(*spec.images)

    def _launch(self, *, owned: bool) -> None:
        self.files.logs.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "localcluster.supervisor", str(self.files.root)]
        with (self.files.logs / "supervisor.log").open("ab") as log:
            self._owner = subprocess.Popen(
                [*command, "--owned"] if owned else command,
                stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            state = self.files.read()
            if state is not None and state.phase == Phase.READY:
                return
            if self._owner is not None and self._owner.poll() is not None:
                raise LocalClusterError(f"the cluster did not start: {self._last_words(state)}")
            time.sleep(POLL_SECONDS)
        raise LocalClusterError(
            f"the cluster was not ready within {START_TIMEOUT_SECONDS:.0f} s; read the logs in {self.files.logs}"
        )

    def _last_words(self, state: ClusterState | None) -> str:
        if state is not None and state.message:
            return state.message
        log = self.files.logs / "supervisor.log"
        lines = log.read_text(errors="replace").splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (log: {log})"

    def _reap(self) -> None:
        if self._owner is None:
            return
        if self._owner.stdin is not None:
            self._owner.stdin.close()
        try:
            self._owner.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._owner.kill()
            self._owner.wait()
        self._owner = None

    def _control(self, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
        return call(self.files, self.state, method, path, body)


def _needed(spec: ClusterSpec) -> list[str]:
    names = list(API_PROGRAMS if spec.api_only else CONTROL_PLANE_PROGRAMS)
    return [*names, "prometheus", "promtool"] if spec.prometheus is not None else names


def _end_supervisor(state: ClusterState) -> None:
    state.supervisor.send(signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while state.supervisor.alive() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    state.supervisor.send(signal.SIGKILL)
