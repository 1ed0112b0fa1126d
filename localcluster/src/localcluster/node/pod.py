"""The life of one pod on this machine: volumes, init containers, containers, end."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Sequence

import aiohttp

from localcluster.apiclient import HTTP_CONFLICT, HTTP_NOT_FOUND, STRATEGIC_MERGE, ApiError
from localcluster.kubeobjects import JsonObject
from localcluster.node.clock import now, timestamp
from localcluster.node.container import ContainerWorker
from localcluster.node.context import Machine, PodContext
from localcluster.node.environment import MissingConfiguration, PodFacts
from localcluster.node.events import WARNING, pod_reference
from localcluster.node.recovery import initial_record
from localcluster.node.status import HOST_IP, PodRecord, is_sidecar, pod_status
from localcluster.node.volumes import PodVolumes, UnsupportedVolume

LOG = logging.getLogger(__name__)
COALESCE_SECONDS = 0.02
STATUS_RETRY_SECONDS = 0.5
MOUNT_RETRY_SECONDS = 2.0
FINISHED = ("Succeeded", "Failed")


class PodWorker:
    """Makes one pod happen and tells the API server about it."""

    def __init__(self, machine: Machine, pod: JsonObject, allocatable: JsonObject) -> None:
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.directory = machine.settings.pods_dir / self.uid
        self._machine = machine
        self._ip = machine.addresses.take()
        self._start_time = pod.get("status", {}).get("startTime") or timestamp(now())
        self._changed = asyncio.Event()
        self._deletion = asyncio.Event()
        self._context = self._make_context(allocatable)
        spec = pod["spec"]
        policy = spec.get("restartPolicy", "Always")
        init_policy = "OnFailure" if policy == "Always" else policy
        self._init = [self._worker(one, "Always" if is_sidecar(one) else init_policy) for one in _inits(spec)]
        self._containers = [self._worker(one, policy) for one in spec["containers"]]
        self._tasks: list[asyncio.Task[None]] = []

    def _make_context(self, allocatable: JsonObject) -> PodContext:
        addresses = {
            "status.podIP": self._ip,
            "status.podIPs": self._ip,
            "status.hostIP": HOST_IP,
            "status.hostIPs": HOST_IP,
        }
        facts = PodFacts(self.pod, addresses, allocatable)
        volumes = PodVolumes(self._machine.api, facts, self.directory / "volumes")
        return PodContext(self._machine, self.pod, self.directory, self._ip, facts, volumes, self._changed.set)

    def _worker(self, spec: JsonObject, policy: str) -> ContainerWorker:
        return ContainerWorker(self._context, spec, initial_record(spec, self.pod), policy)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.pod["metadata"]["namespace"], self.pod["metadata"]["name"]

    def worker_named(self, container: str) -> ContainerWorker | None:
        """Return the worker of one container, init containers included."""
        return next((one for one in self._everyone() if one.record.name == container), None)

    def update(self, pod: JsonObject) -> None:
        """Take note of a newer version of the pod."""
        self.pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._deletion.set()
        self._changed.set()

    async def run(self) -> None:
        """Live the pod's life; return when it is over and the object is gone."""
        self.update(self.pod)
        publishing = asyncio.create_task(self._publish_changes())
        life = asyncio.create_task(self._live())
        deletion = asyncio.create_task(self._deletion.wait())
        try:
            await asyncio.wait({life, deletion}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
            await deletion
            await self._wind_down()
            await self._cancel([life])
            await self._cancel([publishing])
            await self._publish()
            await self._finalize()
        finally:
            # First silence, then the end of the processes: a dead machine reports nothing.
            await self._cancel([publishing])
            self.kill()
            await self._clean_up()
            await self._cancel([life, deletion])

    def kill(self) -> None:
        """End every process at once and say nothing: the machine is dead, or the object is gone."""
        for worker in self._everyone():
            worker.kill()

    def _everyone(self) -> Sequence[ContainerWorker]:
        return [*self._init, *self._containers]

    async def _live(self) -> None:
        await self._mount()
        refreshing = asyncio.create_task(self._refresh_volumes())
        try:
            if await self._initialize():
                running = [self._spawn(worker) for worker in self._containers]
                await asyncio.gather(*running)
                await self._stop_sidecars(self._grace_seconds())
        finally:
            refreshing.cancel()

    def _spawn(self, worker: ContainerWorker) -> asyncio.Task[None]:
        task = asyncio.create_task(worker.run())
        self._tasks.append(task)
        return task

    async def _mount(self) -> None:
        while True:
            try:
                await self._context.volumes.prepare(self.pod)
            except (MissingConfiguration, UnsupportedVolume, ApiError, OSError, aiohttp.ClientError) as error:
                regarding = pod_reference(self.pod)
                self._machine.recorder.record(regarding, WARNING, "FailedMount", f"MountVolume.SetUp failed: {error}")
                await asyncio.sleep(MOUNT_RETRY_SECONDS)
            else:
                return

    async def _refresh_volumes(self) -> None:
        while True:
            await asyncio.sleep(self._machine.settings.timing.volume_refresh_seconds)
            try:
                await self._context.volumes.prepare(self.pod)
            except (MissingConfiguration, ApiError, aiohttp.ClientError, TimeoutError) as error:
                LOG.warning("volumes of %s not refreshed: %s", self.key, error)

    async def _initialize(self) -> bool:
        """Run the init containers in order; say whether the pod may go on."""
        for spec, worker in zip(_inits(self.pod["spec"]), self._init, strict=True):
            task = self._spawn(worker)
            if is_sidecar(spec):
                await worker.up_or_over.wait()
            else:
                await task
                if worker.record.exit_code != 0:
                    return False
        return True

    def _grace_seconds(self) -> float:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        return float(metadata.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30)))

    async def _wind_down(self) -> None:
        grace = self._grace_seconds()
        await asyncio.gather(*(worker.stop(grace) for worker in self._containers))
        await self._stop_sidecars(grace)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _stop_sidecars(self, grace_seconds: float) -> None:
        for worker in reversed(self._init):
            await worker.stop(grace_seconds)

    def _record(self) -> PodRecord:
        init = [worker.record for worker in self._init]
        return PodRecord(self._ip, self._start_time, init, [worker.record for worker in self._containers])

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            # Several changes of one moment become one write.
            await asyncio.sleep(COALESCE_SECONDS)
            self._changed.clear()
            if not await self._publish():
                await asyncio.sleep(STATUS_RETRY_SECONDS)
                self._changed.set()

    async def _publish(self) -> bool:
        """Write the status if it differs from what the API server has; say whether that worked."""
        status = pod_status(self.pod, self._record(), timestamp(now()))
        if not _differs(status, self.pod.get("status", {})):
            return True
        body = {"metadata": {"uid": self.uid}, "status": status}
        try:
            self.pod = _newer(self.pod, await self._machine.api.patch(f"{self._path}/status", body, STRATEGIC_MERGE))
        except ApiError as error:
            if error.status not in (HTTP_NOT_FOUND, HTTP_CONFLICT):
                LOG.warning("status of %s not written: %s", self.key, error)
                return False
        except (aiohttp.ClientError, TimeoutError) as error:
            LOG.warning("status of %s not written: %s", self.key, error)
            return False
        return True

    @property
    def _path(self) -> str:
        namespace, name = self.key
        return f"/api/v1/namespaces/{namespace}/pods/{name}"

    async def _finalize(self) -> None:
        """Delete the object: everything it stood for has ended."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while True:
            try:
                await self._machine.api.delete(self._path, body)
            except ApiError as error:
                if error.status in (HTTP_NOT_FOUND, HTTP_CONFLICT):
                    return
                LOG.warning("pod %s not deleted yet: %s", self.key, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                LOG.warning("pod %s not deleted yet: %s", self.key, error)
            else:
                return
            await asyncio.sleep(STATUS_RETRY_SECONDS)

    async def _clean_up(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        await self._cancel(self._tasks)
        self._machine.addresses.give_back(self._ip)
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)

    async def _cancel(self, tasks: Sequence[asyncio.Task[None] | asyncio.Task[bool]]) -> None:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


def _inits(spec: JsonObject) -> list[JsonObject]:
    return list(spec.get("initContainers", ()))


def _differs(wanted: JsonObject, present: JsonObject) -> bool:
    """Say whether writing ``wanted`` would change anything but conditions of others."""
    for key, value in wanted.items():
        if key == "conditions":
            old = {one["type"]: one["status"] for one in present.get("conditions", ())}
            if any(old.get(one["type"]) != one["status"] for one in value):
                return True
        elif present.get(key) != value:
            return True
    return False


def _newer(old: JsonObject, new: JsonObject) -> JsonObject:
    """Return the version to go on with: a write's answer may be older than what the watch has brought since."""
    return new if int(new["metadata"]["resourceVersion"]) >= int(old["metadata"]["resourceVersion"]) else old


def is_over(pod: JsonObject) -> bool:
    """Say whether a pod has finished by its own status."""
    return pod.get("status", {}).get("phase") in FINISHED
