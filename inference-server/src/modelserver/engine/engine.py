"""The engine: requests in, answers out. It runs on one event loop and computes nothing itself."""

import asyncio
import logging
import time
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Self

from numpy.typing import ArrayLike

from modelserver.compute.executor import Executor, Loaded
from modelserver.engine.answers import CANCELLED, Answered, Observer, Phases, SilentObserver
from modelserver.engine.asking import make_request
from modelserver.engine.batches import LOADING, Batches, fail, no_longer_served
from modelserver.engine.cache import ResultCache, request_digest
from modelserver.engine.ladder import Ladder
from modelserver.engine.queue import Job
from modelserver.engine.scheduler import Scheduler, SchedulerSettings
from modelserver.engine.workers import RestartSettings
from modelserver.errors import (
    LoadError,
    RequestError,
    UnavailableError,
)
from modelserver.model import Model
from modelserver.tensors import Contract, InferRequest, RequestOptions

_DRAIN_POLL_SECONDS = 0.005
_CLOSE_SECONDS = 30.0
"""For which a program that closes its engine waits for answers."""
_DEFAULT_OPTIONS = RequestOptions()
_STOPPING = "the server is shutting down; send the request elsewhere"

log = logging.getLogger("modelserver")


@dataclass(frozen=True)
class EngineSettings:
    """How an engine works.

    Attributes:
        ladder: At the start; None for all variants that are loaded, in the order of loading, without a floor.
        scheduling: How requests wait.
        restarts: How workers that are gone are started again.
        cache_bytes: Of answers that are kept; 0 for no cache.
        cache_ttl_seconds: For which an answer is kept.
    """

    ladder: Ladder | None = None
    scheduling: SchedulerSettings = field(default_factory=SchedulerSettings)
    restarts: RestartSettings = field(default_factory=RestartSettings)
    cache_bytes: int = 0
    cache_ttl_seconds: float = 60.0


