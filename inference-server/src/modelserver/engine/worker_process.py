"""A worker process as its front sees it: questions, answers in their order, and an end that is always noticed."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from typing import cast

from modelserver.compute.executor import ExecutorLostError, NotHandedOverError
from modelserver.engine.spawning import spawn
from modelserver.worker.memory import ResidentMemory
from modelserver.worker.messages import Framing, Message, MessageError, read_message, write_message
from modelserver.worker.part import Arenas

CRASH, HANG, MEMORY = "crash", "hang", "memory"
"""Reasons of ExecutorLostError."""
WATCH_SECONDS = 0.1
"""Between two looks at a worker's memory and at how long it has been silent."""
_EXIT_SECONDS = 0.5
"""What a worker that has closed its socket gets to end by itself, so that its exit code can be told."""


@dataclass(frozen=True)
class Limits:
    """What a worker is killed for.

    Attributes:
        wedged_after_seconds: Longest time for a batch.
        memory_limit_bytes: Most resident memory; None for no limit.
    """

    wedged_after_seconds: float = 30.0
    memory_limit_bytes: int | None = None


@dataclass
class _Question:
    answer: asyncio.Future[Message]
    within_seconds: float
    is_batch: bool


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = "; the kernel does that when memory runs out" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"


class WorkerProcess(asyncio.Protocol):
    """A running worker. Questions may follow each other without waiting: it answers one after the other.

    Use `spawn`; or, for a worker that was spawned and given orders, `expect` the answers, then `connect`.

    Args:
        process: The worker.
        limits: What it is killed for.
    """

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self._process = process
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._framing = Framing()
        self._questions: deque[_Question] = deque()
        self._idle = asyncio.Event()
        self._head_since = 0.0
        self._lost: asyncio.Future[ExecutorLostError] = self._loop.create_future()
        self._ended = self._loop.create_future()
        self._transport: asyncio.WriteTransport | None = None
        self._resident = ResidentMemory(process.pid)
        self._end_descriptor = os.pidfd_open(process.pid)
        self._loop.add_reader(self._end_descriptor, self._on_exit)
        self._watch = self._loop.call_later(WATCH_SECONDS, self._look)

    @classmethod
    async def spawn(cls, arenas: Arenas, limits: Limits, threads: int = 1) -> "WorkerProcess":
        """Start a worker.

        Args:
            arenas: Shared with it.
            limits: What it is killed for.
            threads: To compute with.

        Raises:
            OSError: When no process can be started.
        """
        spawned = spawn(arenas.shared, threads)
        worker = cls(spawned.process, limits)
        await worker.connect(spawned.connection)
        return worker

    async def connect(self, connection: socket.socket) -> None:
        """Talk to the worker from now on.

        Args:
            connection: The front's end; from now on this one's to close.
        """
        await self._loop.create_unix_connection(lambda: self, sock=connection)

    @property
    def process_id(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """Say whether it is gone, or as good as."""
        return self._lost.done()

    async def ask(self, message: Message, within_seconds: float | None = None) -> Message:
        """Send a message and wait for its answer.

        Args:
            message: To the worker.
            within_seconds: From when all earlier ones are answered; None for a batch, which has the limits of one. What loads
                may take more memory for a moment: the worker then gives it up by itself.

        Raises:
            NotHandedOverError: When the worker had gone before.
            ExecutorLostError: When it is gone now, or was killed for the time or the memory that it took.
        """
        if self._transport is None or self._transport.is_closing() or self._lost.done() or self._has_ended():
            error = await self.lost()
            raise NotHandedOverError(error.reason, str(error))
        answer = self.expect(within_seconds)
        self._transport.write(write_message(message))
        return await answer

    def expect(self, within_seconds: float | None = None) -> "asyncio.Future[Message]":
        """Return the next answer, to a message that has been sent or is about to be; see `ask`."""
        if self._lost.done():
            return self._loop.create_task(self._raise_lost())
        within = self._limits.wedged_after_seconds if within_seconds is None else within_seconds
        question = _Question(self._loop.create_future(), within, within_seconds is None)
        if not self._questions:
            self._head_since = time.monotonic()
            self._idle.clear()
        self._questions.append(question)
        return question.answer

    async def _raise_lost(self) -> Message:
        raise await self.lost()

    def _has_ended(self) -> bool:
        """Say whether the process has ended, which the loop may not have come to yet. A microsecond."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    async def idle(self) -> None:
        """Wait until nothing is asked any more; whoever asked may have been cancelled."""
        if self._questions:
            await self._idle.wait()

    async def lost(self) -> ExecutorLostError:
        """Wait until it is gone; return why."""
        return await asyncio.shield(self._lost)

    async def end(self) -> None:
        """End it, whatever it does, and wait until it is gone."""
        self._lose(CRASH, "was told to end")
        await asyncio.shield(self._ended)

    def distrust(self, error: Exception) -> ExecutorLostError:
        """Kill a worker whose answer makes no sense; return what to raise."""
        self._lose(CRASH, f"was killed: its answer makes no sense, {type(error).__name__}: {error}")
        return self._lost.result()

    def check_memory(self, resident: int) -> None:
        """Kill the worker when its resident memory is beyond the limit.

        Args:
            resident: Its resident memory, bytes.
        """
        limit = self._limits.memory_limit_bytes
        if limit is not None and resident > limit:
            self._lose(MEMORY, f"was killed: {resident >> 20} MiB of memory, expected at most {limit >> 20}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the worker."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its type

    def data_received(self, data: bytes) -> None:
        """Hand each answer to who asked first."""
        try:
            for text in self._framing.feed(data):
                self._answer(read_message(text))
        except MessageError as error:
            self._lose(CRASH, f"was killed: {error}")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - a Protocol's
        """Give the worker a moment to end, so that it can be told how it did."""
        self._loop.call_later(_EXIT_SECONDS, self._lose, CRASH, "was killed: it closed its socket")

    def _answer(self, message: Message) -> None:
        if not self._questions:
            raise MessageError(f"message {type(message).__name__}: nothing was asked")
        question = self._questions.popleft()
        self._head_since = time.monotonic()
        if not self._questions:
            self._idle.set()
        if not question.answer.done():  # who asked may have been cancelled
            question.answer.set_result(message)

    def _look(self) -> None:
        self._watch = self._loop.call_later(WATCH_SECONDS, self._look)
        if not self._questions:
            return
        question = self._questions[0]
        if time.monotonic() - self._head_since > question.within_seconds:
            self._lose(HANG, f"was killed: no answer within {question.within_seconds:g} s")
        elif question.is_batch:
            self.check_memory(self._resident.read())

    def _lose(self, reason: str, how: str) -> None:
        """Kill the worker, unless it is gone, and tell everyone who waits; the first reason counts."""
        if self._lost.done():
            return
        self._watch.cancel()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # its session goes with it: whatever the model started
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._transport is not None:
            self._transport.abort()
        error = ExecutorLostError(reason, f"worker {self._process.pid} {how}")
        self._lost.set_result(error)
        while self._questions:
            answer = self._questions.popleft().answer
            if not answer.done():
                answer.set_exception(ExecutorLostError(reason, str(error)))
        self._idle.set()

    def _on_exit(self) -> None:
        """Take the exit code: no zombie stays, and nothing that the model started does."""
        self._loop.remove_reader(self._end_descriptor)
        os.close(self._end_descriptor)
        self._resident.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._lose(CRASH, _how_it_ended(self._process.wait()))
        self._ended.set_result(None)
