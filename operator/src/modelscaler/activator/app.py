"""What the activator serves: every request on its main port, and its own state on another."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelscaler.activator.answers import holding, nobody_here, pass_on, refusal
from modelscaler.activator.bodies import read_body
from modelscaler.activator.framing import request_headers
from modelscaler.activator.holding import Holding, Place
from modelscaler.activator.metrics import ActivatorMetrics
from modelscaler.activator.turns import FRESH_SECONDS, Turn, Turns
from modelscaler.activator.upstream import (
    HEADER_BYTES,
    READY_PATH,
    BrokenOffError,
    NoReplicaError,
    Sending,
    Upstream,
)
from modelscaler.activator.words import (
    ATTEMPT_HEADER,
    FORWARDED,
    HEADER,
    HELD_PATH,
    LONGEST_LISTEN_SECONDS,
    PROBE,
    RefusalReason,
    RefusedError,
)

log = logging.getLogger(__name__)
_server_log = logging.getLogger(f"{__name__}.server")
_server_log.addFilter(lambda record: not isinstance(record.exc_info and record.exc_info[1], HttpProcessingError))
"""A malformed request is its client's fault: whoever likes could fill the log with them."""

PROBE_SECONDS: Final = 0.25
METRICS_PATH: Final = "/metrics"
LIVE_PATH: Final = "/v2/health/live"
_OWN_PATHS: Final = frozenset({METRICS_PATH, LIVE_PATH, READY_PATH})
"""Prometheus, gateways and load balancers ask these of every pod behind a Service."""
_IDLE_SECONDS: Final = 60.0
"""For a client to send the headers of a request."""
_BUFFER_BYTES: Final = 64 << 10
_OF_ACTIVATORS: Final = frozenset({PROBE, FORWARDED})
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110, 9.2.2: sent twice, they do what they do once."""
_MOST_BREAKS: Final = 2
_MOST_LISTENERS: Final = 16
_BUSY: Final = frozenset({429, 503})
_BUSY_SECONDS: Final = 0.5
_TRIES: Final = (1, 2, 3)
"""Per turn, in rotation. A Service that takes its endpoints by turns, one of them an activator, could else give the replica to
each probe and the activator to each request that follows it."""


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
        if own := own_answer(request, self._metrics):
            return own
        if not asks_the_model(request) and not (self._turns.is_replica_known or await self._upstream.has_replica()):
            return nobody_here()
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
            answer = await self._taken(sending, place, arrived)
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
        if (header_bytes := sum(len(name) + len(value) for name, value in request.raw_headers)) > HEADER_BYTES:
            raise RefusedError(
                RefusalReason.HEADERS_TOO_LARGE,
                f"The headers have {header_bytes} bytes; send {HEADER_BYTES} at most.",
            )
        body = await read_body(request, place, self._house.limits)
        return Sending(request.method, request.rel_url, request_headers(request.headers, len(body)), body)

    async def _taken(self, sending: Sending, place: Place, arrived: float) -> aiohttp.ClientResponse:
        """Return an answer; of who had to wait that of a replica with room for it, as long as there is time.

        Whoever was held comes with all the others, and to replicas that are new.
        """
        until, attempt = arrived + self._house.limits.hold_seconds, 1
        while True:
            answer = await self._sent(sending, place, until)
            was_held = time.monotonic() - arrived > FRESH_SECONDS
            if answer.status not in _BUSY or not was_held or time.monotonic() + _BUSY_SECONDS > until:
                return answer
            answer.close()
            attempt += 1
            sending.headers[ATTEMPT_HEADER] = str(attempt)
            place.come_back()
            await asyncio.sleep(_BUSY_SECONDS)

    async def _sent(self, sending: Sending, place: Place, until: float) -> aiohttp.ClientResponse:
        """Send a request as often as it takes until a replica answers it."""
        breaks, tries = 0, cycle(_TRIES)
        while True:
            turn = await self._turn(place, until)
            place.set_out()
            try:
                answer = await self._tried(sending, next(tries))
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

    async def _tried(self, sending: Sending, times: int) -> aiohttp.ClientResponse:
        """Send a request, at once again when nobody took it, at most that many times."""
        for _ in range(times - 1):
            with suppress(NoReplicaError):
                return await self._upstream.send(sending)
        return await self._upstream.send(sending)

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


def asks_the_model(request: web.BaseRequest) -> bool:
    """Tell whether a request wakes: servers count no other as load, so nothing would keep awake what another had woken."""
    return request.method == "POST" and request.path.endswith("/infer")


def own_answer(request: web.BaseRequest, metrics: ActivatorMetrics) -> web.Response | None:
    """Return what is asked of this pod, as of any, and not of the model; None where it is the model that is asked."""
    if request.method not in ("GET", "HEAD") or request.path not in _OWN_PATHS:
        return None
    if request.path == METRICS_PATH:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
    return web.json_response({"live": True} if request.path == LIVE_PATH else {"ready": True})


def main_server(activator: Activator) -> web.Server:
    """Return what serves every request, whatever its method and path; who goes away is let go at once."""
    return web.Server(
        activator.handle,
        handler_cancellation=True,
        access_log=None,
        logger=_server_log,
        auto_decompress=False,
        keepalive_timeout=_IDLE_SECONDS,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        read_bufsize=_BUFFER_BYTES,
    )


def status_runner(is_draining: Callable[[], bool], house: Holding) -> web.AppRunner:
    """Return what runs the status application; a listener that goes away is let go at once."""
    application = status_application(is_draining, house)
    return web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)


def status_application(is_draining: Callable[[], bool], house: Holding) -> web.Application:
    """Return what serves kubelet's questions after health, and the operator's after who is held."""
    listeners = asyncio.Semaphore(_MOST_LISTENERS)

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="draining\n", status=503) if is_draining() else web.Response(text="ok\n")

    async def held(request: web.Request) -> web.Response:
        seconds = _listen_seconds(request.query.get("seconds", "0"))
        if listeners.locked():
            raise web.HTTPServiceUnavailable(text=f"{_MOST_LISTENERS} listen already, which is the most\n")
        async with listeners:
            return web.json_response({"held": await house.waited_within(seconds)})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get(HELD_PATH, held)
    return application


def _listen_seconds(given: str) -> float:
    """Read how long to wait. Raises HTTPBadRequest when it is no number, or out of bounds."""
    expected = f"seconds: got {given[:20]!r}, expected a number from 0 to {LONGEST_LISTEN_SECONDS:g}\n"
    try:
        seconds = float(given)
    except ValueError as error:
        raise web.HTTPBadRequest(text=expected) from error
    if not 0.0 <= seconds <= LONGEST_LISTEN_SECONDS:
        raise web.HTTPBadRequest(text=expected)
    return seconds
