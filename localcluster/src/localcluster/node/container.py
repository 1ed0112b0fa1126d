"""The life of one container: image, start, probes, end, back-off, start again."""

import asyncio
import secrets
import time
from dataclasses import replace

import aiohttp

from localcluster.apiclient import ApiError
from localcluster.kubeobjects import JsonObject
from localcluster.node.backoff import failures_after, pull_delay_seconds, restart_delay_seconds, spoken
from localcluster.node.clock import now, timestamp
from localcluster.node.context import PodContext
from localcluster.node.environment import MissingConfiguration
from localcluster.node.events import NORMAL, WARNING, pod_reference
from localcluster.node.hooks import run_hook
from localcluster.node.launching import plan_launch
from localcluster.node.probing import Probing
from localcluster.node.process import ContainerProcess, Exit, StartFailure
from localcluster.node.status import ContainerRecord
from localcluster.spec import Image

CONFIGURATION_RETRY_SECONDS = 5.0
# Kubelet leaves at least this much to the process itself, however long preStop took.
SHORTEST_GRACE_SECONDS = 2.0
START_FAILURE_CODE = 128


class ContainerWorker:
    """Keeps one container as its spec and the pod's restart policy want it."""

    def __init__(self, context: PodContext, spec: JsonObject, record: ContainerRecord, restart_policy: str) -> None:
        self.record = record
        self._context = context
        self._spec = spec
        self._restart_policy = restart_policy
        self._process: ContainerProcess | None = None
        self._stop = asyncio.Event()
        self._failures = 0
        self.up_or_over = asyncio.Event()
        """Set once the container has started, or will not start any more."""
        self._probing: Probing | None = None

    async def run(self) -> None:
        """Run the container until it has ended for good or ``stop`` is called."""
        try:
            await self._run()
        finally:
            self.up_or_over.set()

    async def _run(self) -> None:
        while not self._stop.is_set():
            image = await self._image()
            if image is None:
                return
            begun = time.monotonic()
            ended = await self._run_once(image)
            if self._stop.is_set() or not (ended is None or self._restarts(ended.code)):
                return
            if ended is not None:
                await self._back_off(time.monotonic() - begun)

    async def stop(self, grace_seconds: float, message: str = "Stopping container {name}") -> None:
        """End the container: preStop, SIGTERM, and SIGKILL after the grace."""
        self._stop.set()
        await self._terminate(grace_seconds, message)

    def kill(self) -> None:
        """End the container at once, as a machine that dies."""
        self._stop.set()
        if self._process is not None:
            self._process.kill()

    def _restarts(self, code: int) -> bool:
        return self._restart_policy == "Always" or (self._restart_policy == "OnFailure" and code != 0)

    async def _image(self) -> Image | None:
        """Return the image's row, waiting for it as kubelet waits for a registry; None once stopped."""
        name, failures, base = self._spec["image"], 0, self._context.machine.settings.timing.crash_backoff_seconds
        while not self._stop.is_set():
            image = self._context.machine.images.find(name)
            if image is not None:
                self._event(NORMAL, "Pulled", f'Container image "{name}" already present on machine')
                return image
            failures += 1
            message = f'image "{name}" is not in the image table; add it with `localcluster image add {name}`'
            self._event(WARNING, "Failed", f'Failed to pull image "{name}": {message}')
            self._wait_for("ErrImagePull", message)
            await self._sleep(min(1.0, base))
            self._event(NORMAL, "BackOff", f'Back-off pulling image "{name}"')
            self._wait_for("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {message}')
            await self._sleep(pull_delay_seconds(failures, base))
        return None

    async def _run_once(self, image: Image) -> Exit | None:
        """Start and follow one process; return its end, None when it could not be configured yet."""
        started = timestamp(now())
        try:
            await self._start(image)
        except (MissingConfiguration, ApiError, aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._event(WARNING, "Failed", f"Error: {error}")
            self._wait_for("CreateContainerConfigError", str(error))
            await self._sleep(CONFIGURATION_RETRY_SECONDS)
            return None
        except (StartFailure, OSError) as error:
            self._event(WARNING, "Failed", f"Error: {error}")
            self._ended(Exit(START_FAILURE_CODE, False), started, "StartError", str(error))
            return Exit(START_FAILURE_CODE, False)
        return await self._follow(started)

    async def _start(self, image: Image) -> None:
        attempt = self.record.restart_count
        launch = await plan_launch(self._context, self._spec, image, attempt)
        machine, cgroup = self._context.machine, None
        if machine.cgroups is not None:
            name = f"{self._context.pod['metadata']['uid']}-{self._spec['name']}-{attempt}"
            cgroup = machine.cgroups.child(name)
        self._event(NORMAL, "Created", f"Container created: {self._spec['name']}")
        try:
            self._process = await ContainerProcess.start(launch, machine.isolation, cgroup, machine.registry)
        except BaseException:
            if cgroup is not None:
                await asyncio.to_thread(cgroup.remove)
            raise

    async def _follow(self, started: str) -> Exit:
        process = self._process
        if process is None:
            raise RuntimeError("a container is followed before it was started")
        if self._stop.is_set():
            process.kill()
        self._update(state={"running": {"startedAt": started}}, container_id=f"local://{secrets.token_hex(16)}")
        self._event(NORMAL, "Started", f"Container started: {self._spec['name']}")
        self._probing = Probing(self._context, self._spec, process.run, self._probed, self._unhealthy)
        probing = asyncio.create_task(self._attend(process))
        try:
            ended = await process.wait()
        finally:
            probing.cancel()
            self._process = None
        reason = "OOMKilled" if ended.oom_killed else ("Completed" if ended.code == 0 else "Error")
        self._ended(ended, started, reason)
        return ended

    async def _attend(self, process: ContainerProcess) -> None:
        hook = self._spec.get("lifecycle", {}).get("postStart")
        if hook is not None:
            failure = await run_hook(hook, self._spec, self._context.ip, process.run)
            if failure:
                self._event(WARNING, "FailedPostStartHook", f"PostStartHook failed: {failure}")
                await self._terminate(self._grace_seconds(), "Container {name} failed its postStart hook")
                return
        if self._probing is not None:
            await self._probing.run()

    def _probed(self, started: bool, ready: bool) -> None:
        self._update(started=started, ready=ready)
        if started:
            self.up_or_over.set()

    async def _unhealthy(self, kind: str, grace_seconds: float | None) -> None:
        grace = self._grace_seconds() if grace_seconds is None else grace_seconds
        await self._terminate(grace, f"Container {{name}} failed {kind} probe, will be restarted")

    def _grace_seconds(self) -> float:
        return float(self._context.pod["spec"].get("terminationGracePeriodSeconds", 30))

    async def _terminate(self, grace_seconds: float, message: str) -> None:
        process = self._process
        if process is None:
            return
        self._event(NORMAL, "Killing", message.format(name=self._spec["name"]))
        begun = time.monotonic()
        hook = self._spec.get("lifecycle", {}).get("preStop")
        if hook is not None and grace_seconds > 0:
            await self._pre_stop(hook, process, grace_seconds)
        process.terminate()
        left = max(grace_seconds - (time.monotonic() - begun), min(SHORTEST_GRACE_SECONDS, grace_seconds))
        try:
            await asyncio.wait_for(process.ended.wait(), left)
        except TimeoutError:
            process.kill()

    async def _pre_stop(self, hook: JsonObject, process: ContainerProcess, grace_seconds: float) -> None:
        try:
            waiting = run_hook(hook, self._spec, self._context.ip, process.run)
            failure = await asyncio.wait_for(waiting, grace_seconds)
        except TimeoutError:
            failure = f"still running after the grace period of {grace_seconds:g} s"
        if failure:
            self._event(WARNING, "FailedPreStopHook", f"PreStopHook failed: {failure}")

    def _ended(self, ended: Exit, started: str, reason: str, message: str = "") -> None:
        terminated: JsonObject = {
            "exitCode": ended.code,
            "reason": reason,
            "startedAt": started,
            "finishedAt": timestamp(now()),
            "containerID": self.record.container_id,
        }
        if message:
            terminated["message"] = message
        self._update(state={"terminated": terminated}, ready=False, started=False)

    async def _back_off(self, ran_seconds: float) -> None:
        base = self._context.machine.settings.timing.crash_backoff_seconds
        self._failures = failures_after(self._failures, ran_seconds, base)
        delay = restart_delay_seconds(self._failures, base)
        last = self.record.state
        if delay > 0:
            pod = self._context.pod["metadata"]
            where = f"{pod['name']}_{pod['namespace']}({pod['uid']})"
            message = f"back-off {spoken(delay)} restarting failed container={self._spec['name']} pod={where}"
            self._event(WARNING, "BackOff", f"Back-off restarting failed container {self._spec['name']} in pod {where}")
            self._update(state={"waiting": {"reason": "CrashLoopBackOff", "message": message}}, last_state=last)
            await self._sleep(delay)
        if not self._stop.is_set():
            self._update(last_state=last, restart_count=self.record.restart_count + 1)

    def _wait_for(self, reason: str, message: str) -> None:
        self._update(state={"waiting": {"reason": reason, "message": message}}, ready=False)

    def _update(self, **changes: object) -> None:
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]  # field names of ContainerRecord
        self._context.changed()

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._context.machine.recorder.record(
            pod_reference(self._context.pod, self._spec["name"]), kind, reason, message
        )

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return
