import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserver.compute.executor import (
    Batch,
    BatchResult,
    ExecutorLostError,
    Loaded,
    LoadedVariant,
    NotHandedOverError,
)
from modelserver.engine.answers import Answered, SilentObserver
from modelserver.engine.engine import Engine, EngineSettings
from modelserver.engine.ladder import Ladder
from modelserver.engine.workers import RestartSettings
from modelserver.errors import (
    DeadlineExceededError,
    LoadError,
    NotFoundError,
    RequestError,
    UnavailableError,
    WorkerHungError,
    WorkerLostError,
)
from modelserver.tensors import RequestOptions
from modelserver_fakes import EchoModel, FakeExecutor, loaded_variant, numbers_request

AT_ONCE = EngineSettings(restarts=RestartSettings(first_delay_seconds=0.0, longest_delay_seconds=0.0, max_failures=3))


class Watching(SilentObserver):
    """Remembers how workers came and went."""

    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.lost: list[tuple[int, str]] = []

    def on_loaded(self, worker: int, loaded: Loaded) -> None:
        self.loaded.append(worker)

    def on_lost(self, worker: int, reason: str) -> None:
        self.lost.append((worker, reason))


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def engine_over(executors: Sequence[FakeExecutor], observer: Watching | None = None) -> Engine:
    engine = Engine(executors, AT_ONCE, observer)
    await engine.start()
    await turns()
    return engine


def ask(engine: Engine, *numbers: int) -> "asyncio.Future[Answered]":
    return engine.submit(numbers_request(*numbers))


@pytest.mark.parametrize(
    ("reason", "error"), [("crash", WorkerLostError), ("memory", WorkerLostError), ("hang", WorkerHungError)]
)
async def test_only_what_it_held_fails_when_a_worker_is_lost(reason: str, error: type[RequestError]) -> None:
    executor, observer = FakeExecutor(), Watching()
    engine = await engine_over([executor], observer)
    executor.gate.clear()
    held = [ask(engine, number) for number in range(4)]
    await turns()
    waiting = ask(engine, 9)

    executor.lose(reason)
    executor.gate.set()

    for reply in held:
        with pytest.raises(error, match="try again") as caught:
            await reply
        assert caught.value.retry_after_seconds == 1
    assert (await waiting)["numbers"].tolist() == [9]
    assert executor.starts == 2
    assert observer.lost == [(0, reason)]
    assert observer.loaded == [0, 0]
    await engine.stop()


async def test_a_worker_is_started_again_when_it_is_lost_between_batches() -> None:
    executor = FakeExecutor()
    engine = await engine_over([executor])

    executor.lose()
    await turns(3)
    assert engine.workers_ready == 0
    assert not engine.is_ready
    answered = await ask(engine, 1)

    assert answered["numbers"].tolist() == [1]
    assert engine.is_ready
    await engine.stop()


async def test_the_other_goes_on_when_one_of_two_workers_is_lost() -> None:
    first, second = FakeExecutor(), FakeExecutor()
    engine = await engine_over([first, second])
    first.start_errors = [LoadError("not yet")] * 50

    first.lose()
    await turns()

    assert engine.workers_ready == 1
    assert engine.is_ready
    for number in range(5):
        await ask(engine, number)
    assert engine.failure is None
    await engine.stop()


async def test_the_engine_fails_when_its_worker_does_not_start_again() -> None:
    executor = FakeExecutor()
    engine = await engine_over([executor])
    executor.start_errors = [LoadError("the disk is gone")] * 3
    executor.lose()
    await turns(3)
    waiting = ask(engine, 1)

    with pytest.raises(UnavailableError, match="cannot be computed: the disk is gone"):
        await waiting
    assert isinstance(engine.failure, LoadError)
    with pytest.raises(UnavailableError, match="the disk is gone"):
        ask(engine, 2)

    await turns(20)
    assert engine.failure is None, "it kept trying"
    assert (await ask(engine, 3))["numbers"].tolist() == [3]
    await engine.stop()


async def test_start_fails_when_the_first_worker_does_not_load() -> None:
    bad, other = FakeExecutor(start_errors=[LoadError("no such model")]), FakeExecutor()

    with pytest.raises(LoadError, match="no such model"):
        await Engine([bad, other]).start()
    assert bad.stopped
    assert other.starts == 0


