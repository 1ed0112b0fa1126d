"""The stages of a running pipeline and the shared memory between them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelserver.compute.batching import split
from modelserver.engine.stage_worker import PartTimes, StageWorker
from modelserver.errors import RequestError
from modelserver.worker.arena import Arena
from modelserver.worker.messages import ComputedPart, ComputePart, HandOver
from modelserver.worker.orders import Part
from modelserver.worker.transfer import read_arrays, write_arrays, write_error

if TYPE_CHECKING:
    from modelserver.engine.remote_stage import RemoteStage

SLOTS = 4
"""Batches on their way at once: one for each stage of a usual split, and one that is handed over meanwhile."""


class LocalStep:
    """A stage in a worker process."""

    def __init__(self, part: Part, stage: StageWorker) -> None:
        self.part = part
        self.stage = stage

    async def compute(self, asked: ComputePart) -> PartTimes:
        """Compute a batch; see `StageWorker.compute`."""
        return await self.stage.compute(asked)


class RemoteStep:
    """A stage in another pod: its tensors are copied out of one arena and into the next."""

    def __init__(self, remote: "RemoteStage", reads: Sequence[Arena], writes: Sequence[Arena]) -> None:
        self.remote = remote
        self._reads = reads
        self._writes = writes

    async def compute(self, asked: ComputePart) -> PartTimes:
        """Compute a batch; see `RemoteStage.compute`."""
        given = asked.given
        if given is None:
            raise AssertionError("a stage elsewhere was handed nothing")
        start = time.perf_counter()
        try:
            answer = await self.remote.compute(asked.variant, read_arrays(self._reads[asked.slot], given.arrays))
            split(answer, given.lengths)  # checks the lengths
        except RequestError as error:
            return PartTimes(ComputedPart(error=write_error(error)), 0.0)
        seconds = time.perf_counter() - start
        self._writes[asked.slot].reset()
        places = write_arrays(self._writes[asked.slot], answer)
        handed = HandOver(places, given.lengths, given.outputs, given.memos)
        return PartTimes(ComputedPart(given=handed, compute_seconds=seconds), seconds)


@dataclass
class Chain:
    """The stages of a started pipeline, and the memory between them.

    Attributes:
        links: By place in the chain, by slot: step k reads link k and writes link k + 1.
        steps: First to last.
        free_slots: Those that no batch has.
    """

    links: list[list[Arena]]
    steps: list[LocalStep | RemoteStep]
    free_slots: "asyncio.Queue[int]"

    @property
    def stages(self) -> list[StageWorker]:
        """Return those that run here."""
        return [step.stage for step in self.steps if isinstance(step, LocalStep)]

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Wait for a free slot, and keep it for a while."""
        slot = await self.free_slots.get()
        try:
            yield slot
        finally:
            self.free_slots.put_nowait(slot)


@dataclass
class Tally:
    """Where a batch's time went, over all stages."""

    preprocess: float = 0.0
    compute: float = 0.0
    postprocess: float = 0.0
    transfer: float = 0.0
    memory: dict[int, int] = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int:
        """Return the resident memory of all stages here."""
        return sum(self.memory.values())

    def add(self, step: int, times: PartTimes) -> None:
        """Count a stage's share."""
        done = times.done
        inside = done.preprocess_seconds + done.compute_seconds + done.postprocess_seconds
        self.preprocess += done.preprocess_seconds
        self.compute += done.compute_seconds
        self.postprocess += done.postprocess_seconds
        self.transfer += max(0.0, times.seconds - inside)
        self.memory[step] = done.memory_bytes


def new_link(name: str) -> list[Arena]:
    """Return the arenas between two stages, one for each slot."""
    return [Arena.create(f"{name}-{slot}") for slot in range(SLOTS)]
