"""A small HTTP/1.1 client that costs little enough to offer load from: one request at a time per connection, kept alive."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import httptools

from modelscaler_benchmarks.serving_process import HOST


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status; 0 when the connection was refused, broken or timed out.
        headers: Names in lower case.
        body: Whole.
        reason: What went wrong when the status is 0.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reason: str = ""


def request_bytes(port: int, path: str, body: bytes, headers: Mapping[str, str], method: str = "POST") -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Connection(asyncio.Protocol):
    """One connection to HOST; open it with `connect`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._on_answer: Callable[[Answer], None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""

    @classmethod
    async def connect(cls, port: int) -> "Connection":
        """Open a connection.

        Raises:
            OSError: When it is refused.
        """
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, HOST, port)
        return connection

    @property
    def usable(self) -> bool:
        """Return whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, on_answer: Callable[[Answer], None]) -> None:
        """Send a request; the answer is told once. A broken connection is an answer of status 0."""
        if self._transport is None or not self.usable:
            on_answer(Answer(0, reason="closed before the request"))
            return
        self._on_answer = on_answer
        self._transport.write(request)

    async def ask(self, request: bytes, limit_seconds: float) -> Answer:
        """Send a request and return the answer; see `send`. None in time is one of status 0, too."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.send(request, lambda answer: None if waiting.done() else waiting.set_result(answer))
        try:
            return await asyncio.wait_for(waiting, limit_seconds)
        except TimeoutError:
            reason = f"no answer within {limit_seconds:g} s"
            self.give_up(reason)
            return Answer(0, reason=reason)

    def give_up(self, reason: str) -> None:
        """Wait no longer for an answer, and close."""
        if self._transport is not None:
            self._transport.abort()
        self._settle(Answer(0, reason=reason))

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._settle(Answer(0, reason=f"not HTTP: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Answer whoever waits."""
        self._settle(Answer(0, reason=f"connection lost: {error}"))

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._headers, self._body = {}, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """Answer whoever waits."""
        answer = Answer(self._parser.get_status_code(), self._headers, self._body)
        if not self._parser.should_keep_alive():
            self.close()
        self._settle(answer)

    def _settle(self, answer: Answer) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(answer)


async def ask_once(port: int, request: bytes, limit_seconds: float) -> Answer:
    """Send a request on a connection of its own."""
    try:
        connection = await asyncio.wait_for(Connection.connect(port), limit_seconds)
    except (OSError, TimeoutError) as error:
        return Answer(0, reason=f"not connected: {error}")
    try:
        return await connection.ask(request, limit_seconds)
    finally:
        connection.close()
