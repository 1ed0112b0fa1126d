"""Follow a demo day: a snapshot every second, and the scenario's events at their times."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from modelscaler_demo.client import Kube
from modelscaler_demo.load.process import LoadProcess
from modelscaler_demo.snapshot import Pool, Snapshot, Told, running_from, served_from, told_from

EVERY_SECONDS = 1.0
TOLD_DEGRADED_SHARE = 0.25
"""From this share of answers on, a cheaper variant is worth an announcement."""


@dataclass(slots=True)
class Deed:
    """Something the demo does, `seconds` into the day, and how it is announced."""

    seconds: float
    text: str
    do: Callable[[], None] = lambda: None
    done: bool = False


@dataclass(slots=True)
class Watch:
    """Follows one ModelDeployment through a day that begins at `midnight` (epoch seconds)."""

    kube: Kube
    namespace: str
    name: str
    midnight: float
    deeds: list[Deed]
    snapshots: list[Snapshot] = field(default_factory=list)
    _told: Told = field(default_factory=Told)

    async def follow(self, load: LoadProcess, show: Callable[[Snapshot], None]) -> None:
        """Take and show snapshots until the load ends."""
        while load.running:
            began = time.monotonic()
            snapshot = await self._snapshot(load)
            self.snapshots.append(snapshot)
            show(snapshot)
            await asyncio.sleep(max(EVERY_SECONDS - (time.monotonic() - began), 0.0))

    async def _snapshot(self, load: LoadProcess) -> Snapshot:
        before = self._told
        running = self.snapshots[-1].running if self.snapshots else {}
        try:
            self._told = told_from(await self.kube.model_deployment(self.namespace, self.name))
            pods = await self.kube.pods(self.namespace, f"modelscaler.dev/deployment={self.name}")
            running = running_from(pods, datetime.now(UTC))
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # the API server was away for a moment: what it said last stands
        seconds = time.time() - self.midnight
        events = (*await self._do_what_is_due(seconds), *switches(before, self._told))
        return Snapshot(seconds, served_from(load.seconds), self._told, running, events)

    async def _do_what_is_due(self, seconds: float) -> list[str]:
        due = [deed for deed in self.deeds if not deed.done and deed.seconds <= seconds]
        for deed in due:
            deed.done = True
            await asyncio.to_thread(deed.do)
        return [deed.text for deed in due]


def switches(before: Told, after: Told) -> list[str]:
    """Say when another placement or variant took over, one was given up for a while, or the reflex came in."""
    found = []
    if before.active and after.active and _kind(before.active) != _kind(after.active):
        found.append(f"{_kind(after.active)} takes over from {_kind(before.active)} ({after.reason})")
    if (before.degraded_share or 0.0) < TOLD_DEGRADED_SHARE <= (after.degraded_share or 0.0):
        found.append(f"{after.degraded_share:.0%} of answers come from a cheaper variant in the same pods")
    found.extend(f"{pool} cannot be had" for pool in after.unavailable if pool not in before.unavailable)
    return found


def _kind(pool: Pool) -> str:
    return f"{pool.placement}/{pool.variant}"
