"""The control plane's processes: started to die with us, registered for whoever cleans up after a crash."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.processes import DIE_WITH_PARENT, ProcessRegistry

STOP_TIMEOUT_SECONDS = 8.0
LOG_TAIL_LINES = 4


class Child:
    """One program with its command line, which may be stopped and started again on the same ports."""

    def __init__(self, name: str, command: Sequence[str], log: Path, registry: ProcessRegistry) -> None:
        self.name = name
        self.wanted = False
        self._command = command
        self._log = log
        self._registry = registry
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Say whether the process lives."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; its output goes to its log."""
        if self.running:
            return
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal is for the supervisor, which stops it in order.
            self._process = await asyncio.create_subprocess_exec(
                *DIE_WITH_PARENT,
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._log.parent,
            )
        self.wanted = True
        self._registry.add(self._process.pid, self.name)

    async def stop(self) -> None:
        """Ask the process to end, and kill it when it takes too long."""
        self.wanted = False
        if self._process is None:
            return
        for number in (signal.SIGCONT, signal.SIGTERM):
            self.signal(number)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_SECONDS)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()
        self._registry.remove(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process lives."""
        if self.running and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def check(self) -> None:
        """Raise if the process ended though it should run.

        Raises:
            LocalClusterError: with its exit code and the end of its log.
        """
        if not self.wanted or self.running or self._process is None:
            return
        tail = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        said = "\n  ".join(line[:400] for line in tail)
        raise LocalClusterError(
            f"{self.name} ended by itself with code {self._process.returncode}; its log {self._log} ends:\n  {said}"
        )
