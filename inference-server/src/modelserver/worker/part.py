"""A worker's part of a split model: it takes a batch from the front or from the worker before it, and hands it on."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelserver.compute.batching import compute, decode, encode, groups, join, split
from modelserver.errors import InferenceFailedError, RequestError
from modelserver.model import Decoded, Model, Network
from modelserver.tensors import Arrays
from modelserver.worker.arena import Arena
from modelserver.worker.memory import ResidentMemory
from modelserver.worker.messages import ComputedPart, ComputePart, HandOver, Place
from modelserver.worker.orders import Part
from modelserver.worker.shared import Shared
from modelserver.worker.transfer import (
    read_arrays,
    read_requests,
    write_arrays,
    write_error,
    write_outcomes,
)

log = logging.getLogger("modelserver.worker")


@dataclass(frozen=True)
class Arenas:
    """A worker's shared memory, by slot: each batch that is under way has a slot of its own.

    Attributes:
        reads: Written by the front or by the worker before.
        memos: Written by the first worker; for the one that encodes.
        writes: Written by this worker.
    """

    reads: Sequence[Arena]
    memos: Sequence[Arena]
    writes: Sequence[Arena]

    @property
    def shared(self) -> Shared:
        """Return their file descriptors."""
        return Shared(*([arena.descriptor for arena in kind] for kind in (self.reads, self.memos, self.writes)))

    @classmethod
    def over(cls, shared: Shared) -> "Arenas":
        """Return arenas over memory that there is."""
        return cls(
            *([Arena(descriptor) for descriptor in kind] for kind in (shared.reads, shared.memos, shared.writes))
        )


def _identity(arrays: Arrays) -> Arrays:
    return arrays


NO_NETWORK: Network = _identity
"""Of a worker that decodes or encodes for a stage that another pod computes."""


class PartRunner:
    """Computes one part of a split model.

    Args:
        model: Set up.
        part: Which part.
        arenas: Where batches come from and go to.
    """

    def __init__(self, model: Model, part: Part, arenas: Arenas) -> None:
        self._model = model
        self._part = part
        self._arenas = arenas
        self._resident = ResidentMemory()

    def run(self, network: Network, asked: ComputePart) -> ComputedPart:
        """Compute a batch; it fails as a whole, the front tries its requests singly."""
        try:
            self._arenas.writes[asked.slot].reset()
            return self._decoded(network, asked) if self._part.decode else self._continued(network, asked)
        except RequestError as error:
            return ComputedPart(error=write_error(error))
        except BaseException as error:  # SystemExit too: a model that calls exit() must not end its worker
            failed = InferenceFailedError(
                f"the model failed on this input: {type(error).__name__}; see the server's log"
            )
            failed.__cause__ = error
            return ComputedPart(error=write_error(failed))

    def _decoded(self, network: Network, asked: ComputePart) -> ComputedPart:
        """Decode, then compute: the first worker."""
        start = time.perf_counter()
        requests = read_requests(self._arenas.reads[asked.slot], asked.requests)
        outcomes = [decode(self._model, request) for request in requests]
        refused = {str(i): write_error(one) for i, one in enumerate(outcomes) if isinstance(one, RequestError)}
        if len(groups(outcomes)) > 1:
            raise InferenceFailedError("requests of different trailing dimensions: expected one shape per batch")
        decoded = [one for one in outcomes if isinstance(one, Decoded)]
        seconds = time.perf_counter() - start
        if not decoded:
            return ComputedPart(refused=refused, preprocess_seconds=seconds, memory_bytes=self._resident.read())
        arrays, lengths = join([one.arrays for one in decoded])
        wanted = [tuple(r.outputs) for r, one in zip(requests, outcomes, strict=True) if isinstance(one, Decoded)]
        memos = [self._write_memo(asked.slot, one.memo) for one in decoded]
        done = self._computed(network, asked.slot, arrays, HandOver((), lengths, wanted, memos))
        return ComputedPart(
            refused=refused,
            given=done.given,
            outcomes=done.outcomes,
            preprocess_seconds=seconds,
            compute_seconds=done.compute_seconds,
            postprocess_seconds=done.postprocess_seconds,
            memory_bytes=done.memory_bytes,
        )

    def _continued(self, network: Network, asked: ComputePart) -> ComputedPart:
        """Compute what was handed over: every worker but the first."""
        if asked.given is None:
            raise InferenceFailedError("nothing was handed over, expected arrays")
        arrays = read_arrays(self._arenas.reads[asked.slot], asked.given.arrays)
        return self._computed(network, asked.slot, arrays, asked.given)

    def _computed(self, network: Network, slot: int, arrays: Arrays, given: HandOver) -> ComputedPart:
        start = time.perf_counter()
        answer = compute(network, arrays)
        shares = split(answer, given.lengths)  # checks the lengths, whoever is next
        compute_seconds = time.perf_counter() - start
        if not self._part.encode:
            places = write_arrays(self._arenas.writes[slot], answer)
            handed = HandOver(places, given.lengths, given.outputs, given.memos)
            return ComputedPart(given=handed, compute_seconds=compute_seconds, memory_bytes=self._resident.read())
        outcomes = [
            encode(self._model, share, self._read_memo(slot, memo), outputs)
            for share, memo, outputs in zip(shares, given.memos, given.outputs, strict=True)
        ]
        places_of = write_outcomes(self._arenas.writes[slot], outcomes)
        return ComputedPart(
            outcomes=places_of,
            compute_seconds=compute_seconds,
            postprocess_seconds=time.perf_counter() - start - compute_seconds,
            memory_bytes=self._resident.read(),
        )

    def _write_memo(self, slot: int, memo: object) -> list[Place] | None:
        if memo is None:
            return None
        if not isinstance(memo, Mapping) or not all(isinstance(array, np.ndarray) for array in memo.values()):
            raise InferenceFailedError(
                f"memo of type {type(memo).__name__}: expected None or named arrays, model is split"
            )
        return write_arrays(self._arenas.writes[slot], memo)

    def _read_memo(self, slot: int, memo: Sequence[Place] | None) -> Arrays | None:
        return None if memo is None else read_arrays(self._arenas.memos[slot], memo)
