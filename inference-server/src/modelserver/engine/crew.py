"""Keeps workers alive and busy: start, take, run, deliver; start again when one is gone."""

import asyncio
import contextlib
import logging
from asyncio import Future
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from modelserver.compute.executor import (
    Batch,
    BatchResult,
    Executor,
    ExecutorLostError,
    Loaded,
    LoadedVariant,
    NotHandedOverError,
)
from modelserver.engine.scheduler import Taken
from modelserver.engine.workers import RestartSettings, Worker, lost_reason
from modelserver.errors import LoadError, UnavailableError

log = logging.getLogger("modelserver")


class Work(Protocol):
    """Where batches come from and where their results go."""

    def take(self) -> Taken | None:
        """Return the next batch for a worker that is free; None when there is none."""
        ...

    def note(self, worker: Worker, taken: Taken, result: BatchResult, seconds: float) -> None:
        """Learn from a result, before the next batch is taken."""
        ...

    def deliver(self, worker: Worker, taken: Taken, result: BatchResult, seconds: float) -> None:
        """Answer a batch's requests, after the next batch is on its way."""
        ...

    def give_up(self, taken: Taken, error: Exception) -> None:
        """Answer a batch that has no result: `ExecutorLostError` when its worker is gone."""
        ...

    def put_back(self, taken: Taken) -> None:
        """Queue a batch's requests again: its worker was gone before it got them."""
        ...

    def wanted_variants(self) -> Sequence[str]:
        """Return what a worker must have loaded."""
        ...

    def on_ready(self, worker: Worker, loaded: Loaded) -> None:
        """Note that a worker can take batches."""
        ...

    def on_lost(self, worker: Worker, reason: str) -> None:
        """Note that a worker is gone."""
        ...

    def on_hopeless(self, error: Exception) -> None:
        """Note that there is nobody to compute, nor will be, as it seems."""
        ...


