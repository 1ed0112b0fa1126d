import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from modelserver.serving.connection import (
    GONE,
    Clock,
    Connection,
    ConnectionLimits,
    Phase,
    connection_class,
    is_overdue,
    sweep_connections,
)
from modelserver.serving.http import Receive, Scope, Send, json_response, read_body, send_response

LIMITS = ConnectionLimits(header_bytes=1000, connections=3)


@dataclass
class Stage:
    """An application that answers with its request, on real connections."""

    port: int
    state: ServerState
    clock: Clock
    asked: list[Scope] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def sweep(self, seconds: float) -> None:
        sweep_connections(self.state, self.clock, self.clock.now + seconds)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, sent: bytes) -> bytes:
        """Send bytes; return all that comes until the server closes."""
        reader, writer = await self.connect()
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()

    async def until_phase(self, phase: Phase) -> Connection:
        for _ in range(2000):
            for connection in self.state.connections:
                if cast("Connection", connection)._phase is phase:
                    return cast("Connection", connection)
            await asyncio.sleep(0.001)
        raise TimeoutError(f"no connection got to {phase}")


@asynccontextmanager
async def staged(limits: ConnectionLimits = LIMITS, application: Any = None) -> AsyncIterator[Stage]:
    stage = Stage(0, ServerState(), Clock())
    stage.gate.set()

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        stage.asked.append(scope)
        body = await read_body(None, receive, 1_000_000)
        await stage.gate.wait()
        await send_response(send, json_response({"path": scope["path"], "bytes": len(body)}), close=False)

    made = connection_class(limits, stage.clock)
    config = uvicorn.Config(
        application or echo, http=made, ws="none", lifespan="off", log_config=None, access_log=False
    )
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: made(config=config, server_state=stage.state, app_state={}), "127.0.0.1", 0
    )
    stage.port = server.sockets[0].getsockname()[1]
    try:
        yield stage
    finally:
        server.close()
        for connection in list(stage.state.connections):
            cast("Connection", connection).transport.abort()
        await asyncio.sleep(0)


def request(path: str = "/", body: bytes = b"", *headers: str, close: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, *(["Connection: close"] if close else []), "", ""]).encode() + body


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def test_answer_comes_with_its_body_in_one_piece() -> None:
    async with staged() as stage:
        status, content = parsed(await stage.exchange(request("/a%20b?c=d", b"12345")))
    assert (status, content) == (200, {"path": "/a b", "bytes": 5})


async def test_answer_has_no_body_when_it_is_to_head() -> None:
    async with staged() as stage:
        answer = await stage.exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"content-length: 22" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_connection_is_kept_when_the_client_does_not_ask_to_close() -> None:
    async with staged() as stage:
        reader, writer = await stage.connect()
        for _ in range(3):
            writer.write(request("/again", b"x", close=False))
            assert b'{"path":"/again","bytes":1}' in await reader.readuntil(b"}")
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with staged() as stage:
        answers = await stage.exchange(request("/1", close=False) + request("/2", close=False) + request("/3"))
    assert [answers.index(f'"/{number}"'.encode()) for number in (1, 2, 3)] == sorted(
        answers.index(f'"/{number}"'.encode()) for number in (1, 2, 3)
    )


async def test_chunked_body_is_read() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with staged() as stage:
        assert parsed(await stage.exchange(chunks)) == (200, {"path": "/", "bytes": 5})


OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
"""As Java's client sends them with its first request."""


async def test_request_is_answered_with_its_body_when_it_offers_another_protocol() -> None:
    async with staged() as stage:
        status, content = parsed(await stage.exchange(request("/a", b"12345", *OFFER)))
    assert (status, content) == (200, {"path": "/a", "bytes": 5})
    assert (b"http2-settings", b"AAMAAABkAAQAAP__") in stage.asked[0]["headers"]
    assert b"upgrade" not in dict(stage.asked[0]["headers"])


async def test_chunked_body_is_read_when_another_protocol_is_offered() -> None:
    head = "\r\n".join(["POST / HTTP/1.1", "Transfer-Encoding: chunked", *OFFER, "Connection: close", "", ""])
    async with staged() as stage:
        assert parsed(await stage.exchange(head.encode() + b"3\r\nabc\r\n0\r\n\r\n")) == (
            200,
            {"path": "/", "bytes": 3},
        )


@pytest.mark.parametrize("split", [5, 60, 140, -3])
async def test_request_is_answered_when_it_offers_another_protocol_bit_by_bit(split: int) -> None:
    sent = request("/a", b"12345", *OFFER)
    async with staged() as stage:
        reader, writer = await stage.connect()
        writer.write(sent[:split])
        await stage.until_phase(Phase.BODY if split < 0 else Phase.HEADERS)
        writer.write(sent[split:])
        assert parsed(await asyncio.wait_for(reader.read(), 10)) == (200, {"path": "/a", "bytes": 5})
        writer.close()


