"""A stage of a split model in a worker process of its own, which is started again when it is lost."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modelserver.compute.executor import ExecutorLostError
from modelserver.engine.worker_process import CRASH, HANG, WorkerProcess
from modelserver.errors import LoadError, RequestError, WorkerHungError, WorkerLostError
from modelserver.worker.messages import ComputedPart, ComputePart

AGAIN_AFTER_SECONDS = 10.0
"""A stage that is lost again sooner is not started again by itself: the engine starts the whole, with its backoff."""

log = logging.getLogger("modelserver")


class BatchHeldError(Exception):
    """The stage was lost, and with it the batches that it held.

    Attributes:
        answer: To the batch's requests.
    """

    def __init__(self, answer: RequestError) -> None:
        super().__init__(str(answer))
        self.answer = answer


@dataclass(frozen=True)
class PartTimes:
    """When a stage had a batch to itself.

    Attributes:
        done: What it answered.
        seconds: From when it was free for the batch until the answer was here.
    """

    done: ComputedPart
    seconds: float


def held_answer(error: ExecutorLostError) -> RequestError:
    """Return what the requests of a lost batch are answered."""
    return WorkerHungError(str(error)) if error.reason == HANG else WorkerLostError(str(error))


class StageWorker:
    """Keeps a stage's worker running.

    Args:
        start: Starts a worker and loads the stage.
        on_lost: Told the reason, `crash`, `hang` or `memory`, of each loss after which the stage is started again here.
    """

    def __init__(self, start: Callable[[], Awaitable[WorkerProcess]], on_lost: Callable[[str], None]) -> None:
        self._start = start
        self._on_lost = on_lost
        self._worker: asyncio.Future[WorkerProcess | ExecutorLostError] = asyncio.get_running_loop().create_future()
        self._given_up: asyncio.Future[ExecutorLostError] = asyncio.get_running_loop().create_future()
        self._watching: asyncio.Task[None] | None = None
        self._last_answer = 0.0

    def watch(self, worker: WorkerProcess) -> None:
        """Take a loaded worker, and see to it that there is always one."""
        self._worker.set_result(worker)
        self._watching = asyncio.create_task(self._watch(worker))

    async def begin(self) -> None:
        """Start a worker for the first time.

        Raises:
            LoadError: When the stage does not load.
            ExecutorLostError: When the worker does not survive it.
        """
        self.watch(await self._start())

    @property
    def process_id(self) -> int | None:
        """Return the worker's process id; None while there is none."""
        worker = self._worker.result() if self._worker.done() else None
        return worker.process_id if isinstance(worker, WorkerProcess) else None

    async def current(self) -> WorkerProcess:
        """Return the worker; wait while it is started again.

        Raises:
            ExecutorLostError: When it is not started again.
        """
        while True:
            worker = await asyncio.shield(self._worker)
            if isinstance(worker, ExecutorLostError):
                raise ExecutorLostError(worker.reason, str(worker))
            if not worker.is_lost:
                return worker
            await asyncio.sleep(0)  # the watch knows it at the loop's next turn

    async def compute(self, asked: ComputePart) -> PartTimes:
        """Compute a batch; several may be asked for at once, they are computed in turn.

        Raises:
            BatchHeldError: When the worker was lost with the batch.
            ExecutorLostError: When there is no worker and will be none.
        """
        worker = await self.current()
        start = time.perf_counter()
        try:
            done = await worker.ask(asked)
        except ExecutorLostError as error:
            raise BatchHeldError(held_answer(error)) from error
        if not isinstance(done, ComputedPart):
            raise AssertionError(f"answer {done.op}: expected {ComputedPart.op}")
        worker.check_memory(done.memory_bytes)
        start, self._last_answer = max(start, self._last_answer), time.perf_counter()
        return PartTimes(done, self._last_answer - start)

    async def given_up(self) -> ExecutorLostError:
        """Wait until it is not started again any more; return why."""
        return await asyncio.shield(self._given_up)

    async def stop(self) -> None:
        """End the worker."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        worker = self._worker.result() if self._worker.done() else None
        if isinstance(worker, WorkerProcess):
            await worker.end()
        if not self._given_up.done():
            self._worker = asyncio.get_running_loop().create_future() if self._worker.done() else self._worker
            self._give_up(ExecutorLostError(CRASH, "the stage was told to end"))

    async def _watch(self, worker: WorkerProcess) -> None:
        while True:
            since = time.monotonic()
            error = await worker.lost()
            await worker.end()
            self._worker = asyncio.get_running_loop().create_future()
            if time.monotonic() - since < AGAIN_AFTER_SECONDS:
                self._give_up(error)
                return
            log.warning("a stage is started again: %s", error)
            self._on_lost(error.reason)
            try:
                worker = await self._start()
            except (LoadError, ExecutorLostError) as failure:
                self._give_up(ExecutorLostError(error.reason, f"{error}; started again: {failure}"))
                return
            self._worker.set_result(worker)

    def _give_up(self, error: ExecutorLostError) -> None:
        self._worker.set_result(error)
        self._given_up.set_result(error)