class Crew:
    """The workers, one task for each batch that they take at once.

    Args:
        executors: Compute; at least one, all with the same model and variants.
        work: To do.
        settings: How workers that are gone are started again.
        clock: Monotonic seconds.
    """

    def __init__(
        self, executors: Sequence[Executor], work: Work, settings: RestartSettings, clock: Callable[[], float]
    ) -> None:
        self.workers = [Worker(number, executor) for number, executor in enumerate(executors)]
        self._work = work
        self._settings = settings
        self._clock = clock
        self._sleepers: deque[Future[None]] = deque()
        self._lives: list[asyncio.Task[None]] = []

    @property
    def ready_slots(self) -> int:
        """Return how many batches can run at once now."""
        return sum(worker.slots for worker in self.workers if worker.is_ready)

    @property
    def has_idle(self) -> bool:
        """Say whether somebody waits for work."""
        return bool(self._sleepers)

    async def start_first(self) -> Loaded:
        """Start the first executor and wait until it is ready.

        Raises:
            LoadError: When it does not become ready.
        """
        try:
            return await self.workers[0].executor.start()
        except ExecutorLostError as error:
            raise LoadError(f"a worker was lost while it was loading: {error}") from error

    def begin(self, loaded: Loaded) -> None:
        """Have the first worker compute from now on, and the others as they become ready.

        They start only now: beside the first one they would delay it, and with it the whole server.

        Args:
            loaded: From `start_first`.
        """
        first, *others = self.workers
        self._ready(first, loaded)
        self._lives = [
            asyncio.create_task(self._live(first)),
            *(asyncio.create_task(self._join(one)) for one in others),
        ]

    async def stop(self) -> None:
        """End all workers; what runs is given up."""
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        self._lives = []
        await asyncio.gather(*(worker.executor.stop() for worker in self.workers), return_exceptions=True)

    def wake_one(self) -> None:
        """Wake one who waits for work; it takes its batch in the next turn, with all that arrived in this one."""
        while self._sleepers:
            sleeper = self._sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    async def add_variant(self, variant: str) -> LoadedVariant:
        """Load a variant into one worker after the other, so that the others go on.

        Raises:
            LoadError: When it does not load.
            UnavailableError: When a worker is gone.
        """
        for worker in self.workers:
            if not worker.is_ready:
                raise UnavailableError(f"worker {worker.number} is starting; try again later")
        loaded: list[LoadedVariant] = []
        for worker in self.workers:
            worker.resumed.clear()
            try:
                loaded.append(await worker.executor.load(variant))
            except ExecutorLostError as error:
                raise UnavailableError(f"variant {variant!r}: worker {worker.number} was lost, {error}") from error
            finally:
                worker.resumed.set()
        return loaded[0]

    async def drop_variant(self, variant: str) -> None:
        """Unload a variant everywhere."""
        for worker in self.workers:
            with contextlib.suppress(ExecutorLostError):  # it comes back without the variant
                await worker.executor.unload(variant)

    async def _join(self, worker: Worker) -> None:
        """Start a worker for the first time; one that does not start is tried again as one that is lost."""
        try:
            self._ready(worker, await self._started(worker))
        except (LoadError, ExecutorLostError, OSError) as error:
            self._note_failed_start(worker, error)
            await self._restart(worker, error)
        await self._live(worker)

    async def _live(self, worker: Worker) -> None:
        """Have a worker compute until it is gone, start it again, for ever."""
        while True:
            slots = [asyncio.create_task(self._serve(worker)) for _ in range(worker.slots)]
            for slot in slots:
                slot.add_done_callback(self._on_slot_ended)
            try:
                error = await worker.executor.lost()
            except asyncio.CancelledError:
                for slot in slots:
                    slot.cancel()
                raise
            finally:
                worker.loaded = None
                for slot in worker.idle:
                    slot.cancel()
                await asyncio.gather(*slots, return_exceptions=True)
            self._work.on_lost(worker, lost_reason(error))
            await self._restart(worker, error)

    async def _serve(self, worker: Worker) -> None:
        """Compute one batch after the other, until the worker is gone."""
        while worker.is_ready:
            if not worker.resumed.is_set():
                self.wake_one()  # this one may have been woken for work that another can do
                await self._idle(worker, worker.resumed.wait())
                continue
            taken = self._work.take()
            if taken is None:
                await self._idle(worker, self._sleep())
            elif not await self._run(worker, taken):
                return

    async def _run(self, worker: Worker, taken: Taken) -> bool:
        """Compute a batch; say whether the worker is still there. Its results are delivered once the next one is on its way."""
        started = worker.running[taken] = self._clock()
        try:
            result = await worker.executor.run(Batch(taken.variant, [job.request for job in taken.jobs]))
            seconds = self._clock() - started
            self._work.note(worker, taken, result, seconds)
        except asyncio.CancelledError:
            self._work.give_up(taken, ExecutorLostError("crash", "the server is shutting down"))
            raise
        except NotHandedOverError:
            self._work.put_back(taken)
            return False
        except Exception as error:
            self._work.give_up(taken, error)
            return not isinstance(error, ExecutorLostError)
        finally:
            del worker.running[taken]
        worker.memory_bytes = result.memory_bytes
        asyncio.get_running_loop().call_soon(self._work.deliver, worker, taken, result, seconds)
        return True

    async def _idle(self, worker: Worker, waiting: Coroutine[Any, Any, object]) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("expected to run as a task")
        worker.idle.add(task)
        try:
            await waiting
        finally:
            worker.idle.discard(task)

    async def _sleep(self) -> None:
        sleeper: Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        try:
            await sleeper
        except asyncio.CancelledError:
            if not sleeper.cancelled():  # it had been woken: somebody else must do what there is
                self.wake_one()
            raise

    async def _restart(self, worker: Worker, error: BaseException) -> None:
        if self._clock() - worker.ready_at >= self._settings.healthy_seconds:
            worker.losses = 0
        while True:
            worker.losses += 1
            delay_seconds = self._settings.delay_seconds(worker.losses)
            log.warning("worker %d is gone (%s); starting it again in %.2f s", worker.number, error, delay_seconds)
            await asyncio.sleep(delay_seconds)
            try:
                loaded = await self._started(worker)
            except (LoadError, ExecutorLostError, OSError) as failed:
                error = failed
                self._note_failed_start(worker, failed)
            else:
                self._ready(worker, loaded)
                return

    async def _started(self, worker: Worker) -> Loaded:
        loaded = await worker.executor.start()
        has = {one.variant for one in loaded.variants}
        for variant in self._work.wanted_variants():
            if variant not in has:
                await worker.executor.load(variant)
        return loaded

    def _note_failed_start(self, worker: Worker, error: Exception) -> None:
        worker.failed_starts += 1
        if worker.failed_starts >= self._settings.max_failures and not self.ready_slots:
            self._work.on_hopeless(error)

    def _ready(self, worker: Worker, loaded: Loaded) -> None:
        worker.loaded = loaded
        worker.ready_at = self._clock()
        worker.failed_starts = 0
        self._work.on_ready(worker, loaded)

    def _on_slot_ended(self, slot: "asyncio.Task[None]") -> None:
        error = None if slot.cancelled() else slot.exception()
        if isinstance(error, Exception):
            log.error("the engine failed", exc_info=error)
            self._work.on_hopeless(error)