async def test_connection_is_kept_when_every_request_offers_another_protocol() -> None:
    async with staged() as stage:
        reader, writer = await stage.connect()
        for body in (b"", b"x"):
            writer.write(2 * request("/again", body, *OFFER, close=False))
            for _ in range(2):
                assert f'"bytes":{len(body)}'.encode() in await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.close()


async def test_request_is_answered_once_when_it_asks_for_a_tunnel() -> None:
    async with staged() as stage:
        answer = await stage.exchange(
            b"CONNECT / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: close, upgrade\r\n\r\n"
        )
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "never ending"])
async def test_headers_are_refused_with_431_when_they_are_too_long(complete: bool) -> None:
    bomb = b"GET / HTTP/1.1\r\nX: " + b"a" * 2000 + (b"\r\n\r\n" if complete else b"")
    async with staged() as stage:
        status, content = parsed(await stage.exchange(bomb))
        assert stage.asked == []
    assert status == 431
    assert "expected at most that" in content["error"]


async def test_headers_are_refused_with_431_when_they_come_bit_by_bit() -> None:
    async with staged() as stage:
        reader, writer = await stage.connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        for number in range(200):
            writer.write(f"X-{number}: {'a' * 20}\r\n".encode())
            await asyncio.sleep(0)
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 431")
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"not http at all\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nabcde",
    ],
)
async def test_what_is_not_http_is_answered_400_in_json(sent: bytes) -> None:
    async with staged() as stage:
        status, content = parsed(await stage.exchange(sent))
        assert stage.asked == []
    assert status == 400
    assert "expected HTTP/1.1" in content["error"]


