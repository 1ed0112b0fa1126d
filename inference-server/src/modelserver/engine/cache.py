"""Answers that were given before."""

import hashlib
import time
from collections.abc import Callable, Sequence

import numpy as np
from cachetools import TTLCache

from modelserver.tensors import Array, Contract, InferRequest, Tensor

_OVERHEAD_BYTES = 512
"""Of an entry, besides its arrays."""


def request_digest(request: InferRequest) -> bytes:
    """Return a digest of a request's tensors and of the outputs that it asks for; of nothing else that a client says."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(request.inputs):
        tensor = request.inputs[name]
        digest.update(repr((name, tensor.datatype, tensor.array.shape)).encode())
        _update(digest, tensor.array)
    digest.update(repr(request.outputs).encode())
    return digest.digest()


def answer_digest(contract: Contract, variant: str) -> bytes:
    """Return a digest of what an answer depends on besides the request: model, content, preprocessing and variant.

    Together with that of the request it is the key of an entry.
    """
    what = repr((contract.name, contract.content_version, contract.preprocessing_version, variant))
    return hashlib.blake2b(what.encode(), digest_size=16).digest()


class ResultCache:
    """Bounded in bytes and in time; what was not asked for longest goes first.

    Args:
        max_bytes: Of all entries.
        ttl_seconds: Of an entry.
        clock: Monotonic seconds.

    Attributes:
        hits: How often there was an answer.
        misses: How often there was none.
    """

    def __init__(self, max_bytes: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: TTLCache[bytes, list[Tensor]] = TTLCache(max_bytes, ttl_seconds, clock, _answer_bytes)
        self.hits = 0
        self.misses = 0

    @property
    def held_bytes(self) -> int:
        """Return the size of all entries."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, keys: Sequence[bytes]) -> tuple[int, list[Tensor]] | None:
        """Return the first of some keys that has an answer, as its index, and the answer; None when none has.

        Args:
            keys: Most wanted first.
        """
        for index, key in enumerate(keys):
            found = self._entries.get(key)
            if found is not None:
                self.hits += 1
                return index, found
        self.misses += 1
        return None

    def keep(self, key: bytes, outputs: Sequence[Tensor]) -> None:
        """Keep an answer, unless it alone is larger than the cache."""
        kept = [Tensor(tensor.name, tensor.datatype, _own(tensor.array)) for tensor in outputs]
        if _answer_bytes(kept) <= self._entries.maxsize:
            self._entries[key] = kept

    def clear(self) -> None:
        """Forget all answers."""
        self._entries.clear()


def _update(digest: "hashlib.blake2b", array: Array) -> None:
    if array.dtype != object:
        digest.update(array.reshape(-1).view(np.uint8).data)
        return
    for element in array.reshape(-1).tolist():
        digest.update(len(element).to_bytes(8, "little"))
        digest.update(element)


def _own(array: Array) -> Array:
    """Return a copy: an answer is often a view of its batch's arrays, which would stay as long as it does."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _answer_bytes(outputs: Sequence[Tensor]) -> int:
    return _OVERHEAD_BYTES + sum(_array_bytes(tensor.array) for tensor in outputs)


def _array_bytes(array: Array) -> int:
    if array.dtype != object:
        return int(array.nbytes)
    return int(array.nbytes) + sum(33 + len(element) for element in array.reshape(-1).tolist())
