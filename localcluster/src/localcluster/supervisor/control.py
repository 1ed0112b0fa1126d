"""The supervisor's own address: how the command line and the demo change nodes and parts of a running cluster."""

import hmac
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from localcluster.errors import LocalClusterError
from localcluster.node.agent import NodeAgent
from localcluster.ports import LOOPBACK
from localcluster.spec import NODE_SPEC
from localcluster.supervisor.children import Child
from localcluster.supervisor.discovery import targets


@asynccontextmanager
async def serve_control(
    port: int, token_file: Path, agent: NodeAgent, children: Mapping[str, Child]
) -> AsyncIterator[str]:
    """Serve node and part commands and Prometheus' discovery; yield the address.

    Args:
        port: the loopback port.
        token_file: written here with a fresh secret that every request must carry.
        agent: what node commands are for.
        children: what part commands are for, by process name.
    """
    application = web.Application(middlewares=[_guard(_write_token(token_file))])
    commands = _Commands(agent, children)
    application.add_routes(
        [
            web.get("/discovery", commands.discover),
            web.get("/nodes", commands.list_nodes),
            web.post("/nodes", commands.add_node),
            web.post("/nodes/{name}/{command:fail|recover}", commands.change_node),
            web.post("/nodes/{name}/accelerators", commands.set_accelerators),
            web.post("/parts/{name}/{command:stop|start|pause|resume}", commands.change_part),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield f"http://{LOOPBACK}:{port}"
    finally:
        await runner.cleanup()


def _write_token(path: Path) -> str:
    token = secrets.token_urlsafe(24)
    path.touch(mode=0o600)
    path.write_text(token)
    return token


def _guard(token: str) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not hmac.compare_digest(request.headers.get("Authorization", ""), f"Bearer {token}"):
            return web.json_response({"error": "wrong or missing token"}, status=401)
        try:
            return await handler(request)
        except (LocalClusterError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return guard


class _Commands:
    def __init__(self, agent: NodeAgent, children: Mapping[str, Child]) -> None:
        self._agent = agent
        self._children = children

    async def discover(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(targets(self._agent.pods()))

    async def list_nodes(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"nodes": self._agent.nodes()})

    async def add_node(self, request: web.Request) -> web.StreamResponse:
        await self._agent.add_node(NODE_SPEC.validate_json(await request.read()))
        return web.json_response({})

    async def change_node(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if request.match_info["command"] == "fail":
            await self._agent.fail_node(name)
        else:
            await self._agent.recover_node(name)
        return web.json_response({})

    async def set_accelerators(self, request: web.Request) -> web.StreamResponse:
        await self._agent.set_accelerators(request.match_info["name"], await request.json())
        return web.json_response({})

    async def change_part(self, request: web.Request) -> web.StreamResponse:
        name, command = request.match_info["name"], request.match_info["command"]
        child = self._children.get(name)
        if child is None:
            raise LocalClusterError(f"part {name!r}: expected one of {', '.join(self._children)}")
        match command:
            case "stop":
                await child.stop()
            case "start":
                await child.start()
            case "pause":
                child.signal(signal.SIGSTOP)
            case _:
                child.signal(signal.SIGCONT)
        return web.json_response({})
