"""The activator's process: serves until told to stop, then holds on for what it holds."""

import asyncio
import logging
import select
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from yarl import URL

from modelscaler.activator.app import Activator, main_server, status_runner
from modelscaler.activator.holding import Holding, Limits
from modelscaler.activator.metrics import ActivatorMetrics
from modelscaler.activator.turns import Turns
from modelscaler.activator.upstream import Upstream, new_session

log = logging.getLogger(__name__)

LAME_DUCK_SECONDS: Final = 5.0
"""Endpoints, proxies and clients learn with a delay that a pod is going; until then they send it requests."""
_BACKLOG: Final = 2048
_REFUSING_SECONDS: Final = 1.0
"""For the refusals of what is held, before the listener is closed: whoever comes meanwhile is refused as well."""
_LINGER_SECONDS: Final = 0.3
"""After the listener is closed, connections that are open get this long to send what is on its way and read a 503."""
_ENDING_SECONDS: Final = 10.0
"""For answers that have begun to end, and for the last refusals to reach their clients."""
_QUIET_TURNS: Final = 4
"""Of the event loop, within which a connection that was accepted is there: only then may its listener be closed."""


class ListenError(Exception):
    """There is nowhere to listen; the message names the address."""


@dataclass(frozen=True, slots=True)
class ActivatorSettings:
    """What `modelscaler activator` was told.

    Attributes:
        upstream: The ModelDeployment's Service.
        host: Address to listen on.
        port: Of the requests; 0 for any that is free.
        status_port: Of health; 0 for any that is free.
        limits: What is held.
        shutdown_seconds: From being told to stop until what is still held is refused.
        labels: Of the series that the servers have as well.
    """

    upstream: URL
    host: str
    port: int
    status_port: int
    limits: Limits
    shutdown_seconds: float
    labels: Mapping[str, str]


async def run(settings: ActivatorSettings) -> None:
    """Hold and forward until told to stop by SIGTERM or SIGINT.

    Raises:
        ListenError: A port is taken, or the address is not this machine's.
    """
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    house, turns = Holding(settings.limits), Turns(time.monotonic)
    metrics = ActivatorMetrics(settings.labels, lambda: float(house.waiting))
    async with new_session() as session:
        activator = Activator(Upstream(settings.upstream, session), house, metrics, turns)
        status = status_runner(stop.is_set, house)
        main = web.ServerRunner(main_server(activator), shutdown_timeout=1.0)
        async with (
            _listening(status, settings.host, settings.status_port, "status"),
            _listening(main, settings.host, settings.port, "requests") as listener,
        ):
            await _look_out_until(stop, activator, house, settings.shutdown_seconds)
            await _refuse_the_rest(main, listener, turns, house)


@asynccontextmanager
async def _listening(runner: web.BaseRunner, host: str, port: int, what: str) -> AsyncIterator[socket.socket]:
    listener = _bound(host, port)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        log.info("listening on http://%s:%d for %s", host, listener.getsockname()[1], what)
        yield listener
    finally:
        await runner.cleanup()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ListenError(f"{host}:{port}: {error}") from error


async def _look_out_until(stop: asyncio.Event, activator: Activator, house: Holding, shutdown_seconds: float) -> None:
    """Forward what comes until told to stop and nothing is held any more, or there is no more time."""
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(activator.look_out())
        await stop.wait()
        log.info("stopping: %d requests in the house", house.requests)
        lame_seconds = min(LAME_DUCK_SECONDS, shutdown_seconds)
        await asyncio.sleep(lame_seconds)
        await house.empties_within(shutdown_seconds - lame_seconds)
        looking.cancel()


async def _refuse_the_rest(main: web.BaseRunner, listener: socket.socket, turns: Turns, house: Holding) -> None:
    turns.close()
    await house.empties_within(_REFUSING_SECONDS)
    await _accept_all(listener)
    for site in main.sites:
        await site.stop()
    await asyncio.sleep(_LINGER_SECONDS)
    await house.empties_within(_ENDING_SECONDS)


async def _accept_all(listener: socket.socket) -> None:
    """Have the event loop accept whoever waits for that: closing the listener would reset them."""
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    quiet_turns = 0
    for _ in range(_BACKLOG):
        quiet_turns = 0 if waiting.poll(0) else quiet_turns + 1
        if quiet_turns > _QUIET_TURNS:
            return
        await asyncio.sleep(0)
