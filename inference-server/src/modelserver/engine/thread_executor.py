"""An executor that is a thread of this process: for models fused into somebody's service. Nothing protects from the model."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from modelserver.compute.batching import run_batch
from modelserver.compute.executor import Batch, BatchResult, ExecutorLostError, Loaded, LoadedVariant
from modelserver.compute.warmup import warm_up
from modelserver.opening import Opened, set_up
from modelserver.worker.device import device_memory_bytes, find_device
from modelserver.worker.ladder import Ladder, Steps
from modelserver.worker.memory import ResidentMemory

Result = TypeVar("Result")


class _Calls:
    """Runs one call after the other on a thread of its own, for an event loop."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # A daemon: a computation that does not end must not keep a process alive that has been told to end.
        threading.Thread(target=self._work, name="modelserver-compute", daemon=True).start()

    async def run(self, call: Callable[[], Result]) -> Result:
        """Return what a call returns, raise what it raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:
                _tell(loop, _set_exception, answer, error)
            else:
                _tell(loop, _set_result, answer, result)

        self._waiting.put(work)
        return await answer

    def end(self) -> None:
        """End the thread, once it has done what it was given."""
        self._waiting.put(None)

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()


def _tell(loop: asyncio.AbstractEventLoop, how: Callable[..., None], *arguments: object) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(how, *arguments)


def _set_result(answer: "asyncio.Future[Result]", result: Result) -> None:
    if not answer.done():
        answer.set_result(result)


def _set_exception(answer: "asyncio.Future[Result]", error: BaseException) -> None:
    if answer.done():
        return
    # A model that calls exit() must not end whoever it is fused into; a future does not take StopIteration.
    answer.set_exception(
        error if isinstance(error, Exception) and not isinstance(error, StopIteration) else _wrapped(error)
    )


def _wrapped(error: BaseException) -> RuntimeError:
    return RuntimeError(f"the model raised {error!r}")


def _resident_bytes() -> int:
    with contextlib.closing(ResidentMemory()) as resident:
        return resident.read()


class ThreadExecutor:
    """Computes in a thread of this process. It is never lost: what a model does to its process, it does to this one.

    Args:
        opened: The model, not set up yet.
        variants: To load, most wanted first; the model's first one when empty.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        executables: SHA-256 digests of executable artifacts that are vouched for.
    """

    concurrency = 1

    def __init__(
        self,
        opened: Opened,
        variants: Sequence[str] = (),
        device: str = "auto",
        executables: frozenset[str] = frozenset(),
    ) -> None:
        self._opened = opened
        self._variants = list(variants)
        self._device = device
        self._executables = executables
        self._calls: _Calls | None = None
        self._ladder: Ladder | None = None

    async def start(self) -> Loaded:
        """Set the model up, load and warm up; see `Executor`."""
        await self.stop()
        self._calls = _Calls()
        return await self._calls.run(self._load_all)

    async def run(self, batch: Batch) -> BatchResult:
        """Compute a batch; see `Executor`."""
        calls, ladder = self._started()
        network = ladder.networks[batch.variant]
        return await calls.run(lambda: run_batch(self._opened.model, network, batch))

    async def lost(self) -> ExecutorLostError:
        """Wait for ever; see `Executor`."""
        never: asyncio.Future[ExecutorLostError] = asyncio.get_running_loop().create_future()
        return await never

    async def load(self, variant: str) -> LoadedVariant:
        """Add a variant; see `Executor`."""
        calls, ladder = self._started()
        loaded = await calls.run(lambda: ladder.add(variant))
        self._variants.append(variant)
        return loaded

    async def unload(self, variant: str) -> None:
        """Give up a variant; see `Executor`."""
        calls, ladder = self._started()
        await calls.run(lambda: ladder.drop(variant))
        self._variants = [one for one in self._variants if one != variant]

    async def stop(self) -> None:
        """End, after the batch that runs; nobody waits for that."""
        if self._calls is not None:
            self._calls.end()
        self._calls = None

    def _started(self) -> tuple[_Calls, Ladder]:
        if self._calls is None or self._ladder is None:
            raise ExecutorLostError("crash", "the executor is not started")
        return self._calls, self._ladder

    def _load_all(self) -> Loaded:
        device = find_device(self._device)
        contract = set_up(self._opened, device, self._executables)
        model = self._opened.model
        steps = Steps(model.prepare, model.load, partial(warm_up, model), _resident_bytes)
        self._ladder = Ladder(model, self._opened.directory, None, steps)
        self._variants = self._variants or list(model.variants()[:1])
        loaded, left_out = self._ladder.load_all(self._variants)
        return Loaded(contract, tuple(loaded), left_out, device, device_memory_bytes(device))
