"""An executor that is a worker process."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterable, Sequence
from typing import TypeVar

from modelserver.compute.executor import Batch, BatchResult, ExecutorLostError, Loaded, LoadedVariant
from modelserver.engine.spawning import Begun, Orders, begin
from modelserver.engine.worker_process import CRASH, Limits, WorkerProcess
from modelserver.errors import LoadError, RequestError
from modelserver.worker.messages import (
    Compute,
    Computed,
    Failed,
    Load,
    Message,
    Opened,
    Ready,
    Unload,
)
from modelserver.worker.orders import Open, Start
from modelserver.worker.part import Arenas
from modelserver.worker.transfer import read_outcomes, write_requests

LOAD_WITHIN_SECONDS = 600.0
"""A model that is not ready by then is given up."""

Answer = TypeVar("Answer", bound=Message)
log = logging.getLogger("modelserver")


async def ask_to_load(
    worker: WorkerProcess, message: Message, expected: type[Answer], within_seconds: float = LOAD_WITHIN_SECONDS
) -> Answer:
    """Ask for what takes as long as loading does.

    Args:
        worker: Whom.
        message: What.
        expected: The answer when it works.
        within_seconds: Longest time.

    Raises:
        LoadError: When it does not work.
        ExecutorLostError: When the worker does not survive it.
    """
    return expect_answer(worker, await worker.ask(message, within_seconds), expected)


def expect_answer(worker: WorkerProcess, answer: Message, expected: type[Answer]) -> Answer:
    """Return an answer to what loads.

    Raises:
        LoadError: When it says that it does not work.
    """
    if isinstance(answer, Failed):
        raise LoadError(answer.message)
    if not isinstance(answer, expected):
        raise LoadError(f"worker {worker.process_id} answered {answer.op}, expected {expected.op}")
    return answer


def not_started() -> ExecutorLostError:
    """Return what to say of an executor that was stopped, or never started."""
    return ExecutorLostError(CRASH, "the worker is not started")


class ProcessExecutor:
    """Computes in a worker process, which may crash, hang and eat memory as it likes.

    Args:
        uri: Where the model is; see `open_model`.
        variants: To load, most wanted first; the model's first one when empty.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        wedged_after_seconds: A batch that takes longer ends the worker.
        memory_limit_bytes: Resident memory beyond which the worker is ended, and variants are left out; None for no limit.
        executables: SHA-256 digests of executable artifacts that are vouched for.
        stage: Serve this stage of a split model as a model of its own; None for the model.
        threads: Of the worker's libraries.
        load_within_seconds: A model that is not ready by then is given up.
        begun: A worker that has been told to do just this, for the first start; None to begin one then.
        lenient: Leave out a variant after the first that does not load, whatever the reason.
    """

    concurrency = 1

    def __init__(
        self,
        uri: str,
        variants: Sequence[str],
        *,
        device: str = "auto",
        wedged_after_seconds: float = 30.0,
        memory_limit_bytes: int | None = None,
        executables: Iterable[str] = (),
        stage: str | None = None,
        threads: int = 1,
        load_within_seconds: float = LOAD_WITHIN_SECONDS,
        begun: Begun | None = None,
        lenient: bool = False,
    ) -> None:
        self._open = Open(uri, device, sorted(executables), stage)
        self._variants = list(variants)
        self._limits = Limits(wedged_after_seconds, memory_limit_bytes)
        self._threads = threads
        self._load_within_seconds = load_within_seconds
        self._begun = begun
        self._lenient = lenient
        self._worker: WorkerProcess | None = None
        self._arenas: Arenas | None = None

    @property
    def process_id(self) -> int | None:
        """Return the worker's process id; None before it is started."""
        return None if self._worker is None else self._worker.process_id

    async def start(self) -> Loaded:
        """Start a worker, end the one before; see `Executor`."""
        await self.stop()
        begun = self._take_begun()
        self._arenas = Arenas.over(begun.shared)
        self._worker = worker = WorkerProcess(begun.spawned.process, self._limits)
        try:
            return await self._loaded(worker, begun.spawned.connection)
        except ExecutorLostError as error:
            await self.stop()
            raise LoadError(f"model {self._open.uri!r} does not load: {error}") from error
        except BaseException:
            await self.stop()
            raise

    def _take_begun(self) -> Begun:
        """Return a worker that does what is to be done: the one there is, once, else a new one."""
        start = Start(list(self._variants), self._limits.memory_limit_bytes, lenient=self._lenient)
        orders = Orders(self._open, start, self._threads)
        begun, self._begun = self._begun, None
        if begun is None:
            return begin(orders)
        if begun.orders != orders:
            raise AssertionError(f"orders {begun.orders}: expected {orders}")
        return begun

    async def _loaded(self, worker: WorkerProcess, connection: socket.socket) -> Loaded:
        within = self._load_within_seconds
        opening, starting = worker.expect(within), worker.expect(within)
        await worker.connect(connection)
        answers = await asyncio.gather(opening, starting)
        opened, ready = expect_answer(worker, answers[0], Opened), expect_answer(worker, answers[1], Ready)
        return Loaded(
            opened.contract, tuple(ready.variants), dict(ready.left_out), opened.device, ready.device_memory_bytes
        )

    async def run(self, batch: Batch) -> BatchResult:
        """Compute a batch; see `Executor`."""
        worker, arenas = self._running()
        await worker.idle()  # whoever ran a batch before may have been cancelled: the worker still reads it
        start = time.perf_counter()
        requests, answers = arenas.reads[0], arenas.writes[0]
        requests.reset()
        answer = await worker.ask(Compute(batch.variant, write_requests(requests, batch.requests)))
        if not isinstance(answer, Computed):
            raise AssertionError(f"answer {answer.op}: expected {Computed.op}")
        if answer.inputs_held:
            requests.keep()
        try:
            outcomes = read_outcomes(answers, answer.outcomes)
        except (ValueError, TypeError, KeyError, RequestError) as error:
            raise worker.distrust(error) from error
        worker.check_memory(answer.memory_bytes)
        inside = answer.preprocess_seconds + answer.compute_seconds + answer.postprocess_seconds
        return BatchResult(
            outcomes=outcomes,
            preprocess_seconds=answer.preprocess_seconds,
            compute_seconds=answer.compute_seconds,
            postprocess_seconds=answer.postprocess_seconds,
            transfer_seconds=max(0.0, time.perf_counter() - start - inside),
            memory_bytes=answer.memory_bytes,
        )

    async def lost(self) -> ExecutorLostError:
        """Wait until the worker is gone; see `Executor`."""
        return not_started() if self._worker is None else await self._worker.lost()

    async def load(self, variant: str) -> LoadedVariant:
        """Add a variant; see `Executor`."""
        worker, _ = self._running()
        ready = await ask_to_load(worker, Load(variant), Ready, self._load_within_seconds)
        if variant not in self._variants:
            self._variants.append(variant)
        return ready.variants[0]

    async def unload(self, variant: str) -> None:
        """Give up a variant; see `Executor`."""
        self._variants = [kept for kept in self._variants if kept != variant]
        worker, _ = self._running()
        await ask_to_load(worker, Unload(variant), Ready, self._load_within_seconds)

    async def stop(self) -> None:
        """End the worker; see `Executor`."""
        worker, arenas = self._worker, self._arenas
        self._worker = self._arenas = None
        if worker is not None:
            await worker.end()
        if arenas is not None:
            for arena in (*arenas.reads, *arenas.writes):
                arena.close()

    def _running(self) -> tuple[WorkerProcess, Arenas]:
        if self._worker is None or self._arenas is None:
            raise not_started()
        return self._worker, self._arenas
