"""Who asks where no replica runs is heard of at once; what does not answer, or not sensibly, is left to Prometheus."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from modelscaler.activator.app import status_application
from modelscaler.activator.holding import Holding, Limits
from modelscaler.controller import doorbells
from modelscaler.controller.doorbells import Doorbells
from modelscaler.domain import Absent, AtLeast, Value, WorkloadKey, Zero

HOST = "127.0.0.1"
NOW = datetime(2026, 3, 2, tzinfo=UTC)
KEY, OTHER = WorkloadKey("shop", "ranker"), WorkloadKey("shop", "other")


@asynccontextmanager
async def serving(application: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


class Ear:
    """Doorbells that run, and whoever they told of."""

    def __init__(self, port: int) -> None:
        self.rings: list[WorkloadKey] = []
        self.rung = asyncio.Event()
        self.seconds = 0.0
        self.errors = 0
        self.bells = Doorbells(self._note, self._count, port, lambda: self.seconds)

    def _note(self, key: WorkloadKey) -> None:
        self.rings.append(key)
        self.rung.set()

    def _count(self) -> None:
        self.errors += 1

    async def hears(self, seconds: float = 5.0) -> None:
        await asyncio.wait_for(self.rung.wait(), seconds)

    def queued(self, key: WorkloadKey = KEY) -> float:
        reading = self.bells.queued(key, Zero(NOW), NOW)
        return reading.value if isinstance(reading, Value) else 0.0


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[Ear]:
    ear = Ear(port)
    task = asyncio.create_task(ear.bells.run())
    try:
        yield ear
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not [other for other in asyncio.all_tasks() if other.get_name().startswith("doorbell")]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not holds():
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGAIN_SECONDS", "SILENCE_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(doorbells, name, 0.01)


async def test_ring_comes_as_soon_as_somebody_waits_and_how_many_do_is_known() -> None:
    house = Holding(Limits())
    async with serving(status_application(lambda: False, house)) as port, listening(port) as ear:
        ear.bells.attend([(KEY, HOST)])
        await asyncio.sleep(0.1)
        assert (ear.rings, ear.queued()) == ([], 0.0)

        with house.place(None):
            await ear.hears()
            with house.place(None):
                await until(lambda: ear.queued() == 2.0)
            assert ear.queued(OTHER) == 0.0
        await until(lambda: ear.queued() == 0.0)

        with house.place(None):
            await until(lambda: ear.rings == [KEY, KEY, KEY])


async def test_nothing_is_known_any_more_of_whom_nobody_listens_to() -> None:
    house = Holding(Limits())
    async with serving(status_application(lambda: False, house)) as port, listening(port) as ear:
        with house.place(None):
            ear.bells.attend([(KEY, HOST)])
            await ear.hears()
            ear.bells.attend([])
            assert ear.queued() == 0.0
            await asyncio.sleep(0.05)
            assert ear.queued() == 0.0


async def test_what_was_heard_is_forgotten_when_the_activator_is_silent_for_long() -> None:
    ear = Ear(port=9)
    ear.bells.attend([(KEY, HOST)])
    ear.bells._note((KEY, HOST), 3)
    assert ear.queued() == 3.0
    ear.seconds = 15.0
    assert ear.queued() == 0.0

    ear.bells._note((KEY, HOST), 1)
    assert (ear.rings, ear.queued()) == ([KEY, KEY], 1.0), "that is news again"


async def test_ring_comes_again_when_twice_as_many_wait() -> None:
    ear = Ear(port=9)
    ear.bells.attend([(KEY, HOST)])
    for held, rings in ((1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (6, 3), (8, 4)):
        ear.bells._note((KEY, HOST), held)
        assert (len(ear.rings), ear.queued()) == (rings, held)


async def test_all_activators_of_a_modeldeployment_are_added_up() -> None:
    ear = Ear(port=9)
    ear.bells.attend([(KEY, HOST), (KEY, "127.0.0.2"), (OTHER, HOST)])
    for door, held in (((KEY, HOST), 2), ((KEY, "127.0.0.2"), 3), ((OTHER, HOST), 10)):
        ear.bells._note(door, held)
    assert (ear.queued(), ear.queued(OTHER)) == (5.0, 10.0)


async def test_listening_goes_on_when_an_error_comes_that_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_down(*_: Any) -> int:
        raise KeyError("held")

    monkeypatch.setattr(doorbells, "_ask", break_down)
    async with listening(9) as ear:
        ear.bells.attend([(KEY, HOST)])
        await until(lambda: ear.errors > 2)


@pytest.mark.parametrize(
    ("scraped", "expected"),
    [(Zero(NOW), Value(3.0, NOW)), (Absent(), Value(3.0, NOW)), (Value(5.0, NOW), Value(5.0, NOW))],
)
async def test_the_larger_of_what_is_scraped_and_what_is_heard_counts(scraped: Any, expected: Value) -> None:
    bells = Doorbells(lambda _: None, lambda: None)
    bells.attend([(KEY, HOST)])
    bells._note((KEY, HOST), 3)
    assert bells.queued(KEY, scraped, NOW) == expected
    assert bells.queued(OTHER, scraped, NOW) == scraped
    assert bells.queued(KEY, AtLeast(7.0, 1), NOW) == AtLeast(7.0, 1)


@pytest.mark.parametrize(
    "said",
    [
        {"text": "nobody"},
        {"text": '{"held": -1}'},
        {"text": '{"held": "many"}'},
        {"text": '{"held": 1' + "0" * 400 + "}"},
        {"body": gzip.compress(b'{"held": 3}'), "headers": {"Content-Encoding": "gzip"}},
        {"text": '{"held": 1' + " " * 5000 + "}"},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:9/held"}},
        {"status": 503, "text": '{"held": 3}'},
    ],
    ids=["no JSON", "below zero", "no number", "too many", "compressed", "too long", "elsewhere", "refused"],
)
async def test_nobody_is_heard_when_the_answer_is_none_of_an_activator(said: dict[str, Any]) -> None:
    asked = asyncio.Event()

    async def noting(_: web.Request) -> web.StreamResponse:
        asked.set()
        return web.Response(**said)

    application = web.Application()
    application.router.add_get("/held", noting)
    async with serving(application) as port, listening(port) as ear:
        ear.bells.attend([(KEY, HOST)])
        await asyncio.wait_for(asked.wait(), 5.0)
        await asyncio.sleep(0.05)
        assert (ear.rings, ear.queued()) == ([], 0.0)


async def test_it_is_asked_again_when_nobody_answered_at_first() -> None:
    house = Holding(Limits())
    async with serving(web.Application()) as port:
        pass
    async with listening(port) as ear:
        ear.bells.attend([(KEY, HOST)])
        await asyncio.sleep(0.05)
        with house.place(None):
            runner = web.AppRunner(status_application(lambda: False, house), shutdown_timeout=0.01)
            await runner.setup()
            await web.TCPSite(runner, HOST, port).start()
            await ear.hears()
            await runner.cleanup()


async def test_no_more_are_listened_to_than_there_may_be_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbells, "MOST_LISTENED", 2)
    async with listening(9) as ear:
        ear.bells.attend([(WorkloadKey("shop", f"m{number}"), HOST) for number in range(5)])
        await until(lambda: len(ear.bells._tasks) == 2)
