"""What this machine lets us wrap a container in, and the command lines that do it."""

import asyncio
import enum
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.processes import DIE_WITH_PARENT

LAUNCHER = Path(__file__).with_name("launcher.py")
NAMESPACES = ("--mount", "--pid", "--uts", "--fork", "--kill-child", "--propagation", "private")
AS_ROOT_OF_OWN = ("--user", "--map-root-user")


class Isolation(enum.Enum):
    """How containers are kept apart, best first."""

    NAMESPACES = "namespaces"
    """Own mounts and process ids, as root."""
    USER_NAMESPACE = "user-namespace"
    """The same without root, inside a user namespace."""
    NONE = "none"
    """Plain processes: volumes are not at their mountPath."""


def detect() -> Isolation:
    """Try what works here, best first.

    Raises:
        LocalClusterError: when the tools of util-linux are missing.
    """
    missing = [tool for tool in ("setpriv", "unshare", "nsenter") if shutil.which(tool) is None]
    if missing:
        raise LocalClusterError(f"not found on PATH: {', '.join(missing)}; install the package util-linux")
    if _works([]):
        return Isolation.NAMESPACES
    return Isolation.USER_NAMESPACE if _works(AS_ROOT_OF_OWN) else Isolation.NONE


def _works(extra: Sequence[str]) -> bool:
    command = ["unshare", *extra, *NAMESPACES, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def launch_command(isolation: Isolation) -> list[str]:
    """Return the command that becomes the launcher inside fresh namespaces."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
    match isolation:
        case Isolation.NAMESPACES:
            return [*DIE_WITH_PARENT, "unshare", *NAMESPACES, "--", *launcher]
        case Isolation.USER_NAMESPACE:
            return [*DIE_WITH_PARENT, "unshare", *AS_ROOT_OF_OWN, *NAMESPACES, "--", *launcher]
        case Isolation.NONE:
            return [*DIE_WITH_PARENT, *launcher]


def exec_command(isolation: Isolation, pid: int, argv: Sequence[str]) -> list[str]:
    """Return the command that runs ``argv`` beside the container whose first process is ``pid``."""
    enter = [shutil.which("nsenter") or "nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--wd"]
    match isolation:
        case Isolation.NAMESPACES:
            return [*DIE_WITH_PARENT, *enter, "--", *argv]
        case Isolation.USER_NAMESPACE:
            return [*DIE_WITH_PARENT, *enter, "--user", "--preserve-credentials", "--", *argv]
        case Isolation.NONE:
            return [*DIE_WITH_PARENT, *argv]


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def first_process(isolation: Isolation, pid: int) -> int:
    """Return the pid, as this machine counts, of a container's first process.

    Args:
        isolation: how it was launched.
        pid: the process that ``launch_command`` became; under namespaces it only waits for the real one.
    """
    if isolation is Isolation.NONE:
        return pid
    for _ in range(100):
        if children := _children(pid):
            return int(children[0])
        await asyncio.sleep(0.01)
    raise LocalClusterError(f"process {pid} has not become a container within a second; is the machine overloaded?")
