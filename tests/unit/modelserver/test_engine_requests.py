import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from modelserver.engine.answers import Answered, BatchDone, SilentObserver
from modelserver.engine.engine import Engine, EngineSettings
from modelserver.engine.ladder import Ladder
from modelserver.engine.scheduler import SchedulerSettings
from modelserver.errors import (
    ClientGoneError,
    DeadlineExceededError,
    InvalidRequestError,
    LoadError,
    NotFoundError,
    QueueFullError,
    UnavailableError,
    WorkerLostError,
)
from modelserver.tensors import RequestOptions
from modelserver_fakes import EchoModel, FakeClock, FakeExecutor, loaded_variant, numbers_request

BOTH = (loaded_variant("full", 0.99), loaded_variant("int8", 0.97, per_row_seconds=0.0002, overhead_seconds=0.0005))


class Watching(SilentObserver):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.batches: list[BatchDone] = []
        self.dropped: list[tuple[str, int]] = []
        self.cache: list[bool] = []

    def on_batch(self, done: BatchDone) -> None:
        self.batches.append(done)

    def on_dropped(self, reason: str, rows: int) -> None:
        self.dropped.append((reason, rows))

    def on_cache(self, hit: bool) -> None:
        self.cache.append(hit)


@asynccontextmanager
async def started(
    executor: FakeExecutor, settings: EngineSettings | None = None, observer: Watching | None = None
) -> AsyncIterator[Engine]:
    engine = Engine([executor], settings, observer, executor.clock or FakeClock())
    await engine.start()
    yield engine
    await engine.stop()


def scheduling(**settings: Any) -> EngineSettings:
    return EngineSettings(scheduling=SchedulerSettings(**settings))


def ask(engine: Engine, *numbers: int, **options: Any) -> "asyncio.Future[Answered]":
    return engine.submit(numbers_request(*numbers), RequestOptions(**options))


async def turns(count: int = 10) -> None:
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_request_is_answered_when_it_is_asked() -> None:
    async with started(FakeExecutor()) as engine:
        answered = await engine.infer(numbers_request(3, 1))

        assert answered["numbers"].tolist() == [3, 1]
        assert (answered.variant, answered.degraded, answered.from_cache) == ("full", False, False)
        assert answered.phases.compute_seconds > 0
        with pytest.raises(KeyError, match="expected one of numbers"):
            answered["scores"]


async def test_whatever_waits_is_one_batch_when_the_worker_is_free_again() -> None:
    executor = FakeExecutor()
    executor.gate.clear()
    async with started(executor) as engine:
        first = ask(engine, 1)
        await turns()
        others = [ask(engine, number) for number in (2, 3, 4)]
        await turns()
        executor.gate.set()
        await asyncio.gather(first, *others)

    assert executor.model.batches == [[1], [2, 3, 4]]


async def test_requests_of_one_moment_share_a_batch_when_the_worker_is_idle() -> None:
    executor = FakeExecutor()
    async with started(executor) as engine:
        await turns()
        await asyncio.gather(*(ask(engine, number) for number in range(4)))

    assert executor.model.batches == [[0, 1, 2, 3]]


async def test_the_next_batch_is_handed_over_when_the_last_one_is_not_delivered_yet() -> None:
    executor = FakeExecutor()
    handed_over: list[int] = []

    class Counting(Watching):
        def on_batch(self, done: BatchDone) -> None:
            super().on_batch(done)
            handed_over.append(len(executor.ran))

    observer = Counting()
    async with started(executor, observer=observer) as engine:
        await asyncio.gather(*(ask(engine, number) for number in range(8)))

    assert handed_over == [2, 2]


async def test_a_request_is_refused_when_the_queue_is_full() -> None:
    executor = FakeExecutor()
    executor.gate.clear()
    async with started(executor, scheduling(max_queue_rows=2)) as engine:
        replies = [ask(engine, 1)]
        await turns()
        replies += [ask(engine, 2), ask(engine, 3)]

        with pytest.raises(QueueFullError, match=r"2 rows wait, .* and 1 more were sent"):
            ask(engine, 4)
        executor.gate.set()
        await asyncio.gather(*replies)


async def test_a_request_is_not_computed_when_its_time_has_passed() -> None:
    clock, observer = FakeClock(), Watching()
    executor = FakeExecutor(clock=clock)
    executor.gate.clear()
    async with started(executor, observer=observer) as engine:
        running = ask(engine, 1)
        await turns()
        late = ask(engine, 2, timeout_seconds=0.5)
        clock.advance(0.6)
        executor.gate.set()
        await running

        with pytest.raises(DeadlineExceededError, match="timeout of 500 ms"):
            await late
    assert executor.model.batches == [[1]]
    assert observer.dropped == [("expired", 1)]


