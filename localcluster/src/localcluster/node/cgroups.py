"""CPU and memory limits by cgroup, version 1 or 2, where this machine lets us write them."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from localcluster.kubeobjects import JsonObject
from localcluster.quantities import parse_quantity

MOUNT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "memory")
SHARES_PER_CPU = 1024
SMALLEST_QUOTA_US = 1000
REMOVE_ATTEMPTS = 100


@dataclass(frozen=True)
class Limits:
    """What a container may use.

    Attributes:
        cpu_quota_us: CPU time per period; None for no limit.
        cpu_period_us: length of the period.
        cpu_request: weight against other containers, in CPUs.
        memory_bytes: None for no limit.
    """

    cpu_quota_us: int | None
    cpu_period_us: int
    cpu_request: float
    memory_bytes: int | None

    @classmethod
    def of(cls, resources: JsonObject, cfs_period_ms: int) -> "Limits":
        """Read a container's ``resources``.

        Args:
            resources: ``requests`` and ``limits`` as in the pod spec.
            cfs_period_ms: the quota's period.
        """
        limits: Mapping[str, str] = resources.get("limits", {})
        requests: Mapping[str, str] = resources.get("requests", {})
        period_us = cfs_period_ms * 1000
        quota = None
        if "cpu" in limits:
            quota = max(int(parse_quantity(limits["cpu"]) * period_us), SMALLEST_QUOTA_US)
        memory = int(parse_quantity(limits["memory"])) if "memory" in limits else None
        request = parse_quantity(requests.get("cpu", limits.get("cpu", "0")))
        return cls(quota, period_us, float(max(request, Decimal("0.002"))), memory)


class Cgroup:
    """One container's cgroup."""

    def __init__(self, directories: tuple[Path, ...], version: int) -> None:
        self._directories = directories
        self._version = version

    @property
    def process_files(self) -> list[str]:
        """Files to write a pid to, in order to join."""
        return [str(directory / "cgroup.procs") for directory in self._directories]

    def apply(self, limits: Limits) -> None:
        """Set the limits."""
        for directory in self._directories:
            for name, value in _settings(limits, self._version).items():
                if (directory / name).exists():
                    (directory / name).write_text(value)

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here for want of memory."""
        for directory in self._directories:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(FileNotFoundError):
                    for line in (directory / name).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Remove the cgroup; its processes have ended or are killed now."""
        for directory in self._directories:
            _remove(directory)


def _settings(limits: Limits, version: int) -> dict[str, str]:
    quota, period, memory = limits.cpu_quota_us, limits.cpu_period_us, limits.memory_bytes
    shares = max(2, round(limits.cpu_request * SHARES_PER_CPU))
    if version == 2:
        # Kubernetes' own mapping of shares (2..262144) to weight (1..10000).
        weight = 1 + ((shares - 2) * 9999) // 262142
        settings = {"cpu.weight": str(weight), "cpu.max": f"{quota or 'max'} {period}"}
        return settings | ({"memory.max": str(memory), "memory.swap.max": "0"} if memory else {})
    settings = {"cpu.shares": str(shares), "cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(quota or -1)}
    return settings | ({"memory.limit_in_bytes": str(memory)} if memory else {})


class CgroupTree:
    """The cgroups of one run, under one name at the top."""

    def __init__(self, name: str, version: int) -> None:
        self._name = name
        self._version = version

    @classmethod
    def create(cls, name: str) -> "CgroupTree | None":
        """Return the tree where CPU and memory limits can be set here, else None.

        Args:
            name: unique to the run.
        """
        version = 2 if (MOUNT / "cgroup.controllers").exists() else 1
        try:
            for directory in _roots(name, version):
                directory.mkdir(exist_ok=True)
                _delegate(directory, version)
            _weigh(_roots(name, version)[0], version)
            tree = cls(name, version)
            probe = tree.child("probe")
            probe.remove()
        except OSError:
            remove_tree(name)
            return None
        return tree

    def child(self, path: str) -> Cgroup:
        """Create the cgroup of one container.

        Args:
            path: unique within the run; one level.
        """
        directories = tuple(root / path for root in _roots(self._name, self._version))
        for directory in directories:
            directory.mkdir(exist_ok=True)
        if self._version == 2 and not (directories[0] / "memory.max").exists():
            raise OSError("cgroup v2: the cpu and memory controllers are not available here")
        return Cgroup(directories, self._version)


def _roots(name: str, version: int) -> list[Path]:
    if version == 2:
        return [MOUNT / name]
    return [MOUNT / controller / name for controller in CONTROLLERS]


def _delegate(directory: Path, version: int) -> None:
    if version != 2:
        return
    for parent in (directory.parent, directory):
        (parent / "cgroup.subtree_control").write_text("+cpu +memory")


def _weigh(directory: Path, version: int) -> None:
    """Give all pods together the weight of the whole machine, as kubelet does with its `kubepods` cgroup.

    With the default they would weigh as much as one process beside them, and starve on a busy machine.
    """
    cores = os.cpu_count() or 1
    name, value = ("cpu.weight", min(cores * 100, 10000)) if version == 2 else ("cpu.shares", cores * SHARES_PER_CPU)
    (directory / name).write_text(str(value))


def remove_tree(name: str) -> None:
    """Remove every cgroup of a run, killing what still lives in it."""
    for root in {*_roots(name, 1), *_roots(name, 2)}:
        if root.is_dir():
            for directory in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
                _remove(directory)
            _remove(root)


def _remove(directory: Path) -> None:
    for _ in range(REMOVE_ATTEMPTS):
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            _kill_all(directory)
            # The kernel empties a cgroup a moment after its last process ended.
            time.sleep(0.01)
        else:
            return


def _kill_all(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for pid in (directory / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
