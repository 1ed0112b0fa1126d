"""A client's connection: uvicorn's, with limits on what a client may send, how long it may take and how many there are.

One sweep a second looks at all connections; none has a timer of its own.
"""

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from modelserver.serving.http import JSON, Message, Receive, Scope, Send, encode_error

GONE = "modelserver.gone"
"""Key of the scope: a function that says whether the client has hung up."""
SWEEP_SECONDS = 1.0

log = logging.getLogger("modelserver")


@dataclass(frozen=True)
class ConnectionLimits:
    """What a client may do.

    Attributes:
        header_bytes: Request line and headers, together; also whatever comes around a body that is sent in chunks, at a time.
        header_seconds: From a request's first byte until its headers are complete.
        body_seconds: From then until its body is.
        idle_seconds: Without a request, or without reading what it was answered. Longer than clients and proxies keep
            theirs, so that it is they who close idle connections, not we under a request.
        discard_seconds: To send, and us to throw away, the rest of a body that was answered before it was complete.
        connections: At once; more are answered 503.
        pipelined: Requests that wait on one connection for the answer to the one before; more end it with 503.
    """

    header_bytes: int = 32 * 1024
    header_seconds: float = 10.0
    body_seconds: float = 10.0
    idle_seconds: float = 75.0
    discard_seconds: float = 5.0
    connections: int = 2048
    pipelined: int = 128


class Phase(Enum):
    """What a connection does."""

    IDLE = auto()
    HEADERS = auto()
    BODY = auto()
    ANSWERING = auto()
    DISCARD = auto()


def is_overdue(phase: Phase, seconds: float, refused: bool, limits: ConnectionLimits) -> bool:
    """Say whether a connection is to be closed.

    Args:
        phase: What it does.
        seconds: Since when.
        refused: Whether there were too many when it came.
        limits: Of the server.
    """
    if phase is Phase.ANSWERING:  # the engine keeps deadlines
        return False
    longest = {
        Phase.IDLE: limits.header_seconds if refused else limits.idle_seconds,
        Phase.HEADERS: limits.header_seconds,
        Phase.BODY: limits.body_seconds,
        Phase.DISCARD: limits.discard_seconds,
    }
    return seconds > longest[phase]


def refusal(status: HTTPStatus, message: str) -> bytes:
    """Return a whole answer that ends the connection."""
    body = encode_error(message)
    after = b"retry-after: 1\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else b""
    headers = b"content-type: %b\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n" % (JSON, len(body), after)
    return STATUS_LINE[status] + headers + body


class Clock:
    """The time of the last sweep: exact enough for timeouts, and free to read."""

    now: float = 0.0