async def test_the_error_comes_in_time_when_the_worker_is_busy() -> None:
    clock = FakeClock()
    executor = FakeExecutor(clock=clock)
    executor.gate.clear()
    async with started(executor) as engine:
        running = ask(engine, 1)
        await turns()
        late = ask(engine, 2, timeout_seconds=0.5)
        clock.advance(0.6)

        with pytest.raises(DeadlineExceededError):
            await asyncio.wait_for(late, timeout=5)
        assert not running.done()
        executor.gate.set()
        await running


async def test_a_request_is_not_computed_when_its_client_has_gone() -> None:
    executor, observer = FakeExecutor(), Watching()
    executor.gate.clear()
    async with started(executor, observer=observer) as engine:
        running = ask(engine, 1)
        await turns()
        abandoned = engine.submit(numbers_request(2), gone=lambda: True)
        cancelled = ask(engine, 3)
        cancelled.cancel()
        wanted = ask(engine, 4)
        executor.gate.set()
        await asyncio.gather(running, wanted)

        with pytest.raises(ClientGoneError):
            await abandoned
    assert executor.model.batches == [[1], [4]]
    assert observer.dropped == [("cancelled", 1), ("cancelled", 1)]


async def test_a_bad_request_fails_alone_when_it_shares_a_batch() -> None:
    async with started(FakeExecutor()) as engine:
        good, bad = ask(engine, 1), ask(engine, -1)

        assert (await good)["numbers"].tolist() == [1]
        with pytest.raises(InvalidRequestError, match="negative"):
            await bad


async def test_urgent_requests_go_first_when_others_wait() -> None:
    executor = FakeExecutor(variants=(loaded_variant(max_batch_rows=1),))
    executor.gate.clear()
    async with started(executor) as engine:
        replies = [ask(engine, 1)]
        await turns()
        replies += [ask(engine, 2, priority=1), ask(engine, 3), ask(engine, 4, timeout_seconds=5.0)]
        executor.gate.set()
        await asyncio.gather(*replies)

    assert executor.model.batches == [[1], [4], [3], [2]]


async def test_a_lesser_variant_answers_when_there_is_no_time() -> None:
    observer = Watching()
    async with started(FakeExecutor(variants=BOTH), observer=observer) as engine:
        degraded = await ask(engine, 1, timeout_seconds=0.0025)
        insisted = await ask(engine, 1, variant="int8")

        assert (degraded.variant, degraded.degraded) == ("int8", True)
        assert (insisted.variant, insisted.degraded) == ("int8", False)
        assert engine.served_rows == {"int8": 2}
        assert engine.degraded_rows == 1
        assert engine.mean_accuracy == pytest.approx(0.97)
    assert [batch.degraded_rows for batch in observer.batches] == [1, 0]


async def test_a_batch_waits_for_more_when_a_delay_was_asked_for() -> None:
    executor = FakeExecutor()
    engine = Engine([executor], scheduling(max_delay_seconds=0.02))
    await engine.start()
    await turns()
    first = ask(engine, 1)
    await turns()
    second = ask(engine, 2)
    await asyncio.gather(first, second)
    await engine.stop()

    assert executor.model.batches == [[1, 2]]


async def test_the_same_answer_comes_from_the_cache_when_it_is_asked_for_again() -> None:
    executor, observer = FakeExecutor(variants=BOTH), Watching()
    async with started(executor, EngineSettings(cache_bytes=10_000), observer) as engine:
        await ask(engine, 1)
        again = await ask(engine, 1)

        assert again.from_cache
        assert again.variant == "full"
        assert again["numbers"].tolist() == [1]
        assert not (await ask(engine, 1, variant="int8")).from_cache, "whoever insists gets what he insists on"
        assert not (await ask(engine, 2)).from_cache
        assert (await ask(engine, 1, variant="int8")).from_cache
    assert observer.cache == [False, True, False, False, True]


async def test_a_lesser_answer_is_not_taken_from_the_cache_when_there_is_time_for_a_better_one() -> None:
    async with started(FakeExecutor(variants=BOTH), EngineSettings(cache_bytes=10_000)) as engine:
        await ask(engine, 1, variant="int8")

        answered = await ask(engine, 1)

        assert (answered.variant, answered.from_cache) == ("full", False)


async def test_a_lesser_answer_is_taken_from_the_cache_when_the_lesser_variant_is_in_force() -> None:
    async with started(FakeExecutor(variants=BOTH), EngineSettings(cache_bytes=10_000)) as engine:
        await ask(engine, 1, timeout_seconds=0.0025)

        answered = await ask(engine, 1)

        assert (answered.variant, answered.degraded, answered.from_cache) == ("int8", True, True)


async def test_errors_are_not_kept_when_there_is_a_cache() -> None:
    async with started(FakeExecutor(), EngineSettings(cache_bytes=10_000)) as engine:
        for _ in range(2):
            with pytest.raises(InvalidRequestError):
                await ask(engine, -1)


