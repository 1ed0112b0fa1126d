"""Memory that a worker and its front share, as the file descriptors that a worker is started with."""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_BYTES = 1 << 20


@dataclass(frozen=True)
class Shared:
    """File descriptors of a worker's shared memory, by slot; see `Arenas`.

    Attributes:
        reads: Written by the front or by the worker before.
        memos: Written by the first worker of a split model.
        writes: Written by this worker.
    """

    reads: Sequence[int]
    memos: Sequence[int]
    writes: Sequence[int]


def create_memory(name: str) -> int:
    """Return the descriptor of a new anonymous file.

    Args:
        name: For whoever looks into /proc.
    """
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, FIRST_BYTES)
    # A mapping beyond the end of its file kills whoever touches it: neither end may shrink it.
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor
