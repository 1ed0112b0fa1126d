"""Start a server as a process of its own, wait until it answers, and end it as a kubelet would."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

HOST = "127.0.0.1"
POLL_SECONDS = 0.01


class StartError(Exception):
    """A server that did not become ready."""


@dataclass(frozen=True)
class Command:
    """How a server is started.

    Attributes:
        arguments: Program and arguments.
        environment: Set on top of what this process has.
        directory: Working directory; logs go there too.
        ready_path: Path that answers 200 once the server can be used.
        port: Where it listens on HOST.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    ready_path: str
    port: int

    @property
    def url(self) -> str:
        """Return the address of its root."""
        return f"http://{HOST}:{self.port}"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class ServingProcess:
    """A running server; a context manager that ends it with everything that it started."""

    def __init__(
        self, command: Command, *, start_limit_seconds: float = 120.0, stop_limit_seconds: float = 40.0
    ) -> None:
        self.command = command
        self.start_seconds = 0.0
        self._start_limit_seconds = start_limit_seconds
        self._stop_limit_seconds = stop_limit_seconds
        self._log_path = command.directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it is ready.

        Raises:
            StartError: When it ends or is not ready in time; the message closes with the end of its log.
        """
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it politely, then by force."""
        self.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self._stop_limit_seconds)
        self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Return the process that was started."""
        if self._process is None:
            raise StartError("the server was not started")
        return self._process

    def start(self) -> None:
        """Start it in a session of its own, so that its children can be ended with it."""
        self.command.directory.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("wb") as log:
            self._began = time.monotonic()
            self._process = subprocess.Popen(
                list(self.command.arguments),
                cwd=self.command.directory,
                env={**os.environ, **self.command.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it answers 200 on its ready path, and note how long that took."""
        while not is_ready(self.command.url + self.command.ready_path):
            if self.process.poll() is not None:
                raise StartError(f"{self._name()} ended with {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() - self._began > self._start_limit_seconds:
                raise StartError(
                    f"{self._name()} was not ready within {self._start_limit_seconds:g} s:\n{self.log_tail()}"
                )
            time.sleep(POLL_SECONDS)
        self.start_seconds = time.monotonic() - self._began

    @property
    def age_seconds(self) -> float:
        """Return for how long it has been running."""
        return time.monotonic() - self._began

    def terminate(self) -> None:
        """Send SIGTERM to the first process alone, as a kubelet does."""
        self.process.terminate()

    def kill(self) -> None:
        """End whatever is left of its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """Return the end of what it printed."""
        return "\n".join(self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def processes(self) -> list[psutil.Process]:
        """Return the first process, then its descendants."""
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def resident_bytes(self) -> int:
        """Return the resident memory of them all together; pages that they share count for each."""
        total = 0
        for each in self.processes():
            with suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
        return total

    def _name(self) -> str:
        return f"server {' '.join(self.command.arguments[:3])} …"


def is_ready(url: str) -> bool:
    """Return whether an address answers 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:  # noqa: S310 - always http://127.0.0.1
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
