"""What the operator listens to: how many requests wait, said as soon as one does."""

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from modelscaler.activator import app
from modelscaler.activator.app import status_application, status_runner
from modelscaler.activator.holding import Holding, Limits


def client(house: Holding) -> TestClient[web.Request, web.Application]:
    return TestClient(TestServer(status_application(lambda: False, house)))


async def test_answer_comes_as_soon_as_a_request_waits() -> None:
    house = Holding(Limits())
    async with client(house) as asking:
        answer = asyncio.create_task(asking.get("/held?seconds=20"))
        await asyncio.sleep(0.1)
        assert not answer.done()
        with house.place(None), house.place(None):
            assert await (await asyncio.wait_for(answer, 5.0)).json() == {"held": 2}


async def test_nobody_is_said_to_wait_when_the_time_is_over_or_all_are_on_their_way() -> None:
    house = Holding(Limits())
    async with client(house) as asking:
        with house.place(None) as place:
            place.set_out()
            before = time.monotonic()
            assert await (await asking.get("/held?seconds=0.2")).json() == {"held": 0}
            assert time.monotonic() - before >= 0.19
        assert await (await asking.get("/held")).json() == {"held": 0}


@pytest.mark.parametrize("seconds", ["soon", "-1", "60.1", "nan", "inf", "1" * 5000])
async def test_seconds_are_refused_when_they_are_no_number_or_out_of_bounds(seconds: str) -> None:
    async with client(Holding(Limits())) as asking:
        answer = await asking.get("/held", params={"seconds": seconds})
        assert answer.status == 400
        assert await answer.text() == f"seconds: got {seconds[:20]!r}, expected a number from 0 to 60\n"


async def test_a_listener_that_hung_up_takes_nobody_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_MOST_LISTENERS", 1)
    house = Holding(Limits())
    runner = status_runner(lambda: False, house)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/held"
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            await session.get(url, params={"seconds": "20"}, timeout=aiohttp.ClientTimeout(total=0.1))
        async with asyncio.timeout(5.0):
            while (await session.get(url)).status != 200:
                await asyncio.sleep(0.01)
    await runner.cleanup()


async def test_listeners_are_refused_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_MOST_LISTENERS", 2)
    house = Holding(Limits())
    async with client(house) as asking:
        listening = [asyncio.create_task(asking.get("/held?seconds=20")) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert (await asking.get("/held?seconds=20")).status == 503
        assert (await asking.get("/readyz")).status == 200
        with house.place(None):
            assert [(await answer).status for answer in listening] == [200, 200]
        assert (await asking.get("/held")).status == 200
