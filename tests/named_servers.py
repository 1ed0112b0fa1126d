"""HTTP servers that say who they are, and a client that keeps asking."""

import contextlib
import http.client
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ANYWHERE = ("198.51.100.1", 9)
"""An address for documentation (RFC 5737): which of ours would send to it is asked, and nothing is sent."""
TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.004
"""Between two requests of a client that keeps asking: the machine has other things to do."""


def own_address() -> str:
    """Return an address of this machine that is no loopback one, as EndpointSlices ask for; skips where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ANYWHERE)
        except OSError as error:
            pytest.skip(f"this machine has loopback addresses alone, which EndpointSlices refuse: {error}")
        return str(probe.getsockname()[0])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that the gateway resets, as it does with idle ones; tell of all else."""
        if not isinstance(sys.exception(), ConnectionResetError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextlib.contextmanager
def named_server(name: str, address: str) -> Iterator[int]:
    """Run a server that answers every GET with its name while the block runs; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for headers and body

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = _Server((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of one request: the server's name, else the status or the error; when, by the monotonic clock."""

    said: str
    at: float


@dataclass
class Client:
    """Asks a gateway for one host over a kept connection."""

    address: tuple[str, int]
    host: str
    answers: list[Answer] = field(default_factory=list)

    def ask(self, times: int) -> Counter[str]:
        """Send requests one after another; return how often who answered."""
        first = len(self.answers)
        with contextlib.closing(self._connection()) as connection:
            for _ in range(times):
                self._ask(connection)
        return Counter(answer.said for answer in self.answers[first:])

    @contextlib.contextmanager
    def keeps_asking(self) -> Iterator[None]:
        """Send requests one after another from another thread while the block runs."""
        ended = threading.Event()

        def run() -> None:
            with contextlib.closing(self._connection()) as connection:
                while not ended.wait(PAUSE_SECONDS):
                    self._ask(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def said_since(self, at: float) -> Counter[str]:
        """Return how often who answered after a time of the monotonic clock."""
        return Counter(answer.said for answer in self.answers if answer.at > at)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=TIMEOUT_SECONDS)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.request("GET", "/", headers={"Host": self.host})
            response = connection.getresponse()
            body = response.read().decode()
            said = body if response.status == 200 else str(response.status)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            said = repr(error)
        self.answers.append(Answer(said, time.monotonic()))
