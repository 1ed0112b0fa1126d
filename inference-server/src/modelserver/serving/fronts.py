"""Several fronts under one parent: a port that they share, restarts with backoff, signals passed on, one exit code."""

import contextlib
import logging
import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from modelserver.serving.listening import listen
from modelserver.serving.place import METRICS_DIRECTORY, Place
from modelserver.serving.settings import ServeSettings
from modelserver.worker.isolation import die_with

SHARED_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PASSED_ON = (signal.SIGTERM, signal.SIGINT)
_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A front that has been up for so long starts with a clean sheet."""

log = logging.getLogger("modelserver")

ServeFront = Callable[[ServeSettings, Place, socket.socket], int]
"""Serves on a socket until told to end; returns the exit code. It finds itself in a process of its own."""


def backoff_seconds(crashes: int) -> float:
    """Return how long to wait before a front is started again.

    Args:
        crashes: In a row, this one included. The first is restarted at once.
    """
    if crashes <= 1:
        return 0.0
    return float(min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** (crashes - 2)))


@dataclass
class _Front:
    """A front as its parent sees it.

    Attributes:
        place: Its.
        listener: Its socket; None while it is not to get connections.
        process: Its id; None while it does not run.
        started: When, monotonic seconds.
        crashes: In a row.
        due: When to start it again, monotonic seconds.
    """

    place: Place
    listener: socket.socket | None
    process: int | None = None
    started: float = 0.0
    crashes: int = 0
    due: float = 0.0


class Fronts:
    """The parent of several fronts.

    The parent opens the sockets, so that what waits to be accepted outlives a front that crashes.

    Args:
        settings: Of the server.
        serve_front: What a front does.
    """

    def __init__(self, settings: ServeSettings, serve_front: ServeFront) -> None:
        self._settings = settings
        self._serve_front = serve_front
        self._directory = Path(tempfile.mkdtemp(prefix="modelserver-"))
        (self._directory / METRICS_DIRECTORY).mkdir()
        os.environ[SHARED_METRICS_VARIABLE] = str(self._directory / METRICS_DIRECTORY)
        self._fronts: list[_Front] = []
        self._selector = selectors.DefaultSelector()
        self._ending = False
        self._failure: str | None = None

    def run(self) -> str | None:
        """Run until told to end.

        Returns:
            Why the server failed; None when it was told to end and did.

        Raises:
            LoadError: When the port cannot be had.
        """
        try:
            self._open()
            for number in _PASSED_ON:
                signal.signal(number, self._end)
            for front in self._fronts:
                if not self._ending:
                    self._start(front)
            while any(front.process is not None for front in self._fronts) or not self._ending:
                self._wait()
            return self._failure
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _open(self) -> None:
        settings = self._settings
        for index in range(settings.fronts):
            listener = listen(settings.host, settings.port, shared=True)
            settings = replace(settings, port=listener.getsockname()[1])
            self._fronts.append(_Front(Place(index, settings.fronts, self._directory), listener))
        self._settings = settings
        log.info(
            "listening on http://%s:%d for %s, %d fronts",
            settings.host,
            settings.port,
            settings.model_uri,
            settings.fronts,
        )

    def _start(self, front: _Front) -> None:
        parent = os.getpid()
        if front.listener is None:
            front.listener = listen(self._settings.host, self._settings.port, shared=True)
        # A signal that came before the child is noted would not be passed on to it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
        process = os.fork()
        if process == 0:
            self._become(front, parent)
        front.process, front.started = process, time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        self._selector.register(os.pidfd_open(process), selectors.EVENT_READ, front)

    def _become(self, front: _Front, parent: int) -> None:
        """Be a front: never returns."""
        code = 1
        try:
            for number in _PASSED_ON:
                signal.signal(number, lambda *_: os._exit(0))  # until the front sees to its own end
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
            die_with(parent)
            self._selector.close()
            for sibling in self._fronts:
                if sibling is not front and sibling.listener is not None:
                    sibling.listener.close()
            if front.listener is not None:
                code = self._serve_front(self._settings, front.place, front.listener)
        except BaseException:
            log.exception("front %d ended", front.place.index)
        finally:
            logging.shutdown()
            os._exit(code)

    def _wait(self) -> None:
        """Wait for the next thing to happen and see to it."""
        now = time.monotonic()
        waiting = [front for front in self._fronts if front.process is None and not self._ending]
        timeout = min((max(0.0, front.due - now) for front in waiting), default=1.0)
        for key, _ in self._selector.select(timeout):
            self._selector.unregister(key.fd)
            os.close(key.fd)
            self._ended(key.data)
        self._reap_orphans()
        for front in waiting:
            if front.due <= time.monotonic() and not self._ending:
                self._start(front)

    def _ended(self, front: _Front) -> None:
        if front.process is None:
            raise AssertionError(f"front {front.place.index} ended: expected it to run")
        _, status = os.waitpid(front.process, 0)
        code = os.waitstatus_to_exitcode(status)
        process, front.process = front.process, None
        if self._ending:
            if code != 0:
                self._failure = self._failure or front.place.failure() or f"front {process} ended with {code}"
            return
        self._forget_gauges(process)
        if not front.place.has_been_ready():
            self._failure = front.place.failure() or f"front {process} ended with {code} before it was ready"
            self._end(signal.SIGTERM, None)
            return
        self._restart_later(front, process, code)

    def _reap_orphans(self) -> None:
        """Take the exit codes of what crashed fronts have left: a container's first process inherits them."""
        ours = {front.process for front in self._fronts}
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in ours:
                    return
                os.waitpid(ended.si_pid, 0)

    def _restart_later(self, front: _Front, process: int, code: int) -> None:
        now = time.monotonic()
        front.crashes = 1 if now - front.started > _STEADY_SECONDS else front.crashes + 1
        delay = backoff_seconds(front.crashes)
        log.error("front %d ended with %d; starting it again in %g s", process, code, delay)
        front.due = now + delay
        front.place = replace(front.place, waits_until_ready=True)
        if delay and front.listener is not None:  # nobody is to wait that long
            front.listener.close()
            front.listener = None

    def _forget_gauges(self, process: int) -> None:
        """Take the gauges of a front that is gone out of the metrics; what it counted stays."""
        for file in (self._directory / METRICS_DIRECTORY).glob(f"gauge_live*_{process}.db"):
            file.unlink(missing_ok=True)

    def _end(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """Pass a signal on. The fronts go on listening for a while; the parent must not hold their sockets open then."""
        self._ending = True
        for front in self._fronts:
            if front.listener is not None:
                front.listener.close()
                front.listener = None
            if front.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(front.process, number)
