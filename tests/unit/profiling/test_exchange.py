"""The profiler's HTTP client against servers that answer in every way HTTP/1.1 allows, and in some it does not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from modelscaler.profiling.exchange import Address, Exchange, ExchangeError
from modelscaler.profiling.server import Server

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@asynccontextmanager
async def answering(*answers: bytes, close: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve these answers, one for each request, whatever it is; yield the port and what was received."""
    received: list[bytes] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left and (head := await reader.readuntil(b"\r\n\r\n")):
            received.append(head + await reader.readexactly(4))
            writer.write(left.pop(0))
            if close or not left:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], received


async def asked(answers: Sequence[bytes], times: int = 1, close: bool = False) -> list[tuple[int, bytes]]:
    async with answering(*answers, close=close) as (port, _):
        address = Address("127.0.0.1", port, "/infer", secure=False)
        exchange = Exchange(address, 5.0)
        try:
            return [await exchange.ask(address.post(b"body")) for _ in range(times)]
        finally:
            exchange.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (PLAIN, (200, b"hi")),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", (503, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", (200, b"hi")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nTrailer: x\r\n\r\n", (200, b"hi")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, (200, b"hi")),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", (200, b"hi")),
    ],
)
async def test_answer_is_read_however_its_length_is_told(answer: bytes, expected: tuple[int, bytes]) -> None:
    assert await asked([answer]) == [expected]


async def test_connection_is_kept_between_requests() -> None:
    assert await asked([PLAIN] * 3, times=3) == [(200, b"hi")] * 3


async def test_connection_is_opened_again_when_the_server_says_that_it_closes() -> None:
    closing = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert await asked([closing] * 2, times=2, close=True) == [(200, b"hi")] * 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", "closed in the middle"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "expected HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "many"),
        (b"", "closed in the middle"),
    ],
)
async def test_error_says_what_is_wrong_when_there_is_no_answer(answer: bytes, message: str) -> None:
    with pytest.raises(ExchangeError, match=message):
        await asked([answer])


async def test_request_is_as_the_protocol_has_it() -> None:
    async with answering(PLAIN) as (port, received):
        address = Address.of(f"http://127.0.0.1:{port}/v2/models/m/infer?x=1")
        exchange = Exchange(address, 5.0)
        await exchange.ask(address.post(b"body"))
        exchange.close()
    head, _, body = received[0].partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /v2/models/m/infer?x=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}".encode() in head
    assert body == b"body"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://models.example", Address("models.example", 443, "/", secure=True)),
        ("http://[::1]:8080/v2", Address("::1", 8080, "/v2", secure=False)),
    ],
)
def test_address_is_found_in_a_url(url: str, expected: Address) -> None:
    assert Address.of(url) == expected


def test_failures_are_counted_and_the_first_is_told() -> None:
    asked = Server("http://127.0.0.1:9", "m").ask([b"body"], clients=2, most_requests=4, most_seconds=5.0)
    assert (asked.failures, asked.latencies_seconds) == (4, ())
    assert 0.0 < asked.busy_share <= 1.5
    assert asked.first_failure.startswith("http://127.0.0.1:9/v2/models/m/infer: ")
