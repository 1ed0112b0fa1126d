import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.process import LoadProcess, load_process

GENEROUS_SECONDS = 30.0


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def infer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"model_version": "full"})

    app = web.Application()
    app.router.add_post("/v2/models/search-ranker/infer", infer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def wait(load: LoadProcess) -> dict[str, Any]:
    return await asyncio.to_thread(load.wait, GENEROUS_SECONDS)


async def test_totals_and_seconds_come_back_when_the_load_runs_as_a_process(url: str) -> None:
    with load_process([f"--url={url}", "--rate=40", "--seconds=1", "--seed=3"]) as load:
        totals = await wait(load)
    assert totals["ok"] == totals["offered"] > 10
    assert totals["lost"] == 0
    assert sum(second.ok for second in load.seconds) == totals["ok"]
    assert totals["versions"] == {"full": totals["ok"]}


async def test_totals_come_back_when_sending_is_stopped_early(url: str) -> None:
    with load_process([f"--url={url}", "--rate=40", "--seconds=600"]) as load:
        while not load.seconds:
            await asyncio.sleep(0.05)
        load.stop_sending()
        totals = await wait(load)
    assert totals["ok"] == totals["offered"] > 0


async def test_process_is_gone_when_its_owner_gives_up(url: str) -> None:
    with load_process([f"--url={url}", "--rate=1", "--seconds=600"]) as load:
        assert load.running
    assert not load.running


async def test_error_tells_the_status_when_the_process_fails() -> None:
    with load_process(["--rate=-1"]) as load, pytest.raises(DemoError, match="status 1"):
        await wait(load)