async def test_requests_are_answered_when_only_the_first_worker_is_ready() -> None:
    first, second = FakeExecutor(), FakeExecutor()
    second.may_start.clear()
    engine = await engine_over([first, second], observer := Watching())

    assert (engine.workers_ready, observer.loaded) == (1, [0])
    assert (await ask(engine, 7))["numbers"].tolist() == [7]

    second.may_start.set()
    await turns()
    assert (engine.workers_ready, observer.loaded) == (2, [0, 1])
    first.gate.clear()
    held = ask(engine, 1)
    await turns()
    assert (await ask(engine, 2))["numbers"].tolist() == [2]
    first.gate.set()
    await held
    await engine.stop()


async def test_a_worker_joins_later_when_its_first_start_fails() -> None:
    late = FakeExecutor(start_errors=[LoadError("not yet"), ExecutorLostError("memory", "killed")])
    engine = await engine_over([FakeExecutor(), late])
    await turns(20)

    assert engine.workers_ready == 2
    assert late.starts == 3
    assert engine.failure is None
    await engine.stop()


async def test_the_ladder_stays_and_nothing_is_loaded_when_a_worker_is_still_starting() -> None:
    first, late = FakeExecutor(), FakeExecutor()
    late.may_start.clear()
    engine = await engine_over([first, late])

    with pytest.raises(UnavailableError, match="worker 1 is starting"):
        await engine.set_ladder(Ladder(("full", "int8")))

    assert engine.variants == ["full"]
    assert [one.variant for one in first.variants] == ["full"]
    await engine.stop()


async def test_the_engine_ends_when_a_worker_is_still_starting() -> None:
    late = FakeExecutor()
    late.may_start.clear()
    engine = await engine_over([FakeExecutor(), late])

    await engine.stop()

    assert late.stopped
    assert engine.workers_ready == 0


async def test_requests_are_computed_by_another_worker_when_theirs_was_gone_before_it_got_them() -> None:
    gone, other = FakeExecutor(), FakeExecutor()
    engine = await engine_over([gone, other])
    gone.may_start.clear()
    gone.lose_unnoticed()

    answers = [await ask(engine, number) for number in range(4)]

    assert [answer["numbers"].tolist() for answer in answers] == [[0], [1], [2], [3]]
    assert not gone.ran
    await engine.stop()


async def test_requests_that_were_put_back_expire_when_nobody_computes_them() -> None:
    executor = FakeExecutor()
    engine = await engine_over([executor])
    executor.may_start.clear()
    executor.lose_unnoticed()

    with pytest.raises(DeadlineExceededError):
        await engine.ask({"numbers": [1]}, timeout_seconds=0.01)
    await engine.stop()


async def test_start_fails_when_a_worker_is_lost_while_it_loads() -> None:
    executor = FakeExecutor(start_errors=[ExecutorLostError("memory", "killed")])

    with pytest.raises(LoadError, match="lost while it was loading: killed"):
        await Engine([executor]).start()


async def test_a_worker_loads_what_the_first_one_has_before_it_joins() -> None:
    both = (loaded_variant("full"), loaded_variant("int8"))
    second = FakeExecutor(variants=both[:1])
    engine = await engine_over([FakeExecutor(variants=both), second])

    assert engine.variants == ["full", "int8"]
    assert [one.variant for one in second.variants] == ["full", "int8"]
    assert engine.workers_ready == 2
    await engine.stop()


async def test_an_added_variant_is_there_when_its_worker_was_started_again() -> None:
    both = (loaded_variant("full"), loaded_variant("int8"))
    executor = FakeExecutor(variants=both)
    engine = await engine_over([executor])

    executor.variants = both[:1]
    executor.lose()
    await turns(30)

    assert [one.variant for one in executor.variants] == ["full", "int8"]
    await engine.stop()


async def test_batches_run_side_by_side_when_an_executor_takes_several() -> None:
    executor = FakeExecutor(concurrency=3)
    engine = await engine_over([executor])
    executor.gate.clear()
    replies = [ask(engine, number) for number in range(12)]
    await turns()

    assert len(executor.ran) == 3
    executor.gate.set()
    await asyncio.gather(*replies)
    await engine.stop()


async def test_no_worker_idles_when_work_waits() -> None:
    executors = [FakeExecutor(), FakeExecutor()]
    engine = await engine_over(executors)
    for executor in executors:
        executor.gate.clear()
    replies = [ask(engine, number) for number in range(5)]
    await turns()

    assert [len(executor.ran) for executor in executors] == [1, 1]
    for executor in executors:
        executor.gate.set()
    await asyncio.gather(*replies)
    await engine.stop()


