"""One blocking connection that sends whatever bytes it is given, and reads answers as strictly as HTTP/1.1 is."""

import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

import httptools

from modelscaler_benchmarks.serving_process import HOST

_PIECE_BYTES = 65536


class ConnectionEndedError(Exception):
    """The server ended the connection, or did not answer in time; the message says which."""


@dataclass
class Received:
    """An answer.

    Attributes:
        status: HTTP status.
        headers: Names in lower case.
        body: Whole.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Reader:
    """Collects the answers of a connection; what httptools calls."""

    def __init__(self) -> None:
        self.complete: deque[Received] = deque()
        self.keeps_alive = True
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, piece: bytes) -> None:
        self._parser.feed_data(piece)

    def on_message_begin(self) -> None:
        self._received = Received()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._received.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._received.body += body

    def on_message_complete(self) -> None:
        self._received.status = self._parser.get_status_code()
        self.keeps_alive = self._parser.should_keep_alive()
        self.complete.append(self._received)


class Wire:
    """A connection; opens itself when it is closed.

    Args:
        port: Of the server, on HOST.
        limit_seconds: Longest wait for the server to say something.
    """

    def __init__(self, port: int, limit_seconds: float = 30.0) -> None:
        self._port = port
        self._limit_seconds = limit_seconds
        self._socket: socket.socket | None = None
        self._reader = _Reader()

    def ask(self, request: bytes) -> Received:
        """Send a request and return its answer.

        Raises:
            ConnectionEndedError: When there is none.
        """
        self.send(request)
        return self.receive()

    def send(self, data: bytes) -> None:
        """Send bytes. A server that has already answered and closed is no error: its answer can be read."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._open().sendall(data)

    def half_close(self) -> None:
        """Say that nothing more comes."""
        with suppress(OSError):
            self._open().shutdown(socket.SHUT_WR)

    def receive(self) -> Received:
        """Return the next answer.

        Raises:
            ConnectionEndedError: When there is none.
        """
        reader = self._reader
        try:
            while not reader.complete:
                reader.feed(self._piece())
        except httptools.HttpParserError as error:
            self.close()
            raise ConnectionEndedError(f"not HTTP: {error}") from error
        if not reader.keeps_alive and len(reader.complete) == 1:
            self.close()
        return reader.complete.popleft()

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self._port), timeout=self._limit_seconds)
            self._reader = _Reader()
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _piece(self) -> bytes:
        try:
            piece = self._open().recv(_PIECE_BYTES)
        except OSError as error:
            self.close()
            raise ConnectionEndedError(f"{type(error).__name__}: {error}") from error
        if not piece:
            self.close()
            raise ConnectionEndedError("closed without an answer")
        return piece
