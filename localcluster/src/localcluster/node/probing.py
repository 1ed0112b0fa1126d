"""A container's probes at work: startup first, then readiness and liveness side by side."""

import asyncio
from collections.abc import Awaitable, Callable

from localcluster.kubeobjects import JsonObject
from localcluster.node.context import PodContext
from localcluster.node.events import WARNING, pod_reference
from localcluster.node.hooks import named_ports
from localcluster.node.probes import ExecInContainer, Prober, ProbeTracker

Restart = Callable[[str, float | None], Awaitable[None]]
"""Told which kind of probe failed for good, and the probe's own grace in seconds, if it has one."""
Report = Callable[[bool, bool], None]
"""Told whether the container has started and whether it is ready."""


class Probing:
    """Runs the probes of one container while its process lives."""

    def __init__(
        self, context: PodContext, spec: JsonObject, run: ExecInContainer, report: Report, restart: Restart
    ) -> None:
        self._context = context
        self._spec = spec
        self._run = run
        self._report = report
        self._restart = restart

    async def run(self) -> None:
        """Probe until cancelled, or until a probe asks for the container's end."""
        if "startupProbe" in self._spec:
            self._report(False, False)
            if not await self._start_up():
                return
        self._report(True, "readinessProbe" not in self._spec)
        loops = []
        if "readinessProbe" in self._spec:
            loops.append(self._readiness())
        if "livenessProbe" in self._spec:
            loops.append(self._liveness())
        await asyncio.gather(*loops)

    async def _start_up(self) -> bool:
        tracker = await self._until("startup", ProbeTracker(self._prober("startup").settings, None), {True, False})
        if tracker.verdict is False:
            await self._fail("startup")
            return False
        return True

    async def _liveness(self) -> None:
        await self._until("liveness", ProbeTracker(self._prober("liveness").settings, True), {False})
        await self._fail("liveness")

    async def _readiness(self) -> None:
        tracker = ProbeTracker(self._prober("readiness").settings, False)
        while True:
            waiting_for = not tracker.verdict
            tracker = await self._until("readiness", tracker, {waiting_for}, resumed=tracker.last is not None)
            self._report(True, bool(tracker.verdict))

    async def _until(
        self, kind: str, tracker: ProbeTracker, verdicts: set[bool], *, resumed: bool = False
    ) -> ProbeTracker:
        """Probe until the verdict is one of ``verdicts``; ``resumed`` skips the initial delay."""
        prober = self._prober(kind)
        settings = prober.settings
        await asyncio.sleep(settings.period_seconds if resumed else settings.initial_delay_seconds)
        while True:
            answer = await prober.ask()
            if not answer.success:
                message = f"{kind.capitalize()} probe failed: {answer.message}"
                regarding = pod_reference(self._context.pod, self._spec["name"])
                self._context.machine.recorder.record(regarding, WARNING, "Unhealthy", message)
            tracker = tracker.after(answer.success)
            if tracker.verdict in verdicts:
                return tracker
            await asyncio.sleep(settings.period_seconds)

    async def _fail(self, kind: str) -> None:
        grace = self._spec[f"{kind}Probe"].get("terminationGracePeriodSeconds")
        await self._restart(kind, None if grace is None else float(grace))

    def _prober(self, kind: str) -> Prober:
        return Prober(self._spec[f"{kind}Probe"], self._context.ip, named_ports(self._spec), self._run)
