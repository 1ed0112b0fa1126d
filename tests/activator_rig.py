"""An activator on loopback, a replica that comes and goes, and the Service between them: what tests of the activator share."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from prometheus_client import generate_latest
from yarl import URL

from modelscaler.activator.app import Activator, main_server
from modelscaler.activator.holding import Holding, Limits
from modelscaler.activator.metrics import ActivatorMetrics
from modelscaler.activator.turns import Turns
from modelscaler.activator.upstream import Upstream, new_session

HOST = "127.0.0.1"
PROBE_SECONDS = 0.02
LABELS = {"modeldeployment": "m", "pool": "activator"}
INFER = "/v2/models/m/infer"


@dataclass(frozen=True)
class Received:
    """A request as a replica got it."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes
    peer: tuple[str, int]


Answering = Callable[[web.BaseRequest, bytes], Awaitable[web.StreamResponse]]


async def echo(_: web.BaseRequest, body: bytes) -> web.StreamResponse:
    return web.Response(body=body, headers={"X-Replica": "1"})


@dataclass
class Replica:
    """A server behind the Service; `answer` is how it answers all but probes."""

    port: int = 0
    ready: bool = True
    answer: Answering = echo
    received: list[Received] = field(default_factory=list)
    probes: list[Received] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        got = Received(request.method, request.raw_path, CIMultiDict(request.headers), body, peer)
        if request.headers.get("modelscaler-activator") == "probe":
            self.probes.append(got)
            return web.Response(status=200 if self.ready else 503)
        self.received.append(got)
        return await self.answer(request, body)


@asynccontextmanager
async def replica(answer: Answering = echo) -> AsyncIterator[Replica]:
    """Serve as a replica."""
    made = Replica(answer=answer)
    served = web.Server(made.handle, access_log=None, auto_decompress=False, handler_cancellation=True)
    runner = web.ServerRunner(served, shutdown_timeout=0.01)
    async with _on_a_port(runner) as made.port:
        yield made


@dataclass
class Service:
    """Sends each connection to one endpoint, as kube-proxy does; without endpoints it refuses, by closing at once."""

    port: int = 0
    endpoints: list[int] = field(default_factory=list)
    connections: int = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.endpoints:
            writer.transport.abort()
            return
        port = self.endpoints[self.connections % len(self.endpoints)]
        self.connections += 1
        try:
            back_reader, back_writer = await asyncio.open_connection(HOST, port)
        except OSError:
            writer.transport.abort()
            return
        with suppress(asyncio.CancelledError):
            await asyncio.gather(_pipe(reader, back_writer), _pipe(back_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def service(*endpoints: int) -> AsyncIterator[Service]:
    """Serve as a Service."""
    made = Service(endpoints=list(endpoints))
    server = await asyncio.start_server(made.connected, HOST, 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@dataclass
class Rig:
    """An activator that runs."""

    port: int
    house: Holding
    turns: Turns
    metrics: ActivatorMetrics
    client: aiohttp.ClientSession

    def url(self, path: str = INFER) -> URL:
        return URL(f"http://{HOST}:{self.port}{path}", encoded=True)

    async def ask(self, method: str = "POST", path: str = INFER, body: bytes | None = b"{}") -> tuple[int, bytes]:
        """Send a request; return status and body."""
        async with self.client.request(method, self.url(path), data=body) as answer:
            return answer.status, await answer.read()

    async def until_held(self, requests: int) -> None:
        await until(lambda: self.house.waiting == requests and len(self.turns) == requests)

    def exposed(self) -> str:
        return generate_latest(self.metrics.registry).decode()


async def until(answer: Callable[[], bool]) -> None:
    """Wait for something that is to happen soon."""
    deadline = time.monotonic() + 10.0
    while not answer():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


@asynccontextmanager
async def activator(upstream_port: int, limits: Limits | None = None) -> AsyncIterator[Rig]:
    """Run an activator in front of a port."""
    house, turns = Holding(limits or Limits()), Turns(time.monotonic)
    metrics = ActivatorMetrics(LABELS, lambda: float(house.waiting))
    async with new_session() as session, aiohttp.ClientSession(auto_decompress=False) as client:
        upstream = Upstream(URL(f"http://{HOST}:{upstream_port}"), session)
        running = Activator(upstream, house, metrics, turns, PROBE_SECONDS)
        looking = asyncio.create_task(running.look_out())
        async with _on_a_port(web.ServerRunner(main_server(running), shutdown_timeout=0.01)) as port:
            yield Rig(port, house, turns, metrics, client)
        looking.cancel()


@asynccontextmanager
async def _on_a_port(runner: web.ServerRunner) -> AsyncIterator[int]:
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=2048).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that writes what it likes."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
