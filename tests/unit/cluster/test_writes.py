"""The write queue: order, coalescing, retries beside the queue, and what neither failing nor hanging writes may hold up."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial

import pytest

from modelscaler.cluster.errors import ApiCallError
from modelscaler.cluster.writes import (
    CONCURRENCY,
    LONGEST_WAIT_SECONDS,
    MAX_ATTEMPTS,
    MOST_OF_A_NAMESPACE,
    Priority,
    Write,
    WriteQueue,
)

Made = list[str]


class Harness:
    def __init__(self) -> None:
        self.made: Made = []
        self.reports: list[int | None] = []
        self.given_up: list[str] = []
        self.waits: list[float] = []
        self.due: list[Callable[[], None]] = []
        self.queue = WriteQueue(self._report, self._later)

    def write(
        self,
        name: str,
        priority: Priority = Priority.STATUS,
        slot: str = "",
        call: Callable[[], object] | None = None,
        namespace: str = "ns",
        owner: tuple[str, str] | None = None,
    ) -> Write:
        def run() -> None:
            if call:
                call()
            self.made.append(name)

        return Write(
            ("Deployment", namespace, slot or name, "m"),
            priority,
            run,
            given_up=lambda error: self.given_up.append(f"{name}: {error}"),
            owner=owner,
        )

    def _report(self, _: Write, error: ApiCallError | None) -> None:
        self.reports.append(error.status if error else None)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.waits.append(seconds)
        self.due.append(call)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.001)

    async def retried(self, times: int = 1) -> None:
        """Let the time pass that a write waits for, as often as that."""
        for _ in range(times):
            await self.until(lambda: bool(self.due))
            self.due.pop(0)()


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
    blockers = [
        harness.write(f"blocker{i}", Priority.CREATE, call=lambda: release.wait(5), namespace=f"other{i}")
        for i in range(CONCURRENCY - 1)
    ]
    async with running(harness):
        for blocker in blockers:
            harness.queue.submit(blocker)
        await harness.until(lambda: len(harness.queue._running) == CONCURRENCY - 1)
        for priority in (Priority.EVENT, Priority.STATUS, Priority.CREATE, Priority.SCALE):
            harness.queue.submit(harness.write(priority.name.lower(), priority))
        await harness.until(lambda: len(harness.made) == 4)
        release.set()
    assert harness.made[:4] == ["create", "scale", "status", "event"]


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
        await harness.retried(2)
    assert harness.waits == [7.0, 1.0]
    assert harness.reports == [429, 0, None]
    assert (harness.made, harness.given_up) == (["w"], [])


async def test_newest_write_is_tried_again_when_its_slot_waits_for_the_server(harness: Harness) -> None:
    harness.queue.submit(harness.write("old", slot="same", call=failing([ApiCallError("busy", status=429)])))
    async with running(harness):
        await harness.until(lambda: bool(harness.due))
        harness.queue.submit(harness.write("new", slot="same"))
        await asyncio.sleep(0.02)
        assert harness.made == [], "the server asked to wait"
        await harness.retried()
    assert harness.made == ["new"]


async def test_write_is_given_up_when_it_fails_again_and_again_and_starts_afresh_when_it_is_wanted_again(
    harness: Harness,
) -> None:
    always = [ApiCallError("down", status=503) for _ in range(MAX_ATTEMPTS + 1)]
    async with running(harness):
        harness.queue.submit(harness.write("w", call=failing(always)))
        await harness.retried(MAX_ATTEMPTS - 1)
        await harness.until(lambda: bool(harness.given_up))
        assert (harness.given_up, harness.waits) == (["w: down"], [0.5, 1.0, 2.0, 4.0, 8.0])
        harness.queue.submit(harness.write("w", call=failing(always)))
        await harness.retried()
    assert (harness.made, harness.waits[MAX_ATTEMPTS - 1 :]) == (["w"], [0.5])


async def test_others_are_written_when_as_many_as_there_are_workers_keep_failing(harness: Harness) -> None:
    for number in range(CONCURRENCY):
        broken = failing([ApiCallError("webhook", status=500)] * MAX_ATTEMPTS)
        harness.queue.submit(harness.write(f"bad{number}", Priority.CREATE, call=broken))
    harness.queue.submit(harness.write("good"))
    async with running(harness):
        await harness.until(lambda: harness.made == ["good"])
        await harness.until(lambda: len(harness.due) == CONCURRENCY)  # each waits for its next try
        await harness.retried(CONCURRENCY * (MAX_ATTEMPTS - 1))


async def test_others_are_written_when_all_writes_of_a_namespace_hang(harness: Harness) -> None:
    release = threading.Event()
    for number in range(2 * CONCURRENCY):
        hanging = harness.write(f"hangs{number}", Priority.CREATE, call=lambda: release.wait(5), namespace="slow")
        harness.queue.submit(hanging)
    harness.queue.submit(harness.write("good"))
    async with running(harness):
        await harness.until(lambda: harness.made == ["good"])
        await harness.until(lambda: len(harness.queue._running) == MOST_OF_A_NAMESPACE)
        release.set()
    assert len(harness.made) == 2 * CONCURRENCY + 1


async def test_write_under_way_ends_before_the_queue_does(harness: Harness) -> None:
    """The lease is given up after that: no write of ours may come later."""
    release, task = threading.Event(), asyncio.create_task(harness.queue.run())
    harness.queue.submit(harness.write("w", call=lambda: release.wait(5)))
    await harness.until(lambda: bool(harness.queue._running))
    task.cancel()
    await asyncio.sleep(0.02)
    assert not task.done()
    release.set()
    await asyncio.gather(task, return_exceptions=True)
    assert harness.made == ["w"]


async def test_write_is_given_up_when_the_server_refuses_it(harness: Harness) -> None:
    def refused() -> None:
        raise ApiCallError("no", status=422)

    harness.queue.submit(harness.write("bad", call=refused))
    harness.queue.submit(harness.write("good"))
    async with running(harness):
        pass
    assert harness.made == ["good"]
    assert 422 in harness.reports
    assert harness.given_up == ["bad: no"]


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


async def test_write_waits_no_longer_than_a_while_when_a_proxy_names_an_hour(harness: Harness) -> None:
    failures = [ApiCallError("down for maintenance", status=503, retry_after_seconds=3600.0)]

    harness.queue.submit(harness.write("w", call=failing(failures)))
    async with running(harness):
        await harness.retried()
    assert harness.waits == [LONGEST_WAIT_SECONDS]
    assert harness.made == ["w"]


OWNER = ("ns", "ranker")


async def test_what_an_older_decision_wanted_is_withdrawn_when_it_waits_for_another_try(harness: Harness) -> None:
    down = harness.write("down to 2", slot="replicas", call=failing([ApiCallError("busy", status=503)]), owner=OWNER)
    async with running(harness):
        harness.queue.decide(OWNER, [down, harness.write("service", owner=OWNER)])
        await harness.until(lambda: bool(harness.due))
        harness.queue.decide(OWNER, [])  # the load is back, and ten are still there: nothing has to be written
        await harness.retried()
    assert harness.made == ["service"]
    assert harness.given_up == []


async def test_what_is_withdrawn_while_it_is_under_way_is_not_tried_again(harness: Harness) -> None:
    release = threading.Event()

    def slow_failure() -> None:
        release.wait(5)
        raise ApiCallError("busy", status=429)

    async with running(harness):
        harness.queue.decide(OWNER, [harness.write("delete", call=slow_failure, owner=OWNER)])
        await harness.until(lambda: bool(harness.queue._running))
        harness.queue.decide(OWNER, [harness.write("scale", owner=OWNER)])
        release.set()
        await harness.until(lambda: harness.reports.count(429) == 1)
    assert (harness.made, harness.due) == (["scale"], [])


async def test_writes_of_no_decision_and_of_other_owners_stay_when_one_decides_anew(harness: Harness) -> None:
    harness.queue.submit(harness.write("status"))
    harness.queue.decide(("ns", "other"), [harness.write("other", owner=("ns", "other"))])
    harness.queue.decide(OWNER, [harness.write("first", owner=OWNER), harness.write("kept", owner=OWNER)])
    harness.queue.decide(OWNER, [harness.write("kept", owner=OWNER)])
    async with running(harness):
        pass
    assert sorted(harness.made) == ["kept", "other", "status"]


async def test_a_third_namespace_has_its_turn_when_two_hang(harness: Harness) -> None:
    gates = [threading.Event() for _ in range(16)]
    for number, gate in enumerate(gates):
        call, namespace = partial(gate.wait, 5), f"slow{number % 2}"
        harness.queue.submit(harness.write(f"hangs{number}", Priority.CREATE, call=call, namespace=namespace))
    async with running(harness):
        await harness.until(lambda: len(harness.queue._running) == CONCURRENCY)
        harness.queue.submit(harness.write("good", Priority.EVENT))
        running_now = {slot[2] for slot in harness.queue._running}
        gates[int(min(running_now, key=lambda name: int(name[5:]))[5:])].set()  # one of the hanging ends
        await harness.until(lambda: "good" in harness.made)
        assert len(harness.made) == 2
        for gate in gates:
            gate.set()


async def test_a_lone_namespace_has_all_workers(harness: Harness) -> None:
    release = threading.Event()
    for number in range(CONCURRENCY):
        harness.queue.submit(harness.write(f"w{number}", call=lambda: release.wait(5)))
    async with running(harness):
        await harness.until(lambda: len(harness.queue._running) == CONCURRENCY)
        release.set()


async def test_what_waits_is_queued_once_however_often_it_is_decided(harness: Harness) -> None:
    for _ in range(50):
        harness.queue.decide(OWNER, [harness.write(f"w{number}", owner=OWNER) for number in range(3)])
    assert sum(len(heap) for heap in harness.queue._offered.values()) == 3
    async with running(harness):
        pass
    assert sorted(harness.made) == ["w0", "w1", "w2"]
