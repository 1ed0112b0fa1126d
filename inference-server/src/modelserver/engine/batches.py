"""Between the queue and the workers: what a worker takes next, what it gives back, and what becomes of a batch that it lost."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from modelserver.compute.executor import BatchResult, Executor, ExecutorLostError, Loaded
from modelserver.engine.answers import Answered, BatchDone, Observer, Phases
from modelserver.engine.cache import ResultCache, answer_digest
from modelserver.engine.crew import Crew
from modelserver.engine.queue import Dropped, Job
from modelserver.engine.scheduler import Scheduler, Taken
from modelserver.engine.workers import RestartSettings, Worker
from modelserver.errors import (
    InferenceFailedError,
    NotFoundError,
    RequestError,
    UnavailableError,
    WorkerHungError,
    WorkerLostError,
)
from modelserver.tensors import Contract, Tensor

_SWEEP_SECONDS = 0.05
"""While requests wait, the dead among them are looked for so often."""
LOADING = "the model is loading; try again later"

log = logging.getLogger("modelserver")


class Batches:
    """The crew's `Work`: has jobs computed in batches, and answers them.

    Args:
        executors: Compute; at least one, all with the same model and variants.
        restarts: How workers that are gone are started again.
        scheduler: Of the jobs that wait.
        cache: Of answers; None when there is none.
        observer: Is told what happens.
        clock: Monotonic seconds.

    Attributes:
        crew: Who compute.
        loaded: What the first worker has loaded; None before.
        failure: Why nothing can be computed, for good as it seems; None while all is well.
    """

    def __init__(
        self,
        executors: Sequence[Executor],
        restarts: RestartSettings,
        scheduler: Scheduler,
        cache: ResultCache | None,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._scheduler = scheduler
        self._cache = cache
        self.crew = Crew(executors, self, restarts, clock)
        self.loaded: Loaded | None = None
        self.failure: Exception | None = None
        self._answer_digests: dict[str, bytes] = {}
        self._is_sweeping = False

    @property
    def contract(self) -> Contract:
        """Return what requests look like.

        Raises:
            UnavailableError: Before the first worker has loaded the model.
        """
        if self.loaded is None:
            raise UnavailableError(LOADING)
        return self.loaded.contract

    def queue(self, job: Job, now: float) -> None:
        """Queue a job.

        Raises:
            RequestError: When it is not taken.
        """
        self._tell(self._scheduler.offer(job, now), now)
        self._see_to_it()

    def answer_digest(self, variant: str) -> bytes:
        """Return a variant's half of the cache's key.

        Raises:
            UnavailableError: Before the engine has started.
        """
        digest = self._answer_digests.get(variant)
        if digest is None:
            digest = self._answer_digests[variant] = answer_digest(self.contract, variant)
        return digest

    def take(self) -> Taken | None:
        """Return the next batch; see `Work`."""
        queue = self._scheduler.queue
        if not queue:
            return None
        now = self._clock()
        until = self._scheduler.wait_until(now)
        if until > now:
            asyncio.get_running_loop().call_later(until - now, self.crew.wake_one)
            return None
        taken, dropped = self._scheduler.take(now)
        if dropped:
            self._tell(dropped, now)
        if queue and self.crew.has_idle:
            self.crew.wake_one()
        return taken

    def note(self, worker: Worker, taken: Taken, result: BatchResult, seconds: float) -> None:  # noqa: ARG002
        """Learn from a result; see `Work`."""
        computed = result.preprocess_seconds + result.compute_seconds + result.postprocess_seconds
        self._scheduler.done(taken, seconds, min(computed, seconds), self._clock())

    def deliver(self, worker: Worker, taken: Taken, result: BatchResult, seconds: float) -> None:
        """Answer a batch's requests; see `Work`."""
        waits = [taken.started - job.arrived for job in taken.jobs]
        for job, outcome, wait in zip(taken.jobs, result.outcomes, waits, strict=True):
            reply = job.reply
            if reply is None or reply.done():
                continue
            if isinstance(outcome, RequestError):
                reply.set_exception(outcome)
                continue
            try:
                self._keep(taken.variant, job, outcome)
            except Exception as error:  # whatever a model's code made of an answer: the others must get theirs
                log.error("the model's answer is not tensors", exc_info=error)
                fail(job, InferenceFailedError("the model failed on this input; see the server's log"))
                continue
            degraded = taken.degraded and job.variant is None
            reply.set_result(Answered(outcome, taken.variant, degraded, False, _phases(result, wait)))
        degraded_rows = taken.free_rows if taken.degraded else 0
        phases = _phases(result, 0.0)
        self._observer.on_batch(
            BatchDone(
                worker.number, taken.variant, taken.rows, degraded_rows, waits, seconds, phases, result.memory_bytes
            )
        )

    def _keep(self, variant: str, job: Job, outputs: Sequence[Tensor]) -> None:
        if job.digest is not None and self._cache is not None:
            self._cache.keep(self.answer_digest(variant) + job.digest, outputs)

    def give_up(self, taken: Taken, error: Exception) -> None:
        """Answer a batch that has no result; see `Work`."""
        self._scheduler.lost(taken)
        if not isinstance(error, ExecutorLostError):
            log.error("an executor failed on a batch", exc_info=error)
        for job in taken.jobs:
            fail(job, _lost_error(error))

    def put_back(self, taken: Taken) -> None:
        """Queue a batch's requests again; see `Work`."""
        self._scheduler.lost(taken)
        for job in taken.jobs:
            if self._scheduler.serves(job.variant):
                self._scheduler.queue.put(job)
            else:
                fail(job, no_longer_served(job))
        self._see_to_it()

    def wanted_variants(self) -> Sequence[str]:
        """Return what a worker must have loaded; see `Work`."""
        return self._scheduler.variants()

    def on_ready(self, worker: Worker, loaded: Loaded) -> None:
        """Note that a worker can take batches; see `Work`."""
        self.failure = None
        self._scheduler.workers = max(1, self.crew.ready_slots)
        self._observer.on_loaded(worker.number, loaded)

    def on_lost(self, worker: Worker, reason: str) -> None:
        """Note that a worker is gone; see `Work`."""
        self._scheduler.workers = max(1, self.crew.ready_slots)
        self._observer.on_lost(worker.number, reason)

    def on_hopeless(self, error: Exception) -> None:
        """Refuse everything until a worker comes back; see `Work`."""
        self.failure = error
        self.abandon(f"the model cannot be computed: {error}")

    def _see_to_it(self) -> None:
        """Have somebody take what waits, and the dead among it looked for."""
        if self.crew.has_idle:
            self.crew.wake_one()
        if not self._is_sweeping:
            self._is_sweeping = True
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Answer what has died in the queue, while there is something in it."""
        now = self._clock()
        self._tell(self._scheduler.sweep(now), now)
        self._is_sweeping = bool(self._scheduler.queue)
        if self._is_sweeping:
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _tell(self, dropped: Sequence[Dropped], now: float) -> None:
        for each in dropped:
            fail(each.job, each.error(now))
            self._observer.on_dropped(each.reason, each.job.rows)

    def abandon(self, why: str) -> None:
        """Refuse what waits."""
        for job in self._scheduler.queue.clear():
            fail(job, UnavailableError(why))


def _phases(result: BatchResult, queue_seconds: float) -> Phases:
    return Phases(
        queue_seconds,
        result.preprocess_seconds,
        result.compute_seconds,
        result.postprocess_seconds,
        result.transfer_seconds,
    )


def _lost_error(error: Exception) -> RequestError:
    if not isinstance(error, ExecutorLostError):
        return InferenceFailedError("the server failed on this request; see its log")
    kind = WorkerHungError if error.reason == "hang" else WorkerLostError
    return kind(f"the request was lost with its worker ({error.reason}): {error}; try again")


def no_longer_served(job: Job) -> NotFoundError:
    """Return what a job is told that insists on a variant which the ladder has no more."""
    return NotFoundError(f"variant {job.variant!r}: is no longer served")


def fail(job: Job, error: RequestError) -> None:
    """Answer a job with an error, unless it has an answer."""
    if job.reply is not None and not job.reply.done():
        job.reply.set_exception(error)