async def test_connection_ends_with_400_when_more_is_sent_than_content_length_says() -> None:
    async with staged() as stage:
        answer = await stage.exchange(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc{garbage}\r\n\r\n")
    assert b"HTTP/1.1 400" in answer


async def test_slow_headers_are_answered_408_when_their_time_is_over() -> None:
    async with staged() as stage:
        reader, writer = await stage.connect()
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        await stage.until_phase(Phase.HEADERS)
        stage.sweep(LIMITS.header_seconds / 2)
        writer.write(b"still coming")
        await asyncio.sleep(0.01)
        stage.sweep(LIMITS.header_seconds)
        status, content = parsed(await asyncio.wait_for(reader.read(), 10))
        assert status == 408
        assert "headers: not complete" in content["error"]
        writer.close()


async def test_body_is_answered_408_when_less_is_sent_than_content_length_says() -> None:
    async with staged() as stage:
        reader, writer = await stage.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        await stage.until_phase(Phase.BODY)
        stage.sweep(LIMITS.body_seconds + 1)
        status, content = parsed(await asyncio.wait_for(reader.read(), 10))
        assert status == 408
        assert "body: not complete" in content["error"]
        writer.close()


async def test_idle_connection_is_closed_when_its_time_is_over() -> None:
    async with staged() as stage:
        reader, writer = await stage.connect()
        await stage.until_phase(Phase.IDLE)
        stage.sweep(LIMITS.idle_seconds - 1)
        assert len(stage.state.connections) == 1
        stage.sweep(2)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_connection_is_not_closed_when_an_answer_takes_long() -> None:
    async with staged() as stage:
        stage.gate.clear()
        reader, writer = await stage.connect()
        writer.write(request())
        await stage.until_phase(Phase.ANSWERING)
        stage.sweep(10_000)
        stage.gate.set()
        assert b" 200 " in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_one_connection_too_many_is_answered_503_with_retry_after() -> None:
    async with staged() as stage:
        open_ones = [await stage.connect() for _ in range(LIMITS.connections)]
        await stage.until_phase(Phase.IDLE)
        answer = await stage.exchange(request())
        for _, writer in open_ones:
            writer.close()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in answer


async def test_application_can_tell_when_the_client_has_hung_up() -> None:
    async with staged() as stage:
        stage.gate.clear()
        _, writer = await stage.connect()
        writer.write(request("/gone", close=False))
        await stage.until_phase(Phase.ANSWERING)
        gone: Callable[[], bool] = stage.asked[0][GONE]
        assert not gone()
        writer.close()
        for _ in range(1000):
            if gone():
                break
            await asyncio.sleep(0.001)
        assert gone()
        stage.gate.set()


@pytest.mark.parametrize(
    ("phase", "refused", "least"),
    [
        (Phase.IDLE, False, LIMITS.idle_seconds),
        (Phase.IDLE, True, LIMITS.header_seconds),
        (Phase.HEADERS, False, LIMITS.header_seconds),
        (Phase.BODY, False, LIMITS.body_seconds),
        (Phase.DISCARD, False, LIMITS.discard_seconds),
        (Phase.ANSWERING, False, float("inf")),
    ],
)
def test_each_phase_has_its_own_patience(phase: Phase, refused: bool, least: float) -> None:
    assert not is_overdue(phase, min(least, 1e9), refused, LIMITS)
    assert is_overdue(phase, least + 0.1, refused, LIMITS) == (least != float("inf"))


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before the body is there."""
    await send_response(send, json_response({"path": scope["path"]}), close=False)


async def test_connection_can_be_used_again_when_the_answer_came_before_the_body() -> None:
    async with staged(application=refusing) as stage:
        reader, writer = await stage.connect()
        writer.write(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
        assert b'"/1"' in await reader.readuntil(b"}")
        await stage.until_phase(Phase.DISCARD)
        writer.write(b"x" * 100_000 + request("/2", close=False))
        assert b'"/2"' in await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.close()


async def test_connection_is_closed_when_a_body_that_nobody_wants_does_not_end() -> None:
    async with staged(application=refusing) as stage:
        reader, writer = await stage.connect()
        writer.write(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nx")
        await stage.until_phase(Phase.DISCARD)
        stage.sweep(LIMITS.discard_seconds + 1)
        assert b'"/1"' in await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_client_that_does_not_read_its_answer_is_dropped() -> None:
    async def verbose(scope: Scope, receive: Receive, send: Send) -> None:
        await send_response(send, json_response({"filler": "x" * 30_000_000}), close=False)

    async with staged(application=verbose) as stage:
        _, writer = await stage.connect()
        writer.write(request(close=False))
        connection = await stage.until_phase(Phase.IDLE)
        while not connection.transport.get_write_buffer_size():
            await asyncio.sleep(0.001)
        stage.sweep(LIMITS.idle_seconds + 1)
        await asyncio.sleep(0)
        assert connection.transport.is_closing()
        assert not stage.state.connections
        writer.transport.abort()


async def test_client_that_does_not_read_is_dropped_when_answers_wait_behind_the_one_it_does_not_read() -> None:
    async def verbose(scope: Scope, receive: Receive, send: Send) -> None:
        await send_response(send, json_response({"filler": "x" * 10_000_000}), close=False)

    async with staged(application=verbose) as stage:
        _, writer = await stage.connect()
        writer.write(2 * request(close=False))
        connection = await stage.until_phase(Phase.ANSWERING)
        while not connection.flow.write_paused:
            await asyncio.sleep(0.001)
        stage.sweep(LIMITS.idle_seconds - 1)
        assert not connection.transport.is_closing()
        stage.sweep(2)
        assert connection.transport.is_closing()
        writer.transport.abort()


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"


@pytest.mark.parametrize("endless", [b"0\r\n" + 20 * b"a: b\r\n", b"0\r\na: " + 100 * b"b", b"1;" + 100 * b"e"])
async def test_body_is_refused_with_431_when_what_is_around_its_chunks_does_not_end(endless: bytes) -> None:
    async with staged() as stage:
        reader, writer = await stage.connect()
        writer.write(CHUNKED)
        connection = await stage.until_phase(Phase.BODY)
        writer.write(endless)
        for _ in range(40):
            writer.write(endless[-48:])
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 431")
        assert (b"a", b"b") not in connection.headers
        writer.close()


async def test_body_is_read_when_its_chunks_together_have_longer_sizes_than_headers_may_be() -> None:
    chunk = b"1;" + 20 * b"e" + b"\r\nx\r\n"
    async with staged() as stage:
        reader, writer = await stage.connect()
        writer.write(CHUNKED)
        for _ in range(100):
            writer.write(chunk)
            await asyncio.sleep(0)
        writer.write(b"0\r\na: b\r\n\r\n")
        assert b'"bytes":101' in await asyncio.wait_for(reader.readuntil(b"}"), 10)
        writer.close()


async def test_next_request_is_answered_when_its_headers_begin_behind_a_long_body() -> None:
    sent, last = request("/1", 5000 * b"x", close=False), request("/2")
    async with staged() as stage:
        reader, writer = await stage.connect()
        writer.write(sent + last[:30])
        await stage.until_phase(Phase.HEADERS)
        writer.write(last[30:])
        answers = await asyncio.wait_for(reader.read(), 10)
        assert [answers.count(path) for path in (b'"/1"', b'"/2"', b"HTTP/1.1 200")] == [1, 1, 2]
        writer.close()


async def test_connection_ends_with_503_when_too_many_requests_wait_on_it() -> None:
    limits = ConnectionLimits(header_bytes=1000, pipelined=3)
    async with staged(limits) as stage:
        assert (await stage.exchange(3 * request(close=False) + request())).count(b"HTTP/1.1 200") == 4
        answer = await stage.exchange(6 * request(close=False))
        assert answer.startswith(b"HTTP/1.1 503")
        assert answer.count(b"HTTP/1.1 ") == 1


async def test_request_is_not_answered_when_one_behind_it_ended_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with staged() as stage:
        stage.gate.clear()
        reader, writer = await stage.connect()
        writer.write(2 * request(close=False) + b"not http at all\r\n\r\n")
        answer = asyncio.ensure_future(reader.read())
        while not any(cast("Connection", one)._lingers for one in stage.state.connections):
            await asyncio.sleep(0.001)
        stage.gate.set()
        await asyncio.gather(*stage.state.tasks)
        writer.close()
        assert (await asyncio.wait_for(answer, 10)).startswith(b"HTTP/1.1 400")
    assert not caplog.records
