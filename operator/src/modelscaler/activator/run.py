"""The activator's process: serves until told to stop, then holds on for what it holds."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from yarl import URL

from modelscaler.activator.app import Activator, main_server, status_application
from modelscaler.activator.holding import Holding, Limits
from modelscaler.activator.metrics import ActivatorMetrics
from modelscaler.activator.turns import Turns
from modelscaler.activator.upstream import Upstream, new_session

log = logging.getLogger(__name__)

LAME_DUCK_SECONDS: Final = 5.0
"""Endpoints, proxies and clients learn with a delay that a pod is going; until then they send it requests."""
_BACKLOG: Final = 2048
_LINGER_SECONDS: Final = 0.3
"""After the listener is closed, connections that are open get this long to send what is on its way and read a 503."""
_ENDING_SECONDS: Final = 10.0
"""For answers that have begun to end, and for the last refusals to reach their clients."""
_ACCEPTING_TURNS: Final = 5
"""Of the event loop, within which it accepts whoever connected before the listener is closed: that would reset them."""


class ListenError(Exception):
    """There is nowhere to listen; the message names the address."""


@dataclass(frozen=True, slots=True)
class ActivatorSettings:
    """What `modelscaler activator` was told.

    Attributes:
        upstream: The ModelDeployment's Service.
        host: Address to listen on.
        port: Of the requests; 0 for any that is free.
        status_port: Of health and metrics; 0 for any that is free.
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
        status = web.AppRunner(status_application(metrics, stop.is_set), access_log=None)
        main = web.ServerRunner(main_server(activator), shutdown_timeout=1.0)
        async with (
            _listening(status, settings.host, settings.status_port, "status"),
            _listening(main, settings.host, settings.port, "requests"),
        ):
            await _look_out_until(stop, activator, house, settings.shutdown_seconds)
            await _refuse_the_rest(main, turns, house)


@asynccontextmanager
async def _listening(runner: web.BaseRunner, host: str, port: int, what: str) -> AsyncIterator[None]:
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        except OSError as error:
            raise ListenError(f"{host}:{port}: {error}") from error
        log.info("listening on http://%s:%d for %s", host, runner.addresses[0][1], what)
        yield
    finally:
        await runner.cleanup()


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


async def _refuse_the_rest(main: web.BaseRunner, turns: Turns, house: Holding) -> None:
    turns.close()
    for _ in range(_ACCEPTING_TURNS):
        await asyncio.sleep(0)
    for site in main.sites:
        await site.stop()
    await asyncio.sleep(_LINGER_SECONDS)
    await house.empties_within(_ENDING_SECONDS)
