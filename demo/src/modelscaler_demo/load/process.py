"""The load generator as a process of its own, so that nobody else's work delays its clock.

The demo and the end-to-end tests start it, read a line of JSON per second, and get the totals at the end.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.tally import Second

READ_SECONDS = 5.0


@dataclass(slots=True)
class LoadProcess:
    """A running load generator. `seconds` grows while it runs; `summary` is empty until it ended."""

    process: subprocess.Popen[str]
    seconds: list[Second] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    _reader: threading.Thread | None = None

    def start_reading(self) -> None:
        """Read its lines in the background."""
        self._reader = threading.Thread(target=self._read, name="load-reader", daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def wait(self, timeout_seconds: float) -> dict[str, Any]:
        """Wait for its end and return the totals, as `Totals.summary` gives them.

        Raises:
            DemoError: It failed, or is not done in time.
        """
        try:
            code = self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"the load generator is not done after {timeout_seconds:.0f} s") from error
        if self._reader:
            self._reader.join(READ_SECONDS)
        if code or not self.summary:
            raise DemoError(f"the load generator ended with status {code}; what it said is above")
        return self.summary

    def stop_sending(self) -> None:
        """Let it send nothing more; `wait` for what is under way."""
        if self.running:
            self.process.terminate()

    def kill(self) -> None:
        """End it at once, whatever is under way."""
        if self.running:
            self.process.kill()
        self.process.wait()
        if self._reader:
            self._reader.join(READ_SECONDS)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            message = json.loads(line)
            if "second" in message:
                self.seconds.append(Second(**message["second"]))
            elif "summary" in message:
                self.summary = message["summary"]


def line_of(second: Second) -> str:
    """Write a second as the line that `LoadProcess` reads."""
    return json.dumps({"second": asdict(second)}, separators=(",", ":"))


def line_of_summary(summary: dict[str, Any]) -> str:
    """Write the totals as the line that `LoadProcess` reads."""
    return json.dumps({"summary": summary}, separators=(",", ":"))


@contextmanager
def load_process(arguments: Sequence[str]) -> Iterator[LoadProcess]:
    """Run `modelscaler-demo load` with these arguments; it is killed on the way out if it still runs."""
    command = [sys.executable, "-m", "modelscaler_demo.cli", "load", "--stream", *arguments]
    # stdin stays open as a lifeline: the generator ends when whoever started it is gone.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    running = LoadProcess(process)
    running.start_reading()
    try:
        yield running
    finally:
        running.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
