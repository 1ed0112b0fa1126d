"""The process: socket, uvicorn, signals, exit code."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn

from modelserver.artifact import locate, read_model
from modelserver.errors import LoadError
from modelserver.model import open_model
from modelserver.serving.app import Application
from modelserver.serving.compute import ComputeThread
from modelserver.serving.metrics import ServerMetrics, labels_from_environment
from modelserver.serving.queue import RowQueue
from modelserver.serving.settings import ServeSettings

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads a container's last words from."""
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 75
"""Longer than clients and proxies keep theirs, so that it is they who close idle connections, not we under a request."""
_LINGER_SECONDS = 0.3
"""After the listener is closed, connections that are open get this long to send what is on its way and read a 503."""

log = logging.getLogger("modelserver")


class LameDuckServer(uvicorn.Server):
    """Uvicorn that serves on after SIGTERM for a while, then stops listening, then answers what it has.

    Endpoints, proxies and clients learn with a delay that a pod is going. Closing at once loses what they send meanwhile.

    Args:
        config: Uvicorn's.
        application: Told about the phases.
        compute: Watched for failing to load.
        settings: How long the phases last.
    """

    def __init__(
        self, config: uvicorn.Config, application: Application, compute: ComputeThread, settings: ServeSettings
    ) -> None:
        super().__init__(config)
        self._application = application
        self._compute = compute
        self._settings = settings
        self._lame_until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin the lame duck on the first SIGTERM; Ctrl-C, or a second signal, goes straight to draining."""
        first = self._lame_until is None
        waits = first and sig == signal.SIGTERM and self._compute.model is not None
        self._lame_until = time.monotonic() + (self._settings.lame_duck_seconds if waits else 0.0)
        self._application.phase = "lame duck"

    async def on_tick(self, counter: int) -> bool:
        """Say whether to shut down; called ten times a second."""
        told_to_end = self._lame_until is not None and time.monotonic() >= self._lame_until
        failed_to_load = self._compute.model is None and self._compute.failure is not None
        return await super().on_tick(counter) or told_to_end or failed_to_load

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer everything accepted, close."""
        # A few turns of the loop accept what waits in the backlog: closing the socket would reset it.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        await self._settle()
        self._application.phase = "draining"
        await asyncio.sleep(_LINGER_SECONDS)
        await super().shutdown(sockets)

    async def _settle(self) -> None:
        """Wait for the requests in flight; those that still come on open connections are served too."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._application.idle.wait(), self._settings.drain_seconds)


def _listen(settings: ServeSettings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port), backlog=_BACKLOG)
    except OSError as error:
        raise LoadError(f"--host {settings.host} --port {settings.port}: cannot listen there, {error}") from error


def _last_words(error: Exception) -> None:
    """Leave the reason where `kubectl describe pod` shows it."""
    if TERMINATION_LOG.exists() and os.access(TERMINATION_LOG, os.W_OK):
        TERMINATION_LOG.write_text(f"modelserver: {error}\n")


def _config(application: Application, settings: ServeSettings) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )


def _serve(settings: ServeSettings) -> Exception | None:
    directory = locate(settings.model_uri)
    name = read_model(directory).name
    metrics = ServerMetrics(labels_from_environment(), name, settings.variant)
    queue = RowQueue(settings.max_queue)
    compute = ComputeThread(lambda: open_model(directory, settings.variant), queue, metrics, settings.max_batch)
    application = Application(name, settings, compute, queue, metrics)
    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%d for %s, variant %s", host, port, name, settings.variant)
    compute.start()
    LameDuckServer(_config(application, settings), application, compute, settings).run(sockets=[listener])
    queue.close()
    return compute.failure


def serve(settings: ServeSettings) -> NoReturn:
    """Serve until told to end, then end the process: 0 after a drain, 1 when the model did not load or computing died."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # Until uvicorn takes the signals over there is nothing to drain. Without a handler of ours a container's first process
    # would ignore them.
    for early in (signal.SIGTERM, signal.SIGINT):
        signal.signal(early, lambda *_: os._exit(0))
    try:
        failure = _serve(settings)
    except LoadError as error:
        failure = error
    if failure is not None:
        print(f"modelserver: {failure}", file=sys.stderr)
        _last_words(failure)
    else:
        log.info("drained; bye")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # The compute thread may be in the middle of an import or of a batch that never ends: skip the interpreter's own
    # teardown, which is not safe beside it and not needed by anyone.
    os._exit(0 if failure is None else 1)
