"""One container's process: launched into its namespaces and cgroup, followed, signalled, ended."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.node.cgroups import Cgroup, Limits
from localcluster.node.dutycycle import DutyCycle
from localcluster.node.logs import LogWriter
from localcluster.node.sandbox import Isolation, exec_command, first_process, launch_command
from localcluster.processes import ProcessRegistry

OUTPUT_CHUNK_BYTES = 65536
DRAIN_TIMEOUT_SECONDS = 2.0
EXEC_OUTPUT_LIMIT = 10_000
COMPLAINT_ABOUT_SIGKILL = b"sigprocmask unblock failed"


class StartFailure(Exception):  # noqa: N818 - kubelet's own reason is StartError
    """The command could not be started; the text says why."""


@dataclass(frozen=True)
class Mount:
    """A volume in a container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True)
class Launch:
    """Everything the launcher must know."""

    argv: Sequence[str]
    env: Mapping[str, str]
    hostname: str
    working_dir: str
    mounts: Sequence[Mount]
    keep: Sequence[str]
    scratch: Path
    log: Path
    limits: Limits


@dataclass(frozen=True)
class Exit:
    """How a process ended."""

    code: int
    oom_killed: bool


class ContainerProcess:
    """A running container."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        launch: Launch,
        isolation: Isolation,
        cgroup: Cgroup | None,
        registry: ProcessRegistry,
    ) -> None:
        self._process = process
        self._launch = launch
        self._isolation = isolation
        self._cgroup = cgroup
        self._registry = registry
        self._inner_pid = process.pid
        self._complaint = b""
        self.ended = asyncio.Event()
        self._pump = asyncio.create_task(self._pump_output())
        self._duty: DutyCycle | None = None
        self._duty_task: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, launch: Launch, isolation: Isolation, cgroup: Cgroup | None, registry: ProcessRegistry
    ) -> "ContainerProcess":
        """Start the container and return when its command has been executed.

        Raises:
            StartFailure: with the launcher's words.
        """
        launch.scratch.mkdir(parents=True, exist_ok=True)
        if cgroup is not None:
            cgroup.apply(launch.limits)
        reading, writing = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *launch_command(isolation),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(writing,),
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        registry.add(process.pid, f"container {launch.hostname}")
        os.close(writing)
        container = cls(process, launch, isolation, cgroup, registry)
        await container._give_orders(writing)
        await container._await_report(reading)
        return container

    async def _give_orders(self, report_fd: int) -> None:
        launch = self._launch
        orders = {
            "argv": list(launch.argv),
            "env": dict(launch.env),
            "hostname": launch.hostname,
            "working_dir": launch.working_dir,
            "mounts": [
                {"source": str(mount.source), "target": mount.target, "read_only": mount.read_only}
                for mount in launch.mounts
            ],
            "keep": list(launch.keep),
            "scratch": str(launch.scratch),
            "report_fd": report_fd,
            "isolate": self._isolation is not Isolation.NONE,
            "user_namespace": self._isolation is Isolation.USER_NAMESPACE,
            "cgroup_process_files": self._cgroup.process_files if self._cgroup is not None else [],
        }
        if self._process.stdin is None:
            raise RuntimeError("the launcher was started without a standard input")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(json.dumps(orders).encode())
            await self._process.stdin.drain()
        self._process.stdin.close()

    async def _await_report(self, descriptor: int) -> None:
        report = await _first_line(descriptor, self._process)
        if report == "ok":
            with contextlib.suppress(FileNotFoundError, LocalClusterError):
                # It may have ended already; then there is nobody to signal.
                self._inner_pid = await first_process(self._isolation, self._process.pid)
            self._ration()
            return
        await self.wait()
        said = report.removeprefix("error: ") or self._complaint.decode(errors="replace").strip()
        raise StartFailure(said or "the launcher ended without a word")

    def _ration(self) -> None:
        limits = self._launch.limits
        if self._cgroup is None and (limits.cpu_quota_us is not None or limits.memory_bytes is not None):
            self._duty = DutyCycle(self._inner_pid, limits)
            self._duty_task = asyncio.create_task(self._duty.run())

    async def _pump_output(self) -> None:
        writer = LogWriter(self._launch.log)
        try:
            while self._process.stdout is not None and (chunk := await self._process.stdout.read(OUTPUT_CHUNK_BYTES)):
                writer.write(chunk)
        finally:
            writer.close()

    async def wait(self) -> Exit:
        """Return how it ended, once it has, with everything of it gone."""
        code = await self._exit_code()
        # Plain processes may leave children behind that hold the pipe open.
        self._signal_group(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pump, DRAIN_TIMEOUT_SECONDS)
        if self._duty_task is not None:
            self._duty_task.cancel()
        self.ended.set()
        self._registry.remove(self._process.pid)
        oom_killed = self._duty is not None and self._duty.oom_killed
        if self._cgroup is not None:
            oom_killed = self._cgroup.oom_kills() > 0
            await asyncio.to_thread(self._cgroup.remove)
        return Exit(128 - code if code < 0 else code, oom_killed and code != 0)

    async def _exit_code(self) -> int:
        """Return the exit code, negative for a signal.

        util-linux before 2.39 ends with 1 and a complaint when the container was ended by SIGKILL, because it tries to
        end itself by the same signal and cannot prepare for that one.
        """
        code = await self._process.wait()
        if self._process.stderr is not None:
            with contextlib.suppress(TimeoutError):
                self._complaint = await asyncio.wait_for(self._process.stderr.read(), DRAIN_TIMEOUT_SECONDS)
        return -signal.SIGKILL if code == 1 and COMPLAINT_ABOUT_SIGKILL in self._complaint else code

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal the container's first process, as runtimes do."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._inner_pid, number)

    def kill(self) -> None:
        """End everything in the container at once."""
        self.terminate(signal.SIGKILL)
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    async def run(self, argv: Sequence[str], timeout_seconds: float) -> tuple[int, str]:
        """Run a command in the container; return its exit code and output."""
        process = await asyncio.create_subprocess_exec(
            *exec_command(self._isolation, self._inner_pid, argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self._launch.env),
            start_new_session=True,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), timeout_seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        return process.returncode or 0, output[:EXEC_OUTPUT_LIMIT].decode(errors="replace").strip()


async def _first_line(descriptor: int, process: asyncio.subprocess.Process) -> str:
    """Read the launcher's report; an early death of the launcher counts as an empty one."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    line, ended = asyncio.create_task(reader.readline()), asyncio.create_task(process.wait())
    try:
        await asyncio.wait({line, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not line.done():
            await asyncio.wait({line}, timeout=0.2)
        return line.result().decode(errors="replace").strip() if line.done() else ""
    finally:
        for task in (line, ended):
            task.cancel()
        transport.close()
