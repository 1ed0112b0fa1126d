"""The write queue: order, coalescing, retries, and the guard before every write."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from modelscaler.cluster.errors import ApiCallError
from modelscaler.cluster.writes import CONCURRENCY, LONGEST_WAIT_SECONDS, Priority, Write, WriteQueue

Made = list[str]


class Harness:
    def __init__(self) -> None:
        self.made: Made = []
        self.guarded = 0
        self.reports: list[int | None] = []
        self.slept: list[float] = []
        self.queue = WriteQueue(self._guard, self._report, self._sleep)

    def write(
        self, name: str, priority: Priority = Priority.STATUS, slot: str = "", call: Callable[[], object] | None = None
    ) -> Write:
        def run() -> None:
            if call:
                call()
            self.made.append(name)

        return Write(("Deployment", "ns", slot or name, "m"), priority, run)

    def _guard(self) -> None:
        self.guarded += 1

    def _report(self, _: Write, error: ApiCallError | None) -> None:
        self.reports.append(error.status if error else None)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def harness() -> Harness:
    return Harness()


@contextlib.asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[None]:
    task = asyncio.create_task(harness.queue.run())
    try:
        yield
        await asyncio.wait_for(harness.queue.drained(), 5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_creates_go_before_scaling_before_status_when_all_wait(harness: Harness) -> None:
    release = threading.Event()
    blockers = [harness.write(f"blocker{i}", Priority.CREATE, call=lambda: release.wait(5)) for i in range(CONCURRENCY)]
    async with running(harness):
        for blocker in blockers:
            harness.queue.submit(blocker)
        while len(harness.queue._running) < CONCURRENCY:
            await asyncio.sleep(0)
        for priority in (Priority.EVENT, Priority.STATUS, Priority.CREATE, Priority.SCALE):
            harness.queue.submit(harness.write(priority.name.lower(), priority))
        order: list[tuple[int, int, tuple[str, ...]]] = sorted(harness.queue._heap)
        assert [slot[2] for _, _, slot in order] == ["create", "scale", "status", "event"]
        release.set()
    assert {"create", "scale", "status", "event"} < set(harness.made)


async def test_newest_write_wins_when_two_of_a_slot_wait(harness: Harness) -> None:
    harness.queue.submit(harness.write("old", slot="same"))
    harness.queue.submit(harness.write("new", slot="same"))
    async with running(harness):
        pass
    assert harness.made == ["new"]


async def test_newer_write_follows_when_one_of_its_slot_is_under_way(harness: Harness) -> None:
    release = threading.Event()
    async with running(harness):
        harness.queue.submit(harness.write("first", slot="same", call=lambda: release.wait(5)))
        while not harness.queue._running:
            await asyncio.sleep(0)
        harness.queue.submit(harness.write("second", slot="same"))
        assert harness.made == []
        release.set()
    assert harness.made == ["first", "second"]


def failing(failures: list[ApiCallError]) -> Callable[[], None]:
    """Return a call that fails in each of these ways once, and then succeeds."""

    def call() -> None:
        if failures:
            raise failures.pop(0)

    return call


async def test_retry_after_is_obeyed_when_the_server_is_busy(harness: Harness) -> None:
    failures = [ApiCallError("busy", status=429, retry_after_seconds=7.0), ApiCallError("down", status=0)]

    harness.queue.submit(harness.write("w", call=failing(failures)))
    async with running(harness):
        pass
    assert harness.slept == [7.0, 1.0]
    assert harness.reports == [429, 0, None]
    assert harness.made == ["w"]
    assert harness.guarded == 3, "the lease is checked before every attempt"


async def test_write_is_given_up_when_the_server_refuses_it(harness: Harness) -> None:
    def refused() -> None:
        raise ApiCallError("no", status=422)

    harness.queue.submit(harness.write("bad", call=refused))
    harness.queue.submit(harness.write("good"))
    async with running(harness):
        pass
    assert harness.made == ["good"]
    assert 422 in harness.reports


async def test_others_are_written_when_one_write_fails_in_a_way_that_nobody_foresaw(harness: Harness) -> None:
    def odd() -> None:
        raise TypeError("a field of another type")

    def unreadable(_: object) -> None:
        raise KeyError("metadata")

    harness.queue.submit(harness.write("odd", call=odd))
    harness.queue.submit(replace(harness.write("unreadable"), done=unreadable))
    for number in range(CONCURRENCY):
        harness.queue.submit(harness.write(f"good{number}"))
    async with running(harness):
        pass
    assert {f"good{number}" for number in range(CONCURRENCY)} < set(harness.made)
    assert len(harness.reports) == CONCURRENCY + 2
    assert harness.reports.count(None) == CONCURRENCY


async def test_a_worker_waits_no_longer_than_a_while_when_a_proxy_names_an_hour(harness: Harness) -> None:
    failures = [ApiCallError("down for maintenance", status=503, retry_after_seconds=3600.0)]

    harness.queue.submit(harness.write("w", call=failing(failures)))
    async with running(harness):
        pass
    assert harness.slept == [LONGEST_WAIT_SECONDS]
    assert harness.made == ["w"]