async def test_hot_items_are_kept_when_the_cache_is_warmed() -> None:
    async with started(FakeExecutor(variants=BOTH), EngineSettings(cache_bytes=10_000)) as engine:
        kept = await engine.warm_cache([numbers_request(1), numbers_request(-1), numbers_request(2)])

        assert kept == 2
        assert (await ask(engine, 2)).from_cache


async def test_a_ladder_takes_effect_when_the_server_runs() -> None:
    executor = FakeExecutor(variants=BOTH[:1])
    async with started(executor) as engine:
        assert engine.variants == ["full"]

        await engine.set_ladder(Ladder(("int8",), Decimal("0.9"), 100))

        assert engine.variants == ["int8"]
        assert (await ask(engine, 1)).variant == "int8"
        assert [one.variant for one in executor.variants] == ["int8"], "the other one's memory is given back"
        with pytest.raises(NotFoundError):
            ask(engine, 1, variant="full")


async def test_those_who_wait_for_a_variant_are_told_when_it_leaves_the_ladder() -> None:
    executor = FakeExecutor(variants=BOTH)
    executor.gate.clear()
    async with started(executor) as engine:
        running = ask(engine, 1)
        await turns()
        insisting, other = ask(engine, 2, variant="int8"), ask(engine, 3)

        await engine.set_ladder(Ladder(("full",)))
        executor.gate.set()

        with pytest.raises(NotFoundError, match="no longer served"):
            await insisting
        await asyncio.gather(running, other)


@pytest.mark.parametrize(
    ("ladder", "error"),
    [
        (Ladder(("full", "int4")), LoadError),
        (Ladder(("full", "int8"), Decimal("0.999")), InvalidRequestError),
    ],
)
async def test_the_ladder_stays_when_another_cannot_be_used(ladder: Ladder, error: type[Exception]) -> None:
    executor = FakeExecutor(variants=BOTH[:1])
    async with started(executor) as engine:
        before = engine.ladder

        with pytest.raises(error):
            await engine.set_ladder(ladder)

        assert engine.ladder == before
        assert [one.variant for one in executor.variants] == ["full"]
        assert (await ask(engine, 1)).variant == "full"


async def test_everything_taken_is_answered_when_the_engine_drains() -> None:
    executor = FakeExecutor()
    executor.gate.clear()
    engine = Engine([executor])
    await engine.start()
    replies = [ask(engine, number) for number in range(6)]
    draining = asyncio.ensure_future(engine.drain(30))
    await turns()

    with pytest.raises(UnavailableError, match="shutting down"):
        ask(engine, 1)
    assert not engine.is_ready
    executor.gate.set()

    assert await draining
    assert all(reply.done() for reply in replies)
    await engine.stop()


async def test_what_is_left_is_refused_when_draining_takes_too_long() -> None:
    executor = FakeExecutor()
    executor.gate.clear()
    engine = Engine([executor])
    await engine.start()
    replies = [ask(engine, number) for number in range(6)]
    await turns()

    assert not await engine.drain(0)
    await engine.stop()

    for reply in replies:
        with pytest.raises(UnavailableError if reply in replies[4:] else WorkerLostError, match="shutting down"):
            await reply
    assert executor.stopped


async def test_requests_are_refused_when_the_engine_has_not_started() -> None:
    engine = Engine([FakeExecutor()])

    for call in (lambda: ask(engine, 1), lambda: engine.contract):
        with pytest.raises(UnavailableError, match="loading"):
            call()


async def test_health_tells_how_long_a_batch_has_been_running_when_it_hangs() -> None:
    clock = FakeClock()
    executor = FakeExecutor(clock=clock)
    executor.gate.clear()
    async with started(executor) as engine:
        reply = ask(engine, 1)
        await turns()
        clock.advance(7)

        assert engine.oldest_batch_seconds == 7
        executor.gate.set()
        await reply
        await turns()
        assert engine.oldest_batch_seconds == 0


async def test_the_event_loop_is_told_nothing_when_requests_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async with started(FakeExecutor()) as engine:
        cancelled = ask(engine, -1)
        cancelled.cancel()
        await turns()

    assert caplog.records == []


async def test_start_fails_when_the_ladders_floor_cannot_be_kept() -> None:
    settings = EngineSettings(ladder=Ladder(("full", "int8"), Decimal("0.999")))
    engine = Engine([FakeExecutor(variants=BOTH)], settings)

    with pytest.raises(LoadError, match=r"ladder: field 'minMeanAccuracy': 0\.999"):
        await engine.start()
    assert engine.failure is not None


async def test_the_model_is_asked_singly_when_one_number_poisons_a_batch() -> None:
    executor = FakeExecutor(model=EchoModel(poison=2))
    async with started(executor) as engine:
        replies = [ask(engine, number) for number in (1, 2, 3)]
        results = await asyncio.gather(*replies, return_exceptions=True)

    assert [isinstance(result, Answered) for result in results] == [True, False, True]
