"""The process: event loop, uvicorn, signals, exit code. Workers start before what they need not wait for is imported."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import uvloop

from modelserver.compute.executor import Loaded
from modelserver.engine.engine import Engine
from modelserver.engine.spawning import Begun
from modelserver.errors import LoadError
from modelserver.serving.admin import Admin, token_from_environment
from modelserver.serving.computing import first_ladder, make_engine
from modelserver.serving.head_start import own_share
from modelserver.serving.labels import labels_from_environment
from modelserver.serving.ladder_file import LadderFile
from modelserver.serving.listening import listen
from modelserver.serving.place import LADDER_FILE, Place
from modelserver.serving.settings import ServeSettings
from modelserver.serving.watchers import Watchers

if TYPE_CHECKING:
    from modelserver.serving.front import Front

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads a container's last words from."""
_SPAWN_TURNS = 5
"""Turns of the event loop within which the engine has spawned its workers."""

log = logging.getLogger("modelserver")


def _last_words(error: str) -> None:
    """Leave the reason where `kubectl describe pod` shows it."""
    if TERMINATION_LOG.exists() and os.access(TERMINATION_LOG, os.W_OK):
        TERMINATION_LOG.write_text(f"modelserver: {error}\n")


def _allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _spawned(engine: Engine) -> "asyncio.Task[Loaded]":
    """Start an engine; return once its workers are on their way."""
    started: asyncio.Task[Loaded] = asyncio.get_running_loop().create_task(engine.start())
    for _ in range(_SPAWN_TURNS):
        await asyncio.sleep(0)
    return started


def _front(
    settings: ServeSettings, place: Place, engine: Engine, watchers: Watchers, file: LadderFile | None
) -> "Front":
    from modelserver.serving.front import Front  # noqa: PLC0415 - the workers load meanwhile
    from modelserver.serving.metrics import ServerMetrics  # noqa: PLC0415 - ditto

    return Front(settings, place, engine, watchers, ServerMetrics(labels_from_environment(), settings.variant), file)


async def _run(
    settings: ServeSettings, place: Place, listeners: list[socket.socket], begun: Begun | None
) -> Exception | None:
    """Serve until told to end; return why that was not possible."""
    file = None if place.directory is None else LadderFile(place.directory / LADDER_FILE)
    told = file and file.changed()
    if settings.ladder_file is not None:
        # The first worker loads what the file stated when the flags were read; what changed since is followed.
        file, told = LadderFile(settings.ladder_file), None
    watchers = Watchers()
    engine = make_engine(settings, told or first_ladder(settings), watchers, begun)
    started = None if begun else await _spawned(engine)
    from modelserver.serving.lame_duck import serve_http  # noqa: PLC0415 - the workers load meanwhile

    front = _front(settings, place, engine, watchers, file)
    admin = None
    if len(listeners) > 1:
        admin = Admin(token_from_environment(), lambda: front.ladder, front.change_ladder)
    # Only now may a worker that is on its way be heard of: those who count it are there.
    loop = asyncio.get_running_loop()
    starting = loop.create_task(front.start(started or loop.create_task(engine.start())))
    if place.waits_until_ready:
        await starting
    if front.failure is None:
        await serve_http(front, settings, listeners, admin)
    starting.cancel()
    await engine.stop()
    return front.failure or engine.failure


def _listeners(settings: ServeSettings, listener: socket.socket | None, place: Place) -> list[socket.socket]:
    listeners = [listener or listen(settings.host, settings.port)]
    host, port = listeners[0].getsockname()[:2]
    if place.count == 1:
        log.info("listening on http://%s:%d for %s, variant %s", host, port, settings.model_uri, settings.variant)
    if settings.admin_port is not None:
        listeners.append(listen(settings.admin_host or settings.host, settings.admin_port, shared=place.count > 1))
        log.info("admin on http://%s:%d", *listeners[1].getsockname()[:2])
    return listeners


def _serve_front(
    settings: ServeSettings, place: Place, listener: socket.socket | None, begun: Begun | None = None
) -> Exception | None:
    share = own_share(settings, place)
    listeners = _listeners(settings, listener, place)
    _allow_many_connections()
    # What is allocated while loading stays: collections while it is would find nothing.
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(share, place, listeners, begun))


def _serve_sibling(settings: ServeSettings, place: Place, listener: socket.socket) -> int:
    """Be one of several fronts; return the exit code."""
    try:
        failure = _serve_front(settings, place, listener)
    except LoadError as error:
        failure = error
    if failure is not None:
        place.tell_failure(failure)
    return 0 if failure is None else 1


def _serve(settings: ServeSettings, begun: Begun | None) -> str | None:
    if settings.admin_port is not None:
        token_from_environment()
    labels_from_environment()
    if settings.fronts == 1:
        failure = _serve_front(settings, Place(), None, begun)
        return None if failure is None else str(failure)
    from modelserver.serving.fronts import Fronts  # noqa: PLC0415 - most servers have one front

    return Fronts(settings, _serve_sibling).run()


def serve(settings: ServeSettings, begun: Begun | None) -> NoReturn:
    """Serve until told to end, then end the process: 0 after a drain, 1 when the model did not load or computing died.

    Args:
        settings: Of the server.
        begun: The first worker, when it is on its way.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # Until uvicorn takes the signals over there is nothing to drain. Without a handler of ours a container's first process
    # would ignore them.
    for early in (signal.SIGTERM, signal.SIGINT):
        signal.signal(early, lambda *_: os._exit(0))
    try:
        failure = _serve(settings, begun)
    except LoadError as error:
        failure = str(error)
    if failure is not None:
        print(f"modelserver: {failure}", file=sys.stderr)
        _last_words(failure)
    else:
        log.info("drained; bye")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Skip the interpreter's own teardown: it takes time and nobody needs it.
    os._exit(0 if failure is None else 1)
