import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from modelscaler_demo.load.arrivals import arrival_seconds, steady
from modelscaler_demo.load.gateway import Gateway, new_session
from modelscaler_demo.load.generator import LoadSettings, generate
from modelscaler_demo.load.queries import infer_bodies
from modelscaler_demo.load.replicas import Replicas
from modelscaler_demo.load.tally import Outcome, Second

PATH = "/v2/models/search-ranker/infer"


class FakeReplica:
    """A server that misbehaves for its first `bad` requests, then answers."""

    def __init__(self, misbehaviour: str = "", bad: int = 10**9, retry_after: str = "0") -> None:
        self.misbehaviour, self.bad, self.retry_after = misbehaviour, bad, retry_after
        self.bodies: list[dict[str, Any]] = []
        self.attempts: list[str] = []

    async def infer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.attempts.append(request.headers["x-envoy-attempt-count"])
        if self.misbehaviour and len(self.bodies) <= self.bad:
            if self.misbehaviour == "reset":
                assert request.transport is not None
                request.transport.abort()
            elif self.misbehaviour == "hang":
                await asyncio.sleep(60)
            else:
                return web.Response(status=int(self.misbehaviour), headers={"Retry-After": self.retry_after})
        return web.json_response({"model_version": "int8"})


class Start(Protocol):
    async def __call__(
        self, *fakes: FakeReplica, addresses: Sequence[str] = (), deadline_seconds: float = 5.0
    ) -> Gateway: ...


@pytest.fixture
async def cluster() -> AsyncIterator[Start]:
    """Start replicas and return a gateway to them and to the further addresses."""
    async with AsyncExitStack() as stack:

        async def start(*fakes: FakeReplica, addresses: Sequence[str] = (), deadline_seconds: float = 5.0) -> Gateway:
            urls = list(addresses)
            for fake in fakes:
                app = web.Application()
                app.router.add_post(PATH, fake.infer)
                server = TestServer(app)
                await stack.enter_async_context(server)
                urls.append(str(server.make_url("")).rstrip("/"))
            replicas = Replicas()
            replicas.replace(urls)
            session = await stack.enter_async_context(new_session({}, True))
            return Gateway(session, replicas, PATH, deadline_seconds)

        yield start


async def send(gateway: Gateway) -> Outcome:
    return await gateway.send(infer_bodies(1, seed=1)[0])


async def test_answer_and_version_are_counted_when_all_is_well(cluster: Start) -> None:
    fake = FakeReplica()
    outcome = await send(await cluster(fake))
    assert (outcome.ok, outcome.status, outcome.version, outcome.retries) == (True, 200, "int8", 0)
    assert fake.bodies[0]["inputs"][0]["datatype"] == "BYTES"


async def test_another_replica_answers_when_one_refuses_connections(cluster: Start) -> None:
    gateway = await cluster(FakeReplica(), addresses=[f"http://127.0.0.1:{unused_port()}"])
    outcomes = [await send(gateway) for _ in range(2)]
    assert all(outcome.ok for outcome in outcomes)
    assert sum(outcome.refused for outcome in outcomes) == 1


async def test_another_replica_answers_when_one_drains(cluster: Start) -> None:
    gateway = await cluster(FakeReplica("503"), FakeReplica())
    outcomes = [await send(gateway) for _ in range(4)]
    assert all(outcome.ok for outcome in outcomes)
    assert sum(outcome.rejections for outcome in outcomes) > 0


async def test_request_is_answered_after_a_pause_when_the_replica_was_full(cluster: Start) -> None:
    outcome = await send(await cluster(FakeReplica("429", bad=2)))
    assert (outcome.ok, outcome.rejections, outcome.retries) == (True, 2, 2)


async def test_servers_are_told_which_attempt_it_is_when_a_request_is_sent_again(cluster: Start) -> None:
    fake = FakeReplica("429", bad=2)
    gateway = await cluster(fake)
    await send(gateway)
    await send(gateway)
    assert fake.attempts == ["1", "2", "3", "1"]


async def test_one_replica_is_asked_before_a_pause_when_all_are_full(cluster: Start) -> None:
    fakes = [FakeReplica("429", retry_after="60") for _ in range(5)]
    outcome = await send(await cluster(*fakes, deadline_seconds=0.3))
    assert (outcome.ok, outcome.reason, outcome.rejections) == (False, "HTTP 429", 1)
    assert sum(len(fake.bodies) for fake in fakes) == 1


async def test_reset_is_counted_when_a_retry_saves_the_request(cluster: Start) -> None:
    outcome = await send(await cluster(FakeReplica("reset", bad=1)))
    assert (outcome.ok, outcome.resets, outcome.retries) == (True, 1, 1)


async def test_request_is_lost_when_no_replica_answers_in_time(cluster: Start) -> None:
    outcome = await send(await cluster(FakeReplica("hang"), deadline_seconds=0.2))
    assert (outcome.ok, outcome.reason) == (False, "no answer before the deadline")


async def test_request_is_lost_when_there_is_no_replica(cluster: Start) -> None:
    outcome = await send(await cluster(deadline_seconds=0.2))
    assert (outcome.ok, outcome.reason) == (False, "no ready replica")


async def test_request_is_lost_at_once_when_it_is_invalid(cluster: Start) -> None:
    fake = FakeReplica("400")
    outcome = await send(await cluster(fake))
    assert (outcome.ok, outcome.reason, len(fake.bodies)) == (False, "HTTP 400", 1)


def load(rate: float, seconds: float, seed: int = 2) -> LoadSettings:
    arrivals = arrival_seconds(steady(rate, seconds, 0.1), 0.1, np.random.default_rng(seed))
    return LoadSettings(arrivals, seconds, infer_bodies(8, seed))


async def test_every_request_is_counted_once_when_a_replica_breaks_off(cluster: Start) -> None:
    gateway = await cluster(FakeReplica("reset", bad=5), FakeReplica())
    settings = load(100, 1.2)
    seen: list[Second] = []
    totals = await generate(settings, gateway, asyncio.Event(), seen.append)
    assert totals.sum_of("offered") == len(settings.arrivals)
    assert totals.sum_of("ok") == len(settings.arrivals)
    assert totals.sum_of("resets") > 0
    assert json.dumps(totals.summary())
    assert [second.second for second in seen] == list(range(len(seen)))


async def test_requests_leave_on_time_when_earlier_ones_hang(cluster: Start) -> None:
    gateway = await cluster(FakeReplica("hang"), deadline_seconds=0.4)
    totals = await generate(load(50, 0.5), gateway, asyncio.Event(), lambda _: None)
    assert totals.sum_of("lost") == totals.sum_of("offered") > 10
    assert totals.late_ms < 200


async def test_load_ends_early_when_it_is_stopped(cluster: Start) -> None:
    gateway, stopped = await cluster(FakeReplica()), asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stopped.set)
    totals = await asyncio.wait_for(generate(load(50, 60), gateway, stopped, lambda _: None), 5)
    assert 0 < totals.sum_of("ok") == totals.sum_of("offered") < 100
