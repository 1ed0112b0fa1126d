"""The agent's HTTPS port: what the API server asks a kubelet, as far as ``kubectl logs`` needs it."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from localcluster.node.clock import now
from localcluster.node.launching import log_path
from localcluster.node.logs import LogQuery, read_log, shown
from localcluster.node.pod import PodWorker
from localcluster.node.settings import AgentSettings
from localcluster.node.status import HOST_IP

FindPod = Callable[[str, str], PodWorker | None]
FOLLOW_POLL_SECONDS = 0.1
NOT_OFFERED = "the local cluster does not offer {}; pods are processes of this machine, look at them with ps and strace"


@asynccontextmanager
async def serve_kubelet(settings: AgentSettings, find_pod: FindPod) -> AsyncIterator[None]:
    """Serve logs; only clients with a certificate of this cluster's authority are answered."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(settings.authority))
    tls.load_cert_chain(settings.kubelet.certificate, settings.kubelet.key)
    tls.verify_mode = ssl.CERT_REQUIRED
    logs = _Logs(find_pod)
    application = web.Application()
    application.add_routes(
        [
            web.get("/containerLogs/{namespace}/{pod}/{container}", logs.answer),
            web.get("/healthz", _healthy),
            *(
                web.route("*", f"/{name}/{{rest:.*}}", _not_offered)
                for name in ("exec", "attach", "portForward", "run")
            ),
        ]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST_IP, settings.kubelet_port, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


async def _healthy(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


async def _not_offered(request: web.Request) -> web.StreamResponse:
    verb = request.path.split("/")[1]
    return web.Response(status=501, text=NOT_OFFERED.format(f"kubectl {verb.lower().replace('portf', 'port-f')}"))


def log_query(parameters: Mapping[str, str], moment: datetime.datetime) -> LogQuery:
    """Read the query parameters of a log request."""
    since = None
    if "sinceSeconds" in parameters:
        since = moment - datetime.timedelta(seconds=int(parameters["sinceSeconds"]))
    elif "sinceTime" in parameters:
        since = datetime.datetime.fromisoformat(parameters["sinceTime"])
    return LogQuery(
        tail_lines=int(parameters["tailLines"]) if "tailLines" in parameters else None,
        since=since,
        timestamps=parameters.get("timestamps") == "true",
        limit_bytes=int(parameters["limitBytes"]) if "limitBytes" in parameters else None,
    )


class _Logs:
    def __init__(self, find_pod: FindPod) -> None:
        self._find_pod = find_pod

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match = request.match_info
        worker = self._find_pod(match["namespace"], match["pod"])
        container = worker.worker_named(match["container"]) if worker is not None else None
        if worker is None or container is None:
            return web.Response(status=404, text=f"container {match['container']} of pod {match['pod']} is not here")
        previous = request.query.get("previous") == "true"
        attempt = container.record.restart_count - (1 if previous else 0)
        path = log_path(worker.directory, container.record.name, attempt)
        if not path.exists():
            attempt -= 1
            path = log_path(worker.directory, container.record.name, attempt)
        if attempt < 0 or not path.exists():
            words = "previous terminated container" if previous else "container"
            return web.Response(status=400, text=f'{words} "{container.record.name}" in pod "{match["pod"]}" not found')
        return await self._send(request, worker, path)

    async def _send(self, request: web.Request, worker: PodWorker, path: Path) -> web.StreamResponse:
        query = log_query(request.query, now())
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        lines, position = read_log(path, query)
        await response.write(b"".join(lines)[: query.limit_bytes])
        if request.query.get("follow") == "true":
            await self._follow(request, worker, path, position, query, response)
        await response.write_eof()
        return response

    async def _follow(
        self,
        request: web.Request,
        worker: PodWorker,
        path: Path,
        position: int,
        query: LogQuery,
        response: web.StreamResponse,
    ) -> None:
        container = worker.worker_named(request.match_info["container"])
        with path.open("rb") as file:
            file.seek(position)
            while True:
                over = container is None or not container.record.running
                lines = file.read().splitlines(keepends=True)
                if lines:
                    await response.write(b"".join(shown(line, query) for line in lines))
                if over:
                    return
                await asyncio.sleep(FOLLOW_POLL_SECONDS)
