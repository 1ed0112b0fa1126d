"""A real Prometheus on loopback, the exporters it scrapes, and servers that are no Prometheus at all."""

import contextlib
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import yaml

SCRAPE_SECONDS = 0.25
START_SECONDS = 30.0


@contextlib.contextmanager
def exporter(expose: Callable[[float], str]) -> Iterator[int]:
    """Serve `expose(seconds since it started)` as metrics and yield the port; it is gone when the block ends."""
    started_at = time.monotonic()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = expose(time.monotonic() - started_at).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _served(server):
        yield server.server_address[1]


@contextlib.contextmanager
def answering(respond: Callable[[socket.socket], None], seen: list[bytes] | None = None) -> Iterator[str]:
    """Let `respond` answer each connection once its request has come (and is put into `seen`), and yield the URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = self.request.recv(65_536)
            if seen is not None:
                seen.append(request)
            with contextlib.suppress(OSError):  # the client may hang up first
                respond(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server, _served(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"


def http(body: bytes, status: str = "200 OK", headers: str = "") -> Callable[[socket.socket], None]:
    """Return a whole HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


@contextlib.contextmanager
def prometheus(program: Path, directory: Path, ports: list[int]) -> Iterator[str]:
    """Run a real Prometheus that scrapes these ports, and yield its URL once it is ready."""
    every = f"{round(SCRAPE_SECONDS * 1000)}ms"
    configuration = {
        "global": {"scrape_interval": every, "scrape_timeout": every},
        "scrape_configs": [{"job_name": "servers", "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in ports]}]}],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    address = f"127.0.0.1:{_free_port()}"
    command = [
        str(program),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            _await_ready(f"http://{address}", process)
            yield f"http://{address}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def _await_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"Prometheus ended at its start with {process.returncode}")
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/-/ready", timeout=1).ok:
                return
        time.sleep(0.05)
    raise TimeoutError(f"Prometheus at {url} was not ready within {START_SECONDS:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
