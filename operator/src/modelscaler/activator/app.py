"""What the activator serves: every request on its main port, and its own state on another."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelscaler.activator.answers import holding, pass_on, refusal
from modelscaler.activator.bodies import read_body
from modelscaler.activator.framing import request_headers
from modelscaler.activator.holding import Holding, Place
from modelscaler.activator.metrics import ActivatorMetrics
from modelscaler.activator.turns import Turn, Turns
from modelscaler.activator.upstream import HEADER_BYTES, BrokenOffError, NoReplicaError, Sending, Upstream
from modelscaler.activator.words import FORWARDED, HEADER, PROBE, RefusalReason, RefusedError

log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 0.25
_IDLE_SECONDS: Final = 60.0
"""For a client to send the headers of a request."""
_BUFFER_BYTES: Final = 64 << 10
_OF_ACTIVATORS: Final = frozenset({PROBE, FORWARDED})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110, 9.2.2: sent twice, they do what they do once."""
_MOST_BREAKS: Final = 2


class Activator:
    """Holds requests and forwards them.

    Args:
        upstream: Where replicas are.
        house: Counts what is held.
        metrics: Told how requests end.
        turns: Whose turn it is.
        probe_seconds: From one question after a replica to the next.
    """

    def __init__(
        self,
        upstream: Upstream,
        house: Holding,
        metrics: ActivatorMetrics,
        turns: Turns,
        probe_seconds: float = PROBE_SECONDS,
    ) -> None:
        self._upstream = upstream
        self._house = house
        self._metrics = metrics
        self._turns = turns
        self._probe_seconds = probe_seconds

    async def look_out(self) -> None:
        """Ask for a replica as long as anybody waits; never ends."""
        while True:
            await self._turns.someone_waits.wait()
            next_at = time.monotonic() + self._probe_seconds
            self._note(await self._upstream.has_replica())
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, with a replica's answer once there is one."""
        if request.headers.get(HEADER) in _OF_ACTIVATORS:
            return holding()
        arrived = time.monotonic()
        try:
            with self._house.place(request.content_length) as place:
                answer = await self._answer(request, place, arrived)
                async with answer:
                    return await pass_on(request, answer)
        except RefusedError as refused:
            self._metrics.refused(refused.reason, time.monotonic() - arrived)
            log.info("%s %s refused: %s", request.method, request.path, refused.reason)
            return refusal(refused)

    async def _answer(self, request: web.BaseRequest, place: Place, arrived: float) -> aiohttp.ClientResponse:
        """Return a replica's answer; what was read of the request is let go with that."""
        try:
            sending = await self._read(request, place)
            answer = await self._sent(sending, place, arrived + self._house.limits.hold_seconds)
        except (asyncio.CancelledError, ConnectionError):
            self._metrics.abandoned(time.monotonic() - arrived)
            raise
        place.free_body()
        self._metrics.forwarded(time.monotonic() - arrived)
        return answer

    async def _read(self, request: web.BaseRequest, place: Place) -> Sending:
        if not request.raw_path.startswith("/"):
            raise RefusedError(
                RefusalReason.MALFORMED,
                f"{request.method} {request.raw_path[:80]!r}: send a path that begins with a /.",
            )
        body = await read_body(request, place, self._house.limits)
        return Sending(request.method, request.rel_url, request_headers(request.headers, len(body)), body)

    async def _sent(self, sending: Sending, place: Place, until: float) -> aiohttp.ClientResponse:
        """Send a request as often as it takes until a replica answers it."""
        breaks = 0
        while True:
            turn = await self._turn(place, until)
            place.set_out()
            try:
                answer = await self._upstream.send(sending)
            except NoReplicaError:
                self._note(False)
            except BrokenOffError as error:
                self._note(False)
                breaks += 1
                if sending.method not in _IDEMPOTENT or breaks >= _MOST_BREAKS:
                    raise _broken_off(error) from error
            else:
                self._turns.seen(True)
                return answer
            finally:
                turn.end()
            place.come_back()

    async def _turn(self, place: Place, until: float) -> Turn:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._turns.take(place.ticket)
        except TimeoutError as error:
            seconds = self._house.limits.hold_seconds
            raise RefusedError(
                RefusalReason.HELD_TOO_LONG,
                f"No replica became ready within {seconds:g} seconds; send it again, and look at the ModelDeployment's status.",
            ) from error

    def _note(self, ready: bool) -> None:
        if ready and not self._turns.is_replica_known:
            log.info("a replica is ready at %s: %d requests wait", self._upstream.base, len(self._turns))
        self._turns.seen(ready)


def _broken_off(error: BrokenOffError) -> RefusedError:
    return RefusedError(
        RefusalReason.BROKEN_OFF,
        f"The replica broke off before it answered ({error}), and may have acted on the request; "
        "send it again if that does no harm.",
    )


def main_server(activator: Activator) -> web.Server:
    """Return what serves every request, whatever its method and path; who goes away is let go at once."""
    return web.Server(
        activator.handle,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=_IDLE_SECONDS,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        read_bufsize=_BUFFER_BYTES,
    )


def status_application(metrics: ActivatorMetrics, is_draining: Callable[[], bool]) -> web.Application:
    """Return what serves health and metrics."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="draining\n", status=503) if is_draining() else web.Response(text="ok\n")

    async def exposed(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    handlers: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": exposed,
    }
    application = web.Application()
    for path, handler in handlers.items():
        application.router.add_get(path, handler)
    return application
