"""A `modelscaler activator` process on free loopback ports."""

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
LABELS = "modeldeployment_namespace=ns,modeldeployment=m,pool=activator"
SHOWN = '{modeldeployment="m",modeldeployment_namespace="ns",pool="activator"}'
COMMAND = str(Path(sys.executable).with_name("modelscaler"))
_LISTENING = r"listening on http://127\.0\.0\.1:(\d+) for {}"
_PATIENCE_SECONDS = 30.0


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
    return port


@dataclass
class ActivatorProcess:
    """A running activator."""

    process: subprocess.Popen[bytes]
    log: Path
    start_seconds: float = 0.0

    @property
    def port(self) -> int:
        return self._port("requests")

    @property
    def status_port(self) -> int:
        return self._port("status")

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Send a request and wait for its answer."""
        return _asked(self.port, method, path, body)

    def status(self, path: str) -> tuple[int, bytes]:
        return _asked(self.status_port, "GET", path, None)

    def metric(self, series: str) -> float | None:
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.ask("GET", "/metrics")[1].decode(), re.MULTILINE)
        return float(found[1]) if found else None

    def until_held(self, requests: int) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.metric(f"modelserver_queue_depth{SHOWN}") != requests:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _port(self, what: str) -> int:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (found := re.search(_LISTENING.format(what), self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.005)
        return int(found[1])


def _asked(port: int, method: str, path: str, body: str | None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def command(upstream_port: int, *options: str) -> list[str]:
    """Return the command of an activator in front of a port."""
    where = ["--upstream", f"http://{HOST}:{upstream_port}", "--host", HOST, "--port", "0", "--status-port", "0"]
    return [COMMAND, "activator", *where, *options]


@contextmanager
def activating(upstream_port: int, log: Path, *options: str) -> Iterator[ActivatorProcess]:
    """Run an activator until the block ends."""
    began = time.monotonic()
    environment = {**os.environ, "MODELSERVER_METRIC_LABELS": LABELS}
    with log.open("wb") as output:
        process = subprocess.Popen(command(upstream_port, *options), stderr=output, env=environment)
        try:
            started = ActivatorProcess(process, log)
            assert started.port
            started.start_seconds = time.monotonic() - began
            yield started
        finally:
            process.kill()
            process.wait(timeout=10)