class Engine:
    """Queues requests, has them computed in batches, answers them.

    Args:
        executors: Compute; at least one, all with the same model and variants.
        settings: How it works.
        observer: Is told what happens.
        clock: Monotonic seconds.

    Attributes:
        cache: Of answers; None when there is none.
    """

    def __init__(
        self,
        executors: Sequence[Executor],
        settings: EngineSettings | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or EngineSettings()
        self._observer = observer or SilentObserver()
        self._clock = clock
        self._scheduler = Scheduler(self._settings.scheduling, self._settings.ladder or Ladder(()))
        cached = self._settings.cache_bytes
        self.cache = ResultCache(cached, self._settings.cache_ttl_seconds, clock) if cached else None
        self._batches = Batches(executors, self._settings.restarts, self._scheduler, self.cache, self._observer, clock)
        self._crew = self._batches.crew
        self._changing = asyncio.Lock()
        self._refusal: str | None = LOADING

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        model: str | Model,
        variants: Sequence[str] = (),
        *,
        isolation: Literal["process", "thread"] = "process",
        workers: int = 1,
        device: str = "auto",
        settings: EngineSettings | None = None,
    ) -> "AsyncIterator[Self]":
        """Serve a model inside this program.

        Example:
            async with modelserver.Engine.open("builtin://search-ranker", ("full", "int8")) as engine:
                answer = await engine.ask({"query": ["red shoes"]}, timeout_seconds=0.1)
                print(answer.variant, answer["items"])

        Args:
            model: URI, as `modelserver serve --model` takes; or a model object, with isolation `thread`.
            variants: To hold, most accurate first; the model's first one when empty.
            isolation: `process`: workers that may crash and hang; `thread`: threads of this process, which share the
                interpreter with whatever else it does.
            workers: That compute.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            settings: How the engine works.

        Raises:
            LoadError: When the model does not load.
        """
        from modelserver.engine.in_process import make_executors  # noqa: PLC0415 - the server makes executors of its own

        engine = cls(make_executors(model, variants, isolation, workers, device), settings)
        await engine.start()
        try:
            yield engine
            await engine.drain(_CLOSE_SECONDS)
        finally:
            await engine.stop()

    @property
    def contract(self) -> Contract:
        """Return what requests look like.

        Raises:
            UnavailableError: Before the engine has started.
        """
        return self._batches.contract

    @property
    def failure(self) -> Exception | None:
        """Return why nothing can be computed, for good as it seems; None while all is well."""
        return self._batches.failure

    @property
    def workers_ready(self) -> int:
        """Return how many workers can take batches."""
        return sum(worker.is_ready for worker in self._crew.workers)

    @property
    def is_ready(self) -> bool:
        """Say whether requests are taken and there is somebody to compute them."""
        return self._refusal is None and self.failure is None and self.workers_ready > 0

    @property
    def oldest_batch_seconds(self) -> float:
        """Return for how long the oldest batch has been running; 0 when none is."""
        started = [since for worker in self._crew.workers for since in worker.running.values()]
        return self._clock() - min(started) if started else 0.0

    @property
    def worker_memory_bytes(self) -> list[int]:
        """Return each worker's resident memory after its last batch; 0 when it is not a process of its own."""
        return [worker.memory_bytes for worker in self._crew.workers]

    @property
    def queued_rows(self) -> int:
        """Return how many rows wait."""
        return self._scheduler.queue.rows

    @property
    def queued_requests(self) -> int:
        """Return how many requests wait."""
        return len(self._scheduler.queue)

    @property
    def variants(self) -> list[str]:
        """Return the variants that can answer, most accurate first."""
        return self._scheduler.variants()

    @property
    def ladder(self) -> Ladder:
        """Return the settings of the reflex."""
        return self._scheduler.ladder

    @property
    def budget_share(self) -> float:
        """Return how full the budget is, 0 to 1; 1 without a floor."""
        return self._scheduler.budget.share

    @property
    def pressure(self) -> float:
        """Return the share of rows, lately, that were degraded, should have been, were refused or were shed; 0 to 1."""
        return self._scheduler.accounts.pressure(self._clock())

    @property
    def mean_accuracy(self) -> float | None:
        """Return the mean accuracy over the last hour; None when it is not known."""
        return self._scheduler.accounts.mean_accuracy(self._clock())

    @property
    def served_rows(self) -> dict[str, int]:
        """Return rows answered so far, by variant."""
        return dict(self._scheduler.accounts.rows)

    @property
    def degraded_rows(self) -> int:
        """Return rows so far that got a lesser variant than the ladder's first without having asked for it."""
        return self._scheduler.accounts.degraded_rows

    async def start(self) -> Loaded:
        """Start the first worker and wait until it is ready; the others start then, and join it when they are ready.

        Returns:
            What it has loaded.

        Raises:
            LoadError: When it does not become ready, or the ladder cannot be served.
        """
        try:
            loaded = await self._crew.start_first()
            self._batches.loaded = loaded
            self._use_first_ladder(loaded)
        except BaseException as error:
            self._batches.failure = error if isinstance(error, Exception) else None
            await self.stop()
            raise
        self._crew.begin(loaded)
        self._refusal = None
        return loaded

    async def drain(self, timeout_seconds: float) -> bool:
        """Take nothing more, and answer what was taken.

        Args:
            timeout_seconds: Longest wait.

        Returns:
            Whether everything was answered.
        """
        self._refusal = _STOPPING
        until = self._clock() + timeout_seconds
        while self.queued_requests or any(worker.running for worker in self._crew.workers):
            if self._clock() >= until:
                return False
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        await asyncio.sleep(0)  # the last batch is delivered in the next turn of the event loop
        return True

    async def stop(self) -> None:
        """End; what was not answered is refused."""
        self._refusal = _STOPPING
        await self._crew.stop()
        self._batches.abandon(_STOPPING)

    async def infer(
        self, request: InferRequest, options: RequestOptions = _DEFAULT_OPTIONS, gone: Callable[[], bool] | None = None
    ) -> Answered:
        """Answer a request; see `submit`."""
        return await self.submit(request, options, gone)

    async def ask(
        self,
        inputs: Mapping[str, ArrayLike],
        *,
        outputs: Sequence[str] = (),
        variant: str | None = None,
        timeout_seconds: float | None = None,
        priority: int = 0,
    ) -> Answered:
        """Answer a request made of a program's own values.

        Args:
            inputs: Name -> values: an array, or nested lists; the first dimension counts rows.
            outputs: Names of the outputs to return; those that are not optional when empty.
            variant: The only one that may answer; None for whichever the reflex takes.
            timeout_seconds: Until the answer is worthless; None for never.
            priority: 0 is served first.

        Raises:
            RequestError: When there is no answer.
        """
        request = make_request(self.contract, inputs, outputs)
        return await self.submit(
            request, RequestOptions(priority=priority, timeout_seconds=timeout_seconds, variant=variant)
        )

    def submit(
        self, request: InferRequest, options: RequestOptions = _DEFAULT_OPTIONS, gone: Callable[[], bool] | None = None
    ) -> "Future[Answered]":
        """Queue a request; the future gets its answer, or a RequestError. Cancelling it gives the request up.

        Args:
            request: Agrees with the contract.
            options: What the client says about it.
            gone: Says whether nobody reads the answer any more; None when that cannot be known.

        Raises:
            RequestError: When the request is not taken.
        """
        self._check_taking()
        reply: Future[Answered] = asyncio.get_running_loop().create_future()
        digest = None
        if self.cache is not None:
            digest = request_digest(request)
            found = self._find(self.cache, digest, options.variant)
            if found is not None:
                reply.set_result(found)
                return reply
        now = self._clock()
        due, deadline = self._scheduler.due(now, options.timeout_seconds)
        job = Job(request, request.rows, now, due, deadline, options.priority, options.variant, gone, reply, digest)
        self._batches.queue(job, now)
        return reply

    async def warm_cache(self, requests: Iterable[InferRequest]) -> int:
        """Have the most accurate variant answer requests that will come, and keep the answers.

        Args:
            requests: Agree with the contract.

        Returns:
            How many answers are kept; requests that cannot be answered are passed over.
        """
        if self.cache is None:
            return 0
        options = RequestOptions(variant=self.variants[0])
        for request in requests:
            try:
                await self.infer(request, options)
            except RequestError as error:
                log.warning("a request to warm the cache with is passed over: %s", error)
        return len(self.cache)

    async def set_ladder(self, ladder: Ladder) -> None:
        """Change the ladder: load what it adds, then switch, then unload what it leaves out.

        Args:
            ladder: From now on.

        Raises:
            LoadError: When a variant does not load; the ladder stays as it was.
            InvalidRequestError: When its floor cannot be kept; ditto.
            UnavailableError: When a worker is gone; ditto.
        """
        async with self._changing:
            has = set(self._scheduler.variants())
            added = [variant for variant in ladder.variants if variant not in has]
            try:
                for variant in added:
                    self._scheduler.learn([await self._crew.add_variant(variant)])
                self._scheduler.use(ladder, self._clock())
            except BaseException:
                await self._drop_variants(added)
                raise
            await self._drop_variants(sorted(has.difference(ladder.variants)))
            log.info("ladder %s: %s", ladder.hash[:12], ladder.document())

    def _use_first_ladder(self, loaded: Loaded) -> None:
        self._scheduler.workers = self._crew.workers[0].slots
        self._scheduler.learn(loaded.variants)
        every = Ladder(tuple(one.variant for one in loaded.variants))
        try:
            self._scheduler.use(self._settings.ladder or every, self._clock())
        except RequestError as error:
            raise LoadError(f"ladder: {error}") from error

    async def _drop_variants(self, variants: Sequence[str]) -> None:
        """Unload variants; whoever waits for one of them is told that it is not served."""
        for variant in variants:
            self._scheduler.forget(variant)
        for each in self._scheduler.queue.take_out(lambda job: CANCELLED if job.variant in variants else None):
            fail(each.job, no_longer_served(each.job))
        for variant in variants:
            await self._crew.drop_variant(variant)

    def _check_taking(self) -> None:
        if self._refusal is not None:
            raise UnavailableError(self._refusal)
        if self.failure is not None:
            raise UnavailableError(f"the model cannot be computed: {self.failure}")

    def _find(self, cache: ResultCache, digest: bytes, insisted: str | None) -> Answered | None:
        """Look an answer up: the most accurate variant's first, then that of the one in force."""
        variants = [insisted] if insisted is not None else self._cached_variants()
        found = cache.find([self._batches.answer_digest(variant) + digest for variant in variants])
        self._observer.on_cache(found is not None)
        if found is None:
            return None
        index, outputs = found
        return Answered(outputs, variants[index], index > 0, True, Phases())

    def _cached_variants(self) -> list[str]:
        return list(dict.fromkeys((self._scheduler.variants()[0], self._scheduler.variant_in_force())))