async def test_another_worker_does_the_work_when_the_one_that_was_woken_ends() -> None:
    engine = await engine_over([FakeExecutor(), FakeExecutor()])
    (slot,) = engine._crew.workers[0].idle

    reply = ask(engine, 1)
    slot.cancel()

    assert (await asyncio.wait_for(reply, 5))["numbers"].tolist() == [1]
    await engine.stop()


@dataclass
class Deliberate(FakeExecutor):
    """Takes its time over what it is asked for.

    Attributes:
        may_load: While it is clear, `load` waits.
        hands_over: While it is clear, `run` waits, and then the batch was never handed over; None to run as always.
    """

    may_load: asyncio.Event = field(default_factory=asyncio.Event)
    hands_over: asyncio.Event | None = None

    async def load(self, variant: str) -> LoadedVariant:
        await self.may_load.wait()
        return await super().load(variant)

    async def run(self, batch: Batch) -> BatchResult:
        if self.hands_over is None:
            return await super().run(batch)
        await self.hands_over.wait()
        self.hands_over = None
        self.lose()
        raise NotHandedOverError("crash", "fake worker: was gone")


async def test_another_worker_answers_when_the_one_that_is_woken_loads_a_variant() -> None:
    loading, other = Deliberate(), Deliberate()
    engine = await engine_over([loading, other])
    change = asyncio.create_task(engine.set_ladder(Ladder(("full", "int8"))))
    await turns()

    reply = ask(engine, 1)

    assert (await asyncio.wait_for(reply, 5))["numbers"].tolist() == [1]
    assert len(other.ran) == 1
    for executor in (loading, other):
        executor.may_load.set()
    await change
    await engine.stop()


async def test_the_engine_goes_on_when_a_request_is_put_back_whose_variant_has_left_the_ladder() -> None:
    executor = Deliberate(variants=(loaded_variant("full"), loaded_variant("int8")), hands_over=asyncio.Event())
    engine = await engine_over([executor])
    insists = engine.submit(numbers_request(1), RequestOptions(variant="int8"))
    await turns()
    await engine.set_ladder(Ladder(("full",)))

    assert executor.hands_over is not None
    executor.hands_over.set()

    with pytest.raises(NotFoundError, match="variant 'int8': is no longer served"):
        await asyncio.wait_for(insists, 5)
    assert (await asyncio.wait_for(ask(engine, 2), 5))["numbers"].tolist() == [2]
    assert engine.failure is None
    await engine.stop()


class Broken(FakeExecutor):
    """Raises what an executor should not."""

    async def run(self, batch: object) -> None:  # type: ignore[override]  # that is the point
        raise OSError("no descriptor")


async def test_the_engine_goes_on_when_an_executor_breaks_its_promise() -> None:
    engine = await engine_over([Broken()])

    for _ in range(2):
        with pytest.raises(RequestError, match="the server failed"):
            await ask(engine, 1)
    await engine.stop()


def test_the_wait_doubles_up_to_a_bound_when_starts_keep_failing() -> None:
    restarts = RestartSettings(first_delay_seconds=0.1, longest_delay_seconds=5.0)

    assert [restarts.delay_seconds(losses) for losses in (1, 2, 3, 10, 5000)] == [0.1, 0.2, 0.4, 5.0, 5.0]


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "turn", "lose", "shut", "open"]), st.integers(0, 1)), max_size=60
)


@settings(deadline=None)
@given(steps)
def test_every_request_is_answered_exactly_once_when_workers_are_lost_at_random(script: list[tuple[str, int]]) -> None:
    asyncio.run(_play(script))


async def _play(script: list[tuple[str, int]]) -> None:
    executors = [FakeExecutor(EchoModel()), FakeExecutor(EchoModel())]
    engine = await engine_over(executors)
    replies = []
    for number, (step, which) in enumerate(script):
        executor = executors[which]
        if step == "ask":
            replies.append((number, ask(engine, number)))
        elif step == "turn":
            await turns(3)
        elif step == "lose":
            executor.lose()
        elif step == "shut":
            executor.gate.clear()
        else:
            executor.gate.set()
    for executor in executors:
        executor.gate.set()
    results = await asyncio.wait_for(asyncio.gather(*(reply for _, reply in replies), return_exceptions=True), 30)
    await engine.stop()

    for (number, _), result in zip(replies, results, strict=True):
        assert isinstance(result, WorkerLostError) or (
            isinstance(result, Answered) and result["numbers"].tolist() == [number]
        )
    computed = [number for executor in executors for batch in executor.model.batches for number in batch]
    assert len(computed) == len(set(computed)), "nothing is computed twice"
