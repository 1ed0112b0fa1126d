"""Serve /healthz, /readyz and /metrics from the event loop: when the loop hangs, so does the probe, and the pod restarts."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

exposition: Callable[[CollectorRegistry], bytes] = generate_latest  # it carries no annotations

HEALTH_PORT = 8081
METRICS_PORT = 8080


async def serve(
    bind: str, registry: CollectorRegistry, alive: Callable[[], str | None], ready: Callable[[], str | None]
) -> web.AppRunner:
    """Start the health and metrics servers.

    Args:
        bind: Address to listen on.
        registry: The series to expose.
        alive: Says what is wrong when the process should be restarted; None when nothing is.
        ready: Says why the process is not ready; None when it is.

    Raises:
        OSError: When a port is taken.
    """
    application = web.Application()
    application.router.add_get("/healthz", _answer(alive))
    application.router.add_get("/readyz", _answer(ready))
    application.router.add_get("/metrics", _metrics(registry))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    for port in (HEALTH_PORT, METRICS_PORT):
        await web.TCPSite(runner, bind, port).start()
    return runner


def _answer(trouble: Callable[[], str | None]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        text = trouble()
        return web.Response(text=f"{text or 'ok'}\n", status=503 if text else 200)

    return answer


def _metrics(registry: CollectorRegistry) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=exposition(registry), headers=headers)

    return metrics
