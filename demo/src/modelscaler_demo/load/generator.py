"""The open loop: requests leave at their appointed times, whatever becomes of the earlier ones."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from modelscaler_demo.load.arrivals import Floats
from modelscaler_demo.load.gateway import Gateway
from modelscaler_demo.load.tally import Outcome, Second, Totals


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """What to send and when. `arrivals` are sorted seconds since the start, shape (requests,); bodies go round."""

    arrivals: Floats
    duration_seconds: float
    bodies: Sequence[bytes]


async def generate(
    settings: LoadSettings,
    gateway: Gateway,
    stopped: asyncio.Event,
    on_second: Callable[[Second], None],
) -> Totals:
    """Send the whole load and return everything that was counted.

    Args:
        settings: What to send and when.
        gateway: How to send it. Whoever watches the Service keeps its replicas up to date meanwhile.
        stopped: Set it to send nothing more; what is under way is still waited for and counted.
        on_second: Called with each second once it is over.
    """
    return await _Run(settings, gateway, stopped, on_second).run()


@dataclass(slots=True)
class _Run:
    settings: LoadSettings
    gateway: Gateway
    stopped: asyncio.Event
    on_second: Callable[[Second], None]
    totals: Totals = field(default_factory=Totals)
    started: float = 0.0
    current: Second = field(default_factory=lambda: Second(0))
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> Totals:
        self.started = time.monotonic()
        clock = asyncio.create_task(self._tick())
        try:
            await self._send_until_stopped()
            if self.under_way:
                await asyncio.wait(self.under_way)
        finally:
            clock.cancel()
            for task in self.under_way:
                task.cancel()
        self._close_second()
        return self.totals

    async def _send_until_stopped(self) -> None:
        tasks = {asyncio.create_task(self._send_all()), asyncio.create_task(self.stopped.wait())}
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        for task in done:
            task.result()

    async def _send_all(self) -> None:
        bodies = self.settings.bodies
        for number, at in enumerate(self.settings.arrivals):
            await self._until(float(at))
            self.totals.late_ms = max(self.totals.late_ms, (self._elapsed() - float(at)) * 1000)
            self.current.offered += 1
            task = asyncio.create_task(self._send(bodies[number % len(bodies)]))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)
        await self._until(self.settings.duration_seconds)

    async def _send(self, body: bytes) -> None:
        outcome = await self.gateway.send(body)
        self._record(outcome)

    def _record(self, outcome: Outcome) -> None:
        self.current.record(outcome)
        if not outcome.ok:
            self.totals.reasons[outcome.reason] += 1

    async def _tick(self) -> None:
        while True:
            await self._until(self.current.second + 1)
            self._close_second()

    def _close_second(self) -> None:
        done = self.current
        done.at, done.inflight, done.replicas = time.time(), len(self.under_way), len(self.gateway.replicas)
        self.totals.seconds.append(done)
        self.current = Second(done.second + 1)
        self.on_second(done)

    async def _until(self, second: float) -> None:
        wait = second - self._elapsed()
        if wait > 0:
            await asyncio.sleep(wait)

    def _elapsed(self) -> float:
        return time.monotonic() - self.started
