"""What is refused, and that nothing is left of it: limits, times, malformed and hostile requests."""

import asyncio
import json

import pytest

from activator_rig import INFER, Rig, activator, raw, replica, until
from modelscaler.activator.holding import Limits


async def asked_raw(rig: Rig, data: bytes) -> bytes:
    async with raw(rig.port) as (reader, writer):
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 5.0)


async def test_request_is_refused_at_once_when_too_many_are_held() -> None:
    async with replica() as server, activator(server.port, Limits(most_held=2)) as rig:
        server.ready = False
        asking = [asyncio.create_task(rig.ask()) for _ in range(2)]
        await rig.until_held(2)
        async with rig.client.post(rig.url(), data=b"x") as answer:
            assert (answer.status, answer.headers["Retry-After"], answer.headers["Connection"]) == (503, "5", "close")
            assert answer.content_type == "application/json"
            assert "2 requests wait for a replica" in json.loads(await answer.read())["error"]
        server.ready = True
        assert [status for status, _ in await asyncio.gather(*asking)] == [200, 200]
    assert 'modelscaler_activator_refused_total{reason="TooManyHeld"} 1.0' in rig.exposed()
    assert 'modelserver_requests_offered_total{modeldeployment="m",pool="activator"} 1.0' in rig.exposed()


async def test_request_is_refused_when_the_bodies_are_too_large_together() -> None:
    async with replica() as server, activator(server.port, Limits(most_held_bytes=1000)) as rig:
        server.ready = False
        asking = asyncio.create_task(rig.ask(body=b"x" * 900))
        await rig.until_held(1)
        status, body = await rig.ask(body=b"x" * 101)
        assert (status, b"1000 bytes" in body) == (503, True)
        server.ready = True
        assert (await asking)[0] == 200
    assert rig.house.body_bytes == 0


async def test_request_is_refused_when_it_was_held_long_enough() -> None:
    async with replica() as server, activator(server.port, Limits(hold_seconds=0.05)) as rig:
        server.ready = False
        status, body = await rig.ask()
        assert (status, b"within 0.05 seconds" in body) == (503, True)
        assert rig.house.requests == 0
    assert 'modelscaler_activator_refused_total{reason="HeldTooLong"} 1.0' in rig.exposed()


@pytest.mark.parametrize("framing", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
async def test_body_is_refused_when_it_is_too_large(framing: str) -> None:
    async with replica() as server, activator(server.port, Limits(most_body_bytes=1000)) as rig:
        body = b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n" if "chunked" in framing else b"x" * 2000
        answer = await asked_raw(rig, f"POST {INFER} HTTP/1.1\r\nHost: m\r\n{framing}\r\n\r\n".encode() + body)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert not server.received
    assert 'modelscaler_activator_refused_total{reason="BodyTooLarge"} 1.0' in rig.exposed()


async def test_client_is_refused_before_it_sends_a_body_that_is_too_large() -> None:
    limits = Limits(most_body_bytes=10)
    async with replica() as server, activator(server.port, limits) as rig, raw(rig.port) as (reader, writer):
        writer.write(b"POST /x/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")


async def test_body_is_refused_when_it_comes_too_slowly() -> None:
    async with replica() as server, activator(server.port, Limits(body_seconds=0.05)) as rig, raw(rig.port) as client:
        reader, writer = client
        writer.write(b"POST /x/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 10\r\n\r\nabc")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        await until(lambda: rig.house.requests == 0)
        assert rig.house.body_bytes == 0


async def test_nothing_is_kept_when_the_client_goes_away() -> None:
    async with replica() as server, activator(server.port) as rig:
        server.ready = False
        async with raw(rig.port) as (_, writer):
            writer.write(b"POST /x/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\n\r\nabc")
            await rig.until_held(1)
            assert rig.house.body_bytes == 3
        await until(lambda: rig.house.requests == 0)
        assert (rig.house.body_bytes, rig.house.waiting, len(rig.turns)) == (0, 0, 0)
        server.ready = True
        await asyncio.sleep(0.1)
        assert not server.received
    assert "modelscaler_activator_abandoned_total 1.0" in rig.exposed()


async def test_nothing_is_kept_when_the_client_goes_away_in_the_middle_of_its_body() -> None:
    async with replica() as server, activator(server.port) as rig:
        async with raw(rig.port) as (_, writer):
            writer.write(b"POST /x/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 10\r\n\r\nabc")
            await until(lambda: rig.house.body_bytes == 3)
        await until(lambda: rig.house.requests == 0)
        assert rig.house.body_bytes == 0
    assert "modelscaler_activator_abandoned_total 1.0" in rig.exposed()


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET http HTTP/1.1\r\nHost: m\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: m\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
        b"POST /x/infer HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /x/infer HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST /x/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"GET /x HTTP/1.1\r\nHost: m\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: m\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_malformed_request_is_refused_and_not_forwarded(
    request_text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with replica() as server, activator(server.port) as rig:
        answer = await asked_raw(rig, request_text)
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
        assert answer.count(b"400 Bad Request\r\n") == 1
        assert not server.received
        assert rig.house.requests == 0
    assert not [record for record in caplog.records if record.exc_info]


async def test_second_request_of_a_connection_is_not_answered_as_part_of_the_first() -> None:
    async with replica() as server, activator(server.port) as rig:
        smuggled = b"POST /smuggled HTTP/1.1\r\nHost: m\r\nContent-Length: 0\r\n\r\n"
        sent = b"POST /x/infer HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\n\r\nabc" + smuggled
        answer = await asked_raw(rig, sent)
        assert answer.endswith(b"abc")
    assert [received.target for received in server.received] == ["/x/infer"]


async def test_all_that_wait_are_refused_when_the_activator_stops() -> None:
    async with replica() as server, activator(server.port) as rig:
        server.ready = False
        asking = [asyncio.create_task(rig.ask()) for _ in range(3)]
        await rig.until_held(3)
        rig.turns.close()
        answers = [*await asyncio.gather(*asking), await rig.ask()]
        assert [status for status, _ in answers] == [503] * 4
        assert all(b"This activator stops" in body for _, body in answers)
