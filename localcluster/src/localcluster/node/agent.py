"""The node agent: watches pods and gives each one on its nodes a worker."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp

from localcluster.addresses import AddressRange
from localcluster.apiclient import ApiClient, ApiError, WatchExpired
from localcluster.errors import LocalClusterError
from localcluster.images import ImageTable
from localcluster.kubeobjects import JsonObject
from localcluster.node.cgroups import CgroupTree
from localcluster.node.context import Machine
from localcluster.node.events import EventRecorder
from localcluster.node.kubelet import serve_kubelet
from localcluster.node.pod import PodWorker, is_over
from localcluster.node.registration import NodeHeart
from localcluster.node.sandbox import detect
from localcluster.node.settings import AgentSettings
from localcluster.processes import ProcessRegistry
from localcluster.spec import NodeSpec

LOG = logging.getLogger(__name__)
PODS = "/api/v1/pods"
ASSIGNED = {"fieldSelector": "spec.nodeName!="}
RETRY_SECONDS = 0.5


class NodeAgent:
    """Plays kubelet for any number of nodes."""

    def __init__(
        self,
        settings: AgentSettings,
        api: ApiClient,
        images: ImageTable,
        addresses: AddressRange,
        registry: ProcessRegistry,
    ) -> None:
        tree = CgroupTree.create(settings.cgroup)
        self._settings = settings
        self._api = api
        self._recorder = EventRecorder(api)
        self._machine = Machine(settings, api, images, addresses, registry, self._recorder, detect(), tree)
        self._hearts: dict[str, NodeHeart] = {}
        self._pods: dict[str, JsonObject] = {}
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        LOG.info("isolation: %s; cgroups: %s", self._machine.isolation.value, "yes" if tree else "no, duty cycling")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch, serve and beat for the length of the block; every pod's processes end with it."""
        async with serve_kubelet(self._settings, self.worker_of):
            self._in_background(self._watch())
            self._in_background(self._recorder.run())
            try:
                yield
            finally:
                await self._end()

    async def _end(self) -> None:
        tasks = [*self._background, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _in_background(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def worker_of(self, namespace: str, name: str) -> PodWorker | None:
        """Return the worker of a pod, None if it is not here."""
        return next((worker for worker in self._workers.values() if worker.key == (namespace, name)), None)

    def pods(self) -> list[JsonObject]:
        """Return every pod bound to a node, as last seen."""
        return [*self._pods.values()]

    def nodes(self) -> list[JsonObject]:
        """Return name, state and resources of every node."""
        return [
            {"name": heart.spec.name, "failed": heart.failed, "resources": dict(heart.allocatable)}
            for heart in self._hearts.values()
        ]

    async def add_node(self, spec: NodeSpec) -> None:
        """Register a node.

        Raises:
            LocalClusterError: if there is one of that name, or the API server refuses it.
        """
        if spec.name in self._hearts:
            raise LocalClusterError(f"node {spec.name!r} exists; choose another name")
        heart = NodeHeart(
            self._api, spec, self._settings.kubelet_port, self._settings.timing.node_monitor_grace_seconds
        )
        try:
            await heart.register()
        except ApiError as error:
            raise LocalClusterError(f"node {spec.name!r} was refused: {error}") from error
        self._hearts[spec.name] = heart
        self._in_background(heart.beat())
        self._take_on(spec.name)

    async def fail_node(self, name: str) -> None:
        """Let a node die: no more heartbeats, and its pods' processes end without a word."""
        heart = self._heart(name)
        heart.failed = True
        doomed = [worker.uid for worker in self._workers.values() if worker.pod["spec"]["nodeName"] == name]
        tasks = [self._tasks[uid] for uid in doomed if uid in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def recover_node(self, name: str) -> None:
        """Let a dead node come back, as after a reboot: pods still bound to it start again."""
        heart = self._heart(name)
        if not heart.failed:
            return
        heart.failed = False
        await heart.register()
        self._take_on(name)

    async def set_accelerators(self, name: str, accelerators: Mapping[str, int]) -> None:
        """Change how many of each accelerator a node advertises."""
        heart = self._heart(name)
        merged = {**heart.spec.accelerators, **{key: int(count) for key, count in accelerators.items()}}
        await heart.write_resources(replace(heart.spec, accelerators=merged))

    def _heart(self, name: str) -> NodeHeart:
        heart = self._hearts.get(name)
        if heart is None:
            known = ", ".join(self._hearts) or "none"
            raise LocalClusterError(f"node {name!r}: expected one that this cluster registered ({known})")
        return heart

    def _take_on(self, node: str) -> None:
        for pod in [*self._pods.values()]:
            if pod["spec"].get("nodeName") == node:
                self._see(pod)

    async def _watch(self) -> None:
        while True:
            try:
                version = await self._list()
                async for event in self._api.watch(PODS, version, ASSIGNED):
                    self._handle(event)
            except WatchExpired:
                continue
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                LOG.warning("watching pods: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _list(self) -> str:
        found = await self._api.get(PODS, ASSIGNED)
        pods = {pod["metadata"]["uid"]: pod for pod in found["items"]}
        for uid in set(self._pods) - set(pods):
            self._forget(uid)
        for pod in pods.values():
            self._see(pod)
        return str(found["metadata"]["resourceVersion"])

    def _handle(self, event: JsonObject) -> None:
        pod = event["object"]
        if event["type"] == "DELETED":
            self._forget(pod["metadata"]["uid"])
        elif event["type"] in ("ADDED", "MODIFIED"):
            self._see(pod)

    def _see(self, pod: JsonObject) -> None:
        uid = pod["metadata"]["uid"]
        self._pods[uid] = pod
        heart = self._hearts.get(pod["spec"].get("nodeName", ""))
        if heart is None or heart.failed:
            return
        if worker := self._workers.get(uid):
            worker.update(pod)
        elif not is_over(pod) or "deletionTimestamp" in pod["metadata"]:
            self._begin(pod, heart)

    def _begin(self, pod: JsonObject, heart: NodeHeart) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers[uid] = PodWorker(self._machine, pod, dict(heart.allocatable))
        self._tasks[uid] = asyncio.create_task(self._run(worker))

    async def _run(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        except Exception:
            LOG.exception("pod %s: its worker failed", worker.key)
        finally:
            self._workers.pop(worker.uid, None)
            self._tasks.pop(worker.uid, None)

    def _forget(self, uid: str) -> None:
        """The object is gone: whatever still runs of it ends now."""
        self._pods.pop(uid, None)
        if task := self._tasks.get(uid):
            task.cancel()