class Hangup:
    """Whether the client of a connection has hung up."""

    __slots__ = ("_gone",)

    def __init__(self) -> None:
        self._gone = False

    def set(self) -> None:
        """Note that it has."""
        self._gone = True

    def __call__(self) -> bool:
        """Say whether it has."""
        return self._gone


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    body = encode_error("connections: as many as this server takes; try again later or elsewhere")
    headers = [
        (b"content-type", JSON),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": int(HTTPStatus.SERVICE_UNAVAILABLE), "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Target:
    """What a request line asks for. A client mostly asks for the same again.

    Args:
        url: As it came; empty for none.

    Raises:
        httptools.HttpParserInvalidURLError: When it is none.
    """

    def __init__(self, url: bytes) -> None:
        self.url = url
        parts = httptools.parse_url(url or b"/")
        self.raw_path: bytes = parts.path
        self.path = unquote(self.raw_path.decode("ascii")) if b"%" in self.raw_path else self.raw_path.decode("ascii")
        self.query: bytes = parts.query or b""


class Cycle(RequestResponseCycle):
    """A request and its answer. As uvicorn's, but the answer goes out in one write: each wakes the client up.

    Whoever answers states the length of the body and sends it as a whole.
    """

    _head: Message | None = None

    async def send(self, message: Message) -> None:
        """Keep the head until the body is there, then write both."""
        if self._head is None:
            self._head = message
            self.response_started = True
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        scope: Scope = self.scope
        self.disconnected = self.disconnected or scope[GONE]()
        if self.disconnected:
            return
        parts = self._head_parts(self._head)
        if self.scope["method"] != "HEAD":
            parts.append(message["body"])
        if not self.transport.is_closing():  # a client that reset the connection: `disconnected` comes a turn later
            self.transport.write(b"".join(parts))
        self._complete()

    def _head_parts(self, head: Message) -> list[bytes]:
        parts = [STATUS_LINE[head["status"]]]
        for name, value in (*self.default_headers, *head["headers"]):
            if name == b"connection":
                self.keep_alive = False
            else:
                parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        return parts

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class Connection(HttpToolsProtocol):
    """A client's connection. Use `connection_class`.

    Attributes:
        limits: Of the server.
        clock: Of the server.
    """

    limits: ConnectionLimits
    clock: Clock

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._hangup = Hangup()
        self._phase = Phase.IDLE
        self._since = self.clock.now
        self._header_bytes = 0
        self._fed_bytes = 0
        self._bare_bytes = 0
        self._messages_begun = 0
        self._has_body = False
        self._unread_since = 0.0
        self._target = Target(b"")
        self._refused = False
        self._lingers = False
        self._offers_upgrade = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's signature
        """Begin; one connection too many is told so when it asks for something."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refused = True
            self.app = _too_many

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever works for this client that nobody listens any more."""
        self._hangup.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the headers get too long."""
        if self._lingers:
            return
        self._fed_bytes = len(data)
        self._messages_begun = 0 if self._phase is Phase.IDLE else 1
        self._has_body = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("invalid")
        if self._lingers:
            return
        if self._phase is Phase.HEADERS:
            self._count_header_bytes()
        elif self._phase in (Phase.BODY, Phase.DISCARD) and not self._has_body:
            self._count_bare_bytes()

    def _count_header_bytes(self) -> None:
        """Refuse headers that get too long. Where they begin within what came, whatever was before them does not count."""
        if self._messages_begun > 1:
            return
        self._header_bytes += self._fed_bytes
        if self._header_bytes > self.limits.header_bytes:
            self._refuse_headers()

    def _count_bare_bytes(self) -> None:
        """Refuse a body of which nothing comes but what is around its chunks: their sizes, extensions, trailers."""
        self._bare_bytes += self._fed_bytes
        if self._bare_bytes <= self.limits.header_bytes:
            return
        if self._phase is Phase.DISCARD:
            self.transport.close()  # it has its answer
        else:
            self._refuse_headers()

    def _feed(self, data: bytes | memoryview) -> None:
        """Parse. An offer of another protocol is ignored, as RFC 9110, 7.8 allows; the parser stops after its headers."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if not self._offers_upgrade:
                    return  # CONNECT, whose answer says that there is no such method
                data = memoryview(data)[offer.args[0] :]
                self._begin_without_offer()
            else:
                return

    def _begin_without_offer(self) -> None:
        """Have a parser that does not stop take over, at the end of the same headers."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._lingers:
            return
        super().on_message_begin()
        self._messages_begun += 1
        self._bare_bytes = 0
        scope: Any = self.scope
        scope[GONE] = self._hangup
        if self._phase is not Phase.HEADERS:
            self._phase, self._since, self._header_bytes = Phase.HEADERS, self.clock.now, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. What comes after a body (RFC 9110, 6.5) nobody asks for."""
        if self._phase is Phase.HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the application, unless the headers are too long."""
        if self._lingers:
            return
        self._offers_upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._offers_upgrade:
            return  # they come again, without the offer: see `_feed`
        # What has come is mostly less than what headers alone may be: then there is nothing to add up.
        if self._header_bytes + self._fed_bytes > self.limits.header_bytes and self._are_headers_too_long():
            self._refuse_headers()
            return
        self._header_bytes = 0
        self._phase, self._since = Phase.BODY, self.clock.now
        self._begin_cycle()

    def _begin_cycle(self) -> None:
        """Start the application on this request, or queue it behind the one before. As uvicorn's, with our cycle."""
        http_version = self.parser.get_http_version()
        if self.url != self._target.url:
            self._target = Target(self.url)
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = http_version
        self.scope["path"] = self._target.path
        self.scope["raw_path"] = self._target.raw_path
        self.scope["query_string"] = self._target.query
        before = self.cycle
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        elif len(self.pipeline) >= self.limits.pipelined:
            limit = self.limits.pipelined
            self.refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, f"pipeline: more than {limit} requests wait, expected at most that"
            )
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if not self._lingers:
            self._has_body, self._bare_bytes = True, 0
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if self._lingers or self._offers_upgrade:
            return
        self._phase = Phase.ANSWERING if self._phase is Phase.BODY else Phase.IDLE
        self._since = self.clock.now
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the next request of a pipeline, or wait for one. As uvicorn's, without a timer for each."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._phase is not Phase.HEADERS:
            self._phase = Phase.DISCARD if self._phase is Phase.BODY else Phase.IDLE
            self._since = self.clock.now

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self.refuse(HTTPStatus.BAD_REQUEST, f"request: {msg.rstrip('.')}, expected HTTP/1.1")

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer for good: nothing that comes on this connection is looked at any more.

        What is on its way is still read, for a while: closing at once would reset the connection under the answer.
        """
        if self._lingers or self.transport.is_closing():
            return
        self._lingers = True
        self._phase, self._since = Phase.DISCARD, self.clock.now
        self._hangup.set()
        self.pipeline.clear()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()
        self.transport.write(refusal(status, message))
        self.transport.write_eof()

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        self._unread_since = self.clock.now
        super().pause_writing()

    def sweep(self) -> None:
        """Close the connection when the client takes too long."""
        if self.flow.write_paused and self.clock.now - self._unread_since > self.limits.idle_seconds:
            self.transport.abort()  # answers wait behind the one that it does not read
            return
        if not is_overdue(self._phase, self.clock.now - self._since, self._refused, self.limits):
            return
        if self._phase is Phase.HEADERS:
            self._refuse_slow("headers", self.limits.header_seconds)
        elif self._phase is Phase.BODY:
            self._refuse_slow("body", self.limits.body_seconds)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # a client that does not read: there is no end to waiting for it
        else:
            self.transport.close()

    def _refuse_slow(self, what: str, seconds: float) -> None:
        self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"{what}: not complete after {seconds:g} s")

    def _are_headers_too_long(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > self.limits.header_bytes

    def _refuse_headers(self) -> None:
        limit = self.limits.header_bytes
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self.refuse(status, f"headers: more than {limit} bytes, expected at most that")


def connection_class(limits: ConnectionLimits, clock: Clock) -> type[Connection]:
    """Return the class of a server's connections, as uvicorn wants it.

    Args:
        limits: Of this server.
        clock: Told the time by `sweep_connections`.
    """
    return type("ServedConnection", (Connection,), {"limits": limits, "clock": clock})


def sweep_connections(state: ServerState, clock: Clock, now: float) -> None:
    """Close what is overdue.

    Args:
        state: Uvicorn's, with all connections.
        clock: Of the connections; told the time.
        now: Monotonic, seconds.
    """
    clock.now = now
    for connection in list(state.connections):
        if isinstance(connection, Connection):
            connection.sweep()
