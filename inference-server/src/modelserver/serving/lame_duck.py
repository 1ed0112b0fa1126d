"""Uvicorn that serves on after SIGTERM for a while, then stops listening, then answers what it has."""

import asyncio
import contextlib
import select
import signal
import socket
import time
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from modelserver.serving.connection import (
    SWEEP_SECONDS,
    Clock,
    ConnectionLimits,
    connection_class,
    sweep_connections,
)
from modelserver.serving.front import Front
from modelserver.serving.settings import ServeSettings

if TYPE_CHECKING:
    from modelserver.serving.admin import Admin

_BACKLOG = 2048
_TICK_SECONDS = 0.1
"""Between two ticks of uvicorn."""
_MADE_TURNS = 3
"""Of the event loop, within which a connection that was accepted is there."""
_LINGER_SECONDS = 0.3
"""After the listener is closed, connections that are open get this long to send what is on its way and read a 503."""


async def accept_all(listeners: Sequence[socket.socket]) -> None:
    """Have the event loop accept whoever waits for that: closing a listener would reset them.

    uvloop accepts one connection in each of its turns. Whoever comes after as many as the backlog holds may be reset.

    Args:
        listeners: Of servers that run.
    """
    waiting = select.poll()
    for listener in listeners:
        waiting.register(listener, select.POLLIN)
    for _ in range(_BACKLOG):
        if not waiting.poll(0):
            break
        await asyncio.sleep(0)
    for _ in range(_MADE_TURNS):
        await asyncio.sleep(0)


class LameDuckServer(uvicorn.Server):
    """Uvicorn with a lame duck's end.

    Endpoints, proxies and clients learn with a delay that a pod is going. Closing at once loses what they send meanwhile.

    Args:
        config: Uvicorn's.
        front: Told about the phases, and ten times a second that time passes.
        settings: How long the phases last.
        clock: Of the connections.
    """

    def __init__(self, config: uvicorn.Config, front: Front, settings: ServeSettings, clock: Clock) -> None:
        super().__init__(config)
        self._front = front
        self._settings = settings
        self._clock = clock
        self._lame_until: float | None = None
        self._ticked: float | None = None
        self._swept = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin the lame duck on the first SIGTERM; Ctrl-C, or a second signal, goes straight to draining."""
        first = self._lame_until is None
        waits = first and sig == signal.SIGTERM and self._front.is_started
        self._lame_until = time.monotonic() + (self._settings.lame_duck_seconds if waits else 0.0)
        self._front.begin("lame duck")

    async def on_tick(self, counter: int) -> bool:
        """Say whether to shut down; called ten times a second."""
        now = time.monotonic()
        late = 0.0 if self._ticked is None else max(0.0, now - self._ticked - _TICK_SECONDS)
        self._ticked = now
        self._front.tick(late)
        if now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            sweep_connections(self.server_state, self._clock, now)
        told_to_end = self._lame_until is not None and now >= self._lame_until
        failed_to_load = not self._front.is_started and self._front.failure is not None
        return await super().on_tick(counter) or told_to_end or failed_to_load

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, answer everything accepted, close."""
        until = time.monotonic() + self._settings.drain_seconds
        sweeping = asyncio.get_running_loop().create_task(self._sweep_on())
        await accept_all(sockets or [])
        for server in self.servers:
            server.close()
        await self._settle()
        self._front.begin("draining")
        await asyncio.sleep(_LINGER_SECONDS)
        self.config.timeout_graceful_shutdown = max(1, round(until - time.monotonic()))
        await super().shutdown(sockets)
        sweeping.cancel()

    async def _sweep_on(self) -> None:
        """Go on closing what is overdue, which no tick does any more: slow clients must not hold up the end."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            sweep_connections(self.server_state, self._clock, time.monotonic())

    async def _settle(self) -> None:
        """Wait for the requests in flight; those that still come on open connections are served too."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._front.application.idle.wait(), self._settings.drain_seconds)


def _config(application: object, settings: ServeSettings, connections: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        cast("Any", application),
        loop="uvloop",
        http=connections,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )


async def serve_http(
    front: Front, settings: ServeSettings, listeners: list[socket.socket], admin: "Admin | None"
) -> None:
    """Serve until told to end.

    Args:
        front: Whose application answers.
        settings: Of it.
        listeners: First the server's socket, then the admin's.
        admin: What answers there; None for nothing.
    """
    clock = Clock()
    clock.now = time.monotonic()
    connections = connection_class(ConnectionLimits(body_seconds=settings.body_timeout_seconds), clock)
    server = LameDuckServer(_config(front.application, settings, connections), front, settings, clock)
    if admin is not None:
        await _serve_admin(admin, server, settings, connections, listeners[1])
    await server.serve(sockets=listeners[:1])


async def _serve_admin(
    admin: "Admin",
    server: uvicorn.Server,
    settings: ServeSettings,
    connections: "type[asyncio.Protocol]",
    listener: socket.socket,
) -> None:
    config = _config(admin, settings, connections)
    config.load()
    loop = asyncio.get_running_loop()
    make = cast("Any", connections)
    await loop.create_server(lambda: make(config=config, server_state=server.server_state, app_state={}), sock=listener)
