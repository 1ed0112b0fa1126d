"""One run of a cluster, from the first process to the last."""

import asyncio
import contextlib
import datetime
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp

from localcluster.addresses import AddressRange, lock_directory
from localcluster.apiclient import ApiClient, ApiError
from localcluster.errors import LocalClusterError
from localcluster.images import ImageTable
from localcluster.node.agent import NodeAgent
from localcluster.node.cgroups import remove_tree
from localcluster.node.settings import AgentSettings
from localcluster.ports import LOOPBACK
from localcluster.processes import ProcessIdentity, ProcessRegistry
from localcluster.spec import ClusterSpec
from localcluster.state import ClusterState, Phase, StateDirectory
from localcluster.supervisor.children import Child
from localcluster.supervisor.control import serve_control
from localcluster.supervisor.controlplane import control_plane_commands
from localcluster.supervisor.layout import ADMIN, AGENT, Layout, lay_out, write_kubeconfig
from localcluster.supervisor.prometheus import (
    Discovery,
    copy_history,
    grant_access,
    prometheus_command,
    write_configuration,
)

READY_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.05
CHECK_SECONDS = 0.5

Readiness = Callable[[], Awaitable[bool]]


class ClusterRun:
    """Starts a cluster's processes in order, watches them, and ends them in the opposite order."""

    def __init__(self, spec: ClusterSpec, programs: dict[str, Path]) -> None:
        self._spec = spec
        self._programs = programs
        self._files = StateDirectory(spec.state_dir)
        self._registry = ProcessRegistry(self._files.processes)
        self.children: dict[str, Child] = {}
        self._state = self._first_state()

    def _first_state(self) -> ClusterState:
        me = ProcessIdentity.of(os.getpid())
        if me is None:
            raise RuntimeError("this process has no entry in /proc; expected Linux with /proc mounted")
        programs = {name: str(path) for name, path in self._programs.items()}
        return ClusterState(self._spec.name, secrets.token_hex(4), Phase.STARTING, me, programs=programs)

    async def until(self, stop: asyncio.Event) -> None:
        """Run the cluster until ``stop`` is set or one of its processes ends by itself.

        Raises:
            LocalClusterError: when the cluster could not start or one of its processes ended.
        """
        self._write_state(Phase.STARTING)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(shutil.rmtree, self._files.processes, ignore_errors=True)
                stack.push_async_callback(self._stop_children)
                start = asyncio.create_task(self._start(stack))
                await _first_of(start, stop)
                await self._watch(stop)
                self._write_state(Phase.STOPPING)
        except Exception as error:
            self._write_state(Phase.FAILED, str(error))
            raise

    def _write_state(self, phase: Phase, message: str = "") -> None:
        self._state = replace(self._state, phase=phase, message=message)
        self._files.write(self._state)

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        layout = lay_out(self._files, datetime.datetime.now(datetime.UTC))
        context = f"localcluster-{self._spec.name}"
        write_kubeconfig(self._files.kubeconfig, context, layout, ADMIN)
        self._state = replace(self._state, ports=dict(layout.ports), kubeconfig=str(self._files.kubeconfig))
        api = await stack.enter_async_context(_client(layout))
        await self._start_control_plane(layout, api)
        if not self._spec.api_only:
            await self._start_nodes(layout, api, stack)
            await self._start_prometheus(layout, api)
            await self._wait("kube-controller-manager", lambda: _accounts_ready(api))
        self._write_state(Phase.READY)

    async def _start_control_plane(self, layout: Layout, api: ApiClient) -> None:
        timing, api_only = self._spec.timing, self._spec.api_only
        commands = control_plane_commands(self._programs, layout, self._files, timing, api_only=api_only)
        for name, command in commands.items():
            await self._start_child(name, command)
            if name == "etcd":
                await self._wait("etcd", lambda: _accepts(layout.ports["etcd"]))
            elif name == "kube-apiserver":
                await self._wait(name, api.ready)

    async def _start_child(self, name: str, command: list[str]) -> None:
        self.children[name] = Child(name, command, self._files.logs / f"{name}.log", self._registry)
        await self.children[name].start()

    async def _start_nodes(self, layout: Layout, api: ApiClient, stack: contextlib.AsyncExitStack) -> None:
        pod_addresses = AddressRange.claim(lock_directory())
        stack.callback(pod_addresses.release)
        cgroup = f"modelscaler-{self._spec.name}-{self._state.run_id}"
        settings = AgentSettings(
            api_host=LOOPBACK,
            api_port=layout.ports["api"],
            kubelet_port=layout.ports["kubelet"],
            authority=layout.authority.certificate,
            kubelet=layout.kubelet,
            pods_dir=self._files.pods,
            cgroup=cgroup,
            timing=self._spec.timing,
        )
        images = ImageTable(self._files.images)
        stack.callback(remove_tree, cgroup)
        agent = NodeAgent(settings, api, images, pod_addresses, self._registry)
        await stack.enter_async_context(agent.running())
        for node in self._spec.nodes:
            await agent.add_node(node)
        control_url = await stack.enter_async_context(
            serve_control(layout.ports["control"], self._files.control_token, agent, self.children)
        )
        network = str(pod_addresses.network)
        self._state = replace(self._state, control_url=control_url, pod_network=network)

    async def _start_prometheus(self, layout: Layout, api: ApiClient) -> None:
        spec = self._spec.prometheus
        if spec is None:
            return
        token_file = await grant_access(api, self._files)
        discovery = Discovery(token_file, self._state.control_url, self._files.control_token)
        program = self._programs["prometheus"]
        write_configuration(program, layout, self._files, spec, discovery)
        copy_history(spec, self._files)
        command = prometheus_command(program, layout, self._files, spec)
        await self._start_child("prometheus", command)
        url = f"http://{LOOPBACK}:{layout.ports['prometheus']}"
        await self._wait("prometheus", lambda: _answers(f"{url}/-/ready"))
        self._state = replace(self._state, prometheus_url=url)

    async def _wait(self, name: str, ready: Readiness) -> None:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_SECONDS
        while not await ready():
            self.children[name].check()
            if asyncio.get_running_loop().time() > deadline:
                log = self._files.logs / f"{name}.log"
                raise LocalClusterError(f"{name} was not ready within {READY_TIMEOUT_SECONDS:.0f} s; read {log}")
            await asyncio.sleep(POLL_SECONDS)

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for child in self.children.values():
                child.check()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), CHECK_SECONDS)

    async def _stop_children(self) -> None:
        for child in reversed(self.children.values()):
            await child.stop()


async def _first_of(start: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Wait for the start to end, but not once asked to stop."""
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((start, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
    finally:
        stopping.cancel()


def _client(layout: Layout) -> ApiClient:
    return ApiClient(layout.api_url, layout.authority.certificate, layout.tokens[AGENT])


async def _accounts_ready(api: ApiClient) -> bool:
    """Say whether the controllers have made what every pod needs; before that pods are refused."""
    try:
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            await api.get(f"/api/v1/namespaces/default/{path}")
    except ApiError:
        return False
    return True


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
