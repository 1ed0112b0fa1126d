"""Processes that must not outlive their cluster: identity, registry, and the end of each.

A pid alone says nothing after a crash, because the kernel hands it out again. Here a process
is its pid, its start time and the boot it belongs to.
"""

import contextlib
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

# The wrapper makes the kernel kill the child when its parent dies, SIGKILL of the parent included.
# Absolute, because a child may be given a PATH of its own.
DIE_WITH_PARENT = (shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL", "--")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks between boot and the start of the process."""
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Return the identity of the living process ``pid``, None if there is none."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), boot_id())

    def alive(self) -> bool:
        """Say whether this very process still runs (zombies don't)."""
        return ProcessIdentity.of(self.pid) == self

    def send(self, signal_number: signal.Signals) -> None:
        """Signal the process if it is still this one."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal_number)


def boot_id() -> str:
    """Return the identifier of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class ProcessRegistry:
    """The processes a cluster started, one small file each, so that a later run can find and end them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, pid: int, label: str) -> None:
        """Record a process just started; one that has ended already is not recorded."""
        identity = ProcessIdentity.of(pid)
        if identity is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        line = f"{identity.start_ticks} {identity.boot_id} {label}\n"
        (self._directory / str(pid)).write_text(line)

    def remove(self, pid: int) -> None:
        """Forget a process that has ended."""
        (self._directory / str(pid)).unlink(missing_ok=True)

    def living(self) -> dict[ProcessIdentity, str]:
        """Return those recorded that still run, with their labels."""
        found = {}
        for entry in self._directory.glob("*"):
            start_ticks, boot, label = entry.read_text().strip().split(" ", 2)
            identity = ProcessIdentity(int(entry.name), int(start_ticks), boot)
            if identity.alive():
                found[identity] = label
        return found

    def kill_all(self, timeout_seconds: float = 10.0) -> list[str]:
        """Kill whatever recorded process still runs and wait for its end; return their labels."""
        living = self.living()
        for identity in living:
            identity.send(signal.SIGKILL)
        deadline = time.monotonic() + timeout_seconds
        while any(identity.alive() for identity in living) and time.monotonic() < deadline:
            time.sleep(0.02)
        return sorted(living.values())
