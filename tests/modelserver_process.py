"""A `modelserver serve` process on a free loopback port."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 60
QUERY = {
    "inputs": [{"name": "query", "datatype": "BYTES", "shape": [1], "data": ["navy waterproof hiker"]}],
}


@dataclass
class ServerProcess:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def infer(self) -> int:
        """Send one query; return the status."""
        return self.request("POST", "/v2/models/search-ranker/infer", QUERY)[0]

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait_until_ready(self) -> None:
        """Wait for readiness."""
        deadline = time.monotonic() + START_SECONDS
        while self.request("GET", "/v2/health/ready")[0] != 200:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ready after {START_SECONDS} s:\n{self.log.read_text()}")
            time.sleep(0.05)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(f"the server does not listen:\n{log.read_text()}")


def serve_command(model: Path | str, variant: str, *options: str) -> list[str]:
    """Return the command that serves a model on a free port."""
    where = ["--model", str(model), "--variant", variant, "--port", "0"]
    return [sys.executable, "-m", "modelserver", "serve", *where, *options]


@contextmanager
def serving(model: Path, variant: str, log: Path, *options: str) -> Iterator[ServerProcess]:
    """Serve a model until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(serve_command(model, variant, *options), stdout=output, stderr=output)
        try:
            yield ServerProcess(process, _port(process, log), log)
        finally:
            process.kill()
            process.wait(timeout=10)
