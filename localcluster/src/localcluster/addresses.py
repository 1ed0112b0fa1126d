"""Loopback addresses for pods: one 127.x.0.0/16 per running cluster, one address per pod."""

import fcntl
import ipaddress
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from localcluster.errors import LocalClusterError

# 127.0 is the machine's own; systemd-resolved and some distributions use a few low ones.
SECOND_OCTETS = range(64, 250)


def lock_directory() -> Path:
    """Return the machine-wide directory of range locks, shared by every user."""
    return Path(tempfile.gettempdir()) / "modelscaler-localcluster-ranges"


class AddressRange:
    """A /16 of loopback addresses, held by a file lock for as long as this process lives.

    The kernel drops the lock with the process, however it dies, so no range leaks.
    """

    def __init__(self, network: ipaddress.IPv4Network, lock_fd: int) -> None:
        self.network = network
        self._lock_fd = lock_fd
        self._in_use: set[str] = set()
        self._next = self._candidates()

    @classmethod
    def claim(cls, directory: Path) -> "AddressRange":
        """Claim the first range that no other living cluster holds.

        Args:
            directory: where the lock files are, one per range.
        """
        directory.mkdir(mode=0o1777, parents=True, exist_ok=True)
        for octet in SECOND_OCTETS:
            lock_fd = _try_lock(directory / f"127.{octet}")
            if lock_fd is not None:
                return cls(ipaddress.IPv4Network(f"127.{octet}.0.0/16"), lock_fd)
        raise LocalClusterError(
            f"no free loopback range: all of {len(SECOND_OCTETS)} are locked in {directory}; "
            "stop a cluster with `localcluster down --name NAME`"
        )

    def take(self) -> str:
        """Return an address no living pod of this cluster has, the least recently used first."""
        for _ in range(self.network.num_addresses):
            address = next(self._next)
            if address not in self._in_use:
                self._in_use.add(address)
                return address
        raise LocalClusterError(f"every address of {self.network} is in use; delete some pods")

    def give_back(self, address: str) -> None:
        """Make ``address`` available again; unknown addresses are ignored."""
        self._in_use.discard(address)

    def release(self) -> None:
        """Give the whole range back."""
        os.close(self._lock_fd)

    def _candidates(self) -> Iterator[str]:
        while True:
            yield from (str(host) for host in self.network.hosts() if host.packed[3] not in (0, 255))


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)
    except PermissionError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
