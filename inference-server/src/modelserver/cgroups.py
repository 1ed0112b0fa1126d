"""What this container may have, and what the kernel says of its use: control groups, version 1 or 2."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED = 1 << 60
"""Version 1 of control groups writes nearly 2^63 for no limit."""
_PRESSURE = Path("/proc/pressure/memory")


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _own_path(membership: str, controller: str) -> str:
    """Return this process's group for a controller; `` is version 2."""
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def _upwards(base: Path, path: str) -> Iterator[Path]:
    """Yield this process's group and those above it, up to the mount."""
    # In a container the mount is the container's own group, and the path that the host knows does not exist there.
    group = base / path.lstrip("/")
    yield from (place for place in (group, *group.parents) if place.is_relative_to(base))


def _groups(root: Path, controller: str, membership: Path) -> list[Path]:
    """Return the groups that a controller may have this process in, version 2 and version 1, each up to the mount."""
    named = _text(membership)
    version_1 = _upwards(root / controller, _own_path(named, controller))
    return [*_upwards(root, _own_path(named, "")), *version_1]


def _quota_cores(group: Path) -> float | None:
    """Return the CPU limit of one group, in cores."""
    quota, _, period = _text(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = _text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return int(quota) / int(period)


def cpu_limit_cores(root: Path = CGROUP, membership: Path = _MEMBERSHIP) -> float:
    """Return how many cores' worth of CPU time this process may use: its quota, or the cores that it may run on.

    Args:
        root: Where control groups are mounted.
        membership: What says in which groups this process is.
    """
    quotas = [quota for quota in map(_quota_cores, _groups(root, "cpu", membership)) if quota is not None]
    return min([float(len(os.sched_getaffinity(0))), *quotas])


def whole_cores(limit_cores: float) -> int:
    """Return how many processes can compute at once without waiting for each other.

    Args:
        limit_cores: Of CPU time.
    """
    return max(1, int(limit_cores))


@dataclass(frozen=True)
class CpuUse:
    """What the kernel has counted of this container's CPU time since it began.

    Attributes:
        periods: Of the quota; 0 when there is no quota.
        throttled_periods: In which it was used up.
    """

    periods: int = 0
    throttled_periods: int = 0


def _numbers(text: str) -> Mapping[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def cpu_use(root: Path = CGROUP, membership: Path = _MEMBERSHIP) -> CpuUse:
    """Return what the kernel has counted; zeros where it does not say.

    Args:
        root: Where control groups are mounted.
        membership: What says in which groups this process is.
    """
    for group in _groups(root, "cpu", membership):
        counted = _numbers(_text(group / "cpu.stat"))
        if counted.get("nr_periods"):
            return CpuUse(counted["nr_periods"], counted.get("nr_throttled", 0))
    return CpuUse()


def _limit_in(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdecimal() and int(text) < _UNLIMITED else None


def memory_limit_bytes(root: Path = CGROUP, membership: Path = _MEMBERSHIP) -> int | None:
    """Return the memory limit of this process's container; None when it has none.

    Args:
        root: Where control groups are mounted.
        membership: What says in which groups this process is.
    """
    files = ("memory.max", "memory.limit_in_bytes")
    limits = [_limit_in(group / file) for group in _groups(root, "memory", membership) for file in files]
    return min((limit for limit in limits if limit is not None), default=None)


def memory_pressure(file: Path | None = None) -> float:
    """Return the share of the last ten seconds in which something waited for memory, 0 to 1; 0 where it is not known.

    Args:
        file: Pressure stall information; None for this container's, else the machine's.
    """
    for candidate in [file] if file else [CGROUP / "memory.pressure", _PRESSURE]:
        for word in _text(candidate).partition("\n")[0].split():
            if word.startswith("avg10="):
                return float(word.removeprefix("avg10=")) / 100
    return 0.0
