"""An executor that is a chain of stages: stage k computes a batch while stage k + 1 computes the one before it.

Tensors between stages lie in shared memory that both map; what passes through here is only where. A batch keeps one slot, a set
of arenas, on its whole way.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from modelserver.compute.executor import Batch, BatchResult, ExecutorLostError, Loaded, LoadedVariant, Outcome
from modelserver.engine.pipeline_chain import SLOTS, Chain, LocalStep, RemoteStep, Tally, new_link
from modelserver.engine.pipeline_plan import Elsewhere, plan_pipeline
from modelserver.engine.pipeline_warmup import warm_up_pipeline
from modelserver.engine.process_executor import LOAD_WITHIN_SECONDS, ask_to_load, not_started
from modelserver.engine.stage_worker import BatchHeldError, StageWorker
from modelserver.engine.worker_process import Limits, WorkerProcess
from modelserver.errors import LoadError, RequestError
from modelserver.tensors import InferRequest, Tensor
from modelserver.worker.messages import (
    ComputedPart,
    ComputePart,
    Load,
    Opened,
    Ready,
    RequestPlaces,
    Unload,
)
from modelserver.worker.orders import Open, Part, Start
from modelserver.worker.part import Arenas
from modelserver.worker.transfer import (
    read_error,
    read_outcomes,
    read_requests,
    write_requests,
)


def _held(batch: Batch, error: BatchHeldError) -> list[Outcome]:
    return [error.answer for _ in batch.requests]


def _tell_nobody(reason: str) -> None:
    """Leave it at the log."""


class PipelineExecutor:
    """Computes in one worker process per stage, or in other pods; see `ProcessExecutor` for the arguments it shares.

    A stage that is lost fails the batches that it held, 503 or 504, and is started again; the others wait for it.

    Args:
        uri: Where the model is; it must have stages.
        variants: To load, most wanted first.
        addresses: Stage -> `http://HOST:PORT` of the pod that serves it; the others run here.
        device: Of all stages here.
        wedged_after_seconds: A stage that takes longer for a batch is ended.
        memory_limit_bytes: Of each stage's worker.
        executables: SHA-256 digests of executable artifacts that are vouched for.
        threads: Of each worker's libraries.
        load_within_seconds: What is not ready by then is given up.
        on_stage_lost: Told the reason whenever a single stage is started again, which the engine does not see.
    """

    concurrency = SLOTS

    def __init__(
        self,
        uri: str,
        variants: Sequence[str],
        *,
        addresses: Mapping[str, str] | None = None,
        device: str = "auto",
        wedged_after_seconds: float = 30.0,
        memory_limit_bytes: int | None = None,
        executables: Iterable[str] = (),
        threads: int = 1,
        load_within_seconds: float = LOAD_WITHIN_SECONDS,
        on_stage_lost: Callable[[str], None] = _tell_nobody,
    ) -> None:
        self._open = Open(uri, device, sorted(executables))
        self._variants = list(variants)
        self._addresses = dict(addresses or {})
        self._limits = Limits(wedged_after_seconds, memory_limit_bytes)
        self._threads = threads
        self._load_within_seconds = load_within_seconds
        self._on_stage_lost = on_stage_lost
        self._chain: Chain | None = None
        self._trips: set[asyncio.Task[BatchResult]] = set()

    @property
    def process_ids(self) -> list[int]:
        """Return the process ids of the stages' workers, first to last; of those that are not being started again."""
        return [stage.process_id for stage in self._running().stages if stage.process_id is not None]

    async def start(self) -> Loaded:
        """Start all stages and warm the whole up; see `Executor`."""
        await self.stop()
        slots: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(SLOTS):
            slots.put_nowait(slot)
        self._chain = Chain([new_link("requests"), new_link("stage-0")], [], slots)
        try:
            return await self._start(self._chain)
        except ExecutorLostError as error:
            await self.stop()
            raise LoadError(f"model {self._open.uri!r} does not load: {error}") from error
        except BaseException:
            await self.stop()
            raise

    async def _start(self, chain: Chain) -> Loaded:
        first, opened = await self._opened_worker(Arenas(chain.links[0], chain.links[1], chain.links[1]))
        try:
            nodes = plan_pipeline([stage.name for stage in opened.stages], self._addresses)
            first_part = nodes[0]
            if not isinstance(first_part, Part):
                raise AssertionError("the first node does not decode")
            ready = await self._load(first, first_part, example=True)
        except BaseException:
            await first.end()
            raise
        self._variants = [loaded.variant for loaded in ready.variants]
        chain.links += [new_link(f"stage-{index}") for index in range(1, len(nodes))]
        names = {part.stage: f"{opened.contract.name}-{part.stage}" for part in nodes if isinstance(part, Elsewhere)}
        chain.steps += [
            self._remote_step(chain, index, node, names[node.stage])
            if isinstance(node, Elsewhere)
            else self._local_step(chain, index, node)
            for index, node in enumerate(nodes)
        ]
        chain.stages[0].watch(first)
        await self._start_others(chain)
        variants = await self._warm_up(chain, ready)
        return Loaded(opened.contract, tuple(variants), dict(ready.left_out), opened.device, ready.device_memory_bytes)

    def _remote_step(self, chain: Chain, index: int, node: Elsewhere, model: str) -> RemoteStep:
        from modelserver.engine.remote_stage import RemoteStage  # noqa: PLC0415 - only who needs a client pays for it

        remote = RemoteStage(node.address, model, self._limits.wedged_after_seconds)
        return RemoteStep(remote, chain.links[index], chain.links[index + 1])

    def _local_step(self, chain: Chain, index: int, part: Part) -> LocalStep:
        memos = chain.links[1] if part.encode or part.decode else ()
        arenas = Arenas(chain.links[index], memos, chain.links[index + 1])

        async def start() -> WorkerProcess:
            worker, _ = await self._opened_worker(arenas)
            try:
                await self._load(worker, part)
            except BaseException:
                await worker.end()
                raise
            return worker

        return LocalStep(part, StageWorker(start, self._on_stage_lost))

    async def _start_others(self, chain: Chain) -> None:
        """Start the stages after the first, all at once."""
        starting = [stage.begin() for stage in chain.stages[1:]]
        waiting = [
            step.remote.wait_until_ready(self._load_within_seconds)
            for step in chain.steps
            if isinstance(step, RemoteStep)
        ]
        for outcome in await asyncio.gather(*starting, *waiting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _opened_worker(self, arenas: Arenas) -> tuple[WorkerProcess, Opened]:
        worker = await WorkerProcess.spawn(arenas, self._limits, self._threads)
        try:
            return worker, await ask_to_load(worker, self._open, Opened, self._load_within_seconds)
        except BaseException:
            await worker.end()
            raise

    async def _load(self, worker: WorkerProcess, part: Part, example: bool = False) -> Ready:
        asked = Start(self._variants, self._limits.memory_limit_bytes, part, example)
        return await ask_to_load(worker, asked, Ready, self._load_within_seconds)

    async def _warm_up(self, chain: Chain, ready: Ready) -> list[LoadedVariant]:
        if ready.example is None:
            raise LoadError("the first stage gave no example to warm up with")
        self._example = self._detached(chain, ready.example)
        return [await warm_up_pipeline(self._run_once, self._example, loaded) for loaded in ready.variants]

    def _detached(self, chain: Chain, places: RequestPlaces) -> InferRequest:
        """Return a request that outlives its arena."""
        (request,) = read_requests(chain.links[1][0], [places])
        copied = {name: Tensor(name, tensor.datatype, tensor.array.copy()) for name, tensor in request.inputs.items()}
        return InferRequest(copied, request.outputs)

    async def run(self, batch: Batch) -> BatchResult:
        """Compute a batch; see `Executor`. Up to `concurrency` may be under way."""
        # A task of its own: a batch whose waiter is cancelled keeps its slot until the last stage has let go of it.
        trip = asyncio.create_task(self._run(batch))
        self._trips.add(trip)
        trip.add_done_callback(self._trips.discard)
        return await asyncio.shield(trip)

    async def _run(self, batch: Batch) -> BatchResult:
        tally = Tally()
        try:
            outcomes = await self._outcomes(batch, tally)
        except BatchHeldError as error:
            outcomes = _held(batch, error)
        return BatchResult(
            outcomes, tally.preprocess, tally.compute, tally.postprocess, tally.transfer, tally.memory_bytes
        )

    async def _run_once(self, batch: Batch) -> list[Outcome]:
        return await self._outcomes(batch, Tally())

    async def _outcomes(self, batch: Batch, tally: Tally) -> list[Outcome]:
        """Send a batch along the stages; one that fails as a whole request by request."""
        try:
            return await self._trip(batch, tally)
        except RequestError as error:
            if len(batch.requests) == 1:
                return [error]
        return [(await self._outcomes(Batch(batch.variant, [one]), tally))[0] for one in batch.requests]

    async def _trip(self, batch: Batch, tally: Tally) -> list[Outcome]:
        chain = self._running()
        async with chain.slot() as slot:
            chain.links[0][slot].reset()
            asked = ComputePart(batch.variant, slot, write_requests(chain.links[0][slot], batch.requests))
            refused: Mapping[str, Mapping[str, str]] = {}
            done = ComputedPart()
            for index, step in enumerate(chain.steps):
                times = await step.compute(asked)
                tally.add(index, times)
                done = times.done
                if done.error is not None:
                    raise read_error(done.error)
                refused = refused or done.refused
                if len(refused) == len(batch.requests):
                    break
                asked = ComputePart(batch.variant, slot, (), done.given)
            answered = iter(read_outcomes(chain.links[-1][slot], done.outcomes))
        indices = map(str, range(len(batch.requests)))
        return [read_error(refused[index]) if index in refused else next(answered) for index in indices]

    async def lost(self) -> ExecutorLostError:
        """Wait until a stage is lost and not started again; see `Executor`."""
        if self._chain is None:
            return not_started()
        waiting = [asyncio.ensure_future(stage.given_up()) for stage in self._chain.stages]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for one in waiting:
                one.cancel()

    async def load(self, variant: str) -> LoadedVariant:
        """Add a variant to all stages; see `Executor`."""
        chain = self._running()
        loaded: list[Ready] = []
        try:
            for stage in chain.stages:
                worker = await stage.current()
                loaded.append(await ask_to_load(worker, Load(variant), Ready, self._load_within_seconds))
            if variant not in self._variants:
                self._variants.append(variant)
            return await warm_up_pipeline(self._run_once, self._example, loaded[0].variants[0])
        except LoadError:
            await self.unload(variant)
            raise

    async def unload(self, variant: str) -> None:
        """Give up a variant in all stages; see `Executor`."""
        if variant in self._variants:
            self._variants.remove(variant)
        for stage in self._running().stages:
            await ask_to_load(await stage.current(), Unload(variant), Ready, self._load_within_seconds)

    async def stop(self) -> None:
        """End all stages; see `Executor`."""
        chain, self._chain = self._chain, None
        if chain is None:
            return
        for step in chain.steps:
            await (step.stage.stop() if isinstance(step, LocalStep) else step.remote.close())
        if self._trips:
            await asyncio.wait(self._trips)
        for arena in (arena for link in chain.links for arena in link):
            arena.close()

    def _running(self) -> Chain:
        if self._chain is None:
            raise not_started()
        return self._chain
