"""Memory that two processes share: one writes tensors, the other reads them in place.

An anonymous file (memfd) that the kernel frees with its last user, so nothing is left behind however a process ends. The writer
starts over with each batch; single pieces are never freed.
"""

import gc
import mmap
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from modelserver.tensors import Array
from modelserver.worker.shared import create_memory

ALIGNMENT = 64
"""Of every piece: a cache line, and what vector instructions like."""
_OWN_REFERENCES = 2
KEPT_BYTES = 64 << 20
"""What an arena keeps of its memory from one batch to the next; more goes back to the kernel."""


def _aligned(length: int) -> int:
    return (length + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


class Arena:
    """Memory shared through a file descriptor. Either end maps it; only one end writes.

    What `read` and `array` return lies in the arena: it is whatever the writer puts there once it has started over.
    A reader that cannot promise to have let go of it by then asks `is_held`.

    Args:
        descriptor: Of the anonymous file; owned, closed by `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._used = self._floor = 0
        self._copies = False
        self._former: list[Array] = []
        self._map()

    @classmethod
    def create(cls, name: str) -> "Arena":
        """Make a new one.

        Args:
            name: For whoever looks into /proc.
        """
        return cls(create_memory(name))

    def _map(self) -> None:
        """Map the whole file as it is now; pieces of an earlier mapping stay readable for as long as someone has them."""
        self._size = os.fstat(self.descriptor).st_size
        self._mapping = mmap.mmap(self.descriptor, self._size)
        self._bytes = memoryview(self._mapping)
        self._readable = self._bytes.toreadonly()
        self._whole: Array = np.frombuffer(self._readable, dtype=np.uint8)

    def _follow(self) -> None:
        """Map what the writer has added."""
        self._former.append(self._whole)
        self._map()

    @property
    def size_bytes(self) -> int:
        """Return how much is mapped."""
        return self._size

    def reset(self) -> None:
        """Start over: what was written is no longer needed by the reader."""
        kept_bytes = max(KEPT_BYTES, self._floor + -self._floor % mmap.PAGESIZE)
        if self._used > kept_bytes:
            self._mapping.madvise(mmap.MADV_REMOVE, kept_bytes)
        self._used = self._floor

    def keep(self) -> None:
        """Leave what was written as it is, for ever: the reader still has some of it."""
        self._floor = self._used

    def write(self, piece: bytes | memoryview) -> int:
        """Copy bytes in; return where they are.

        Args:
            piece: Of single bytes, contiguous.
        """
        offset = self._used
        end = offset + len(piece)
        if end > self._size:
            os.ftruncate(self.descriptor, max(2 * self._size, _aligned(end)))
            self._map()
        self._bytes[offset:end] = piece
        self._used = _aligned(end)
        return offset

    def read(self, offset: int, length: int) -> memoryview:
        """Return a piece that the other end wrote, in place and read-only.

        Raises:
            ValueError: When the piece is not within the arena.
        """
        end = offset + length
        if end > self._size:
            self._follow()
        if offset < 0 or length < 0 or end > self._size:
            raise ValueError(f"bytes {offset} to {end}: expected a piece of an arena of {self._size} bytes")
        return self._readable[offset:end]

    def array(self, dtype: "np.dtype[Any]", shape: Sequence[int], offset: int, length: int) -> Array:
        """Return an array that the other end wrote, in place and read-only.

        Raises:
            ValueError: When it does not begin within the arena.
            TypeError: When it does not end there.
        """
        if offset < 0:  # numpy would read what is before the arena
            raise ValueError(f"offset {offset}: expected 0 or more")
        if self._copies:
            return np.ndarray(shape, dtype, bytes(self.read(offset, length)))
        if offset + length > self._size:
            self._follow()
        return np.ndarray(shape, dtype, self._whole, offset)

    def is_held(self) -> bool:
        """Say whether somebody still has one of the arrays. The answer is yes once: later arrays are copies."""
        if self._copies or not self._has_views():
            return False
        gc.collect()  # an error's traceback holds what was computed, in a cycle
        self._copies = self._has_views()
        return self._copies

    def _has_views(self) -> bool:
        # Every array in place refers to the whole of its mapping; two references are the attribute's and the call's.
        if sys.getrefcount(self._whole) > _OWN_REFERENCES:
            return True
        self._former = [whole for whole in self._former if sys.getrefcount(whole) > _OWN_REFERENCES + 1]
        return bool(self._former)

    def close(self) -> None:
        """Give up the descriptor; the memory goes with the last piece that someone still has."""
        os.close(self.descriptor)
        del self._whole, self._readable, self._bytes, self._mapping
