"""A `modelserver serve` process on a free loopback port."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

START_SECONDS = 60
TESTS = Path(__file__).parent
SLEEPY = "python:lifecycle_models:Sleepy"
QUERY = {
    "inputs": [{"name": "query", "datatype": "BYTES", "shape": [1], "data": ["navy waterproof hiker"]}],
}


def sleep_body(*milliseconds: int, **more: object) -> dict[str, object]:
    """Return a request to the sleepy model."""
    tensor = {"name": "ms", "datatype": "INT64", "shape": [len(milliseconds)], "data": list(milliseconds)}
    return {"inputs": [tensor], **more}


@dataclass
class ServerProcess:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    model: str = "search-ranker"

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def infer(self, body: Any = QUERY) -> int:
        """Send one request to the model; return the status."""
        return self.request("POST", f"/v2/models/{self.model}/infer", body)[0]

    def is_ready(self) -> bool:
        return self.request("GET", "/v2/health/ready")[0] == 200

    def metric(self, series: str) -> float:
        """Return a series' value."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.request("GET", "/metrics")[1].decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait_until_ready(self) -> None:
        """Wait for readiness."""
        self.wait_for(self.is_ready)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so after {START_SECONDS} s:\n{self.log.read_text()}")
            time.sleep(0.02)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that compute."""
        return [child for child in self.descendants() if "modelserver.worker" in " ".join(_command(child))]

    def fronts(self) -> list[psutil.Process]:
        """Return the processes that speak HTTP, when there are several."""
        return [child for child in self.descendants() if "modelserver.worker" not in " ".join(_command(child))]

    def resident_bytes(self) -> int:
        """Return the resident memory of all its processes."""
        processes = [psutil.Process(self.process.pid), *self.descendants()]
        return sum(process.memory_info().rss for process in processes)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def maps_library(process: int, name: str) -> bool:
    """Say whether a process has a shared library in memory."""
    return name in Path(f"/proc/{process}/maps").read_text()


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


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which the tests' models can be imported."""
    return {**os.environ, "PYTHONPATH": str(TESTS), **more}


@contextmanager
def serving(
    model: Path | str, variant: str, log: Path, *options: str, name: str = "search-ranker", **variables: str
) -> Iterator[ServerProcess]:
    """Serve a model until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            serve_command(model, variant, *options), stdout=output, stderr=output, env=environment(**variables)
        )
        try:
            yield ServerProcess(process, _port(process, log), log, name)
        finally:
            process.kill()
            process.wait(timeout=10)


@contextmanager
def sleepy_server(log: Path, *options: str, **variables: str) -> Iterator[ServerProcess]:
    """Serve the sleepy model, ready, until the block ends."""
    with serving(SLEEPY, "full", log, "--workers", "1", *options, name="sleepy", **variables) as server:
        server.wait_until_ready()
        yield server
