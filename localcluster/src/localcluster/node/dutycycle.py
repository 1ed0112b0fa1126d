"""Limits without cgroups: stop and continue a process by the clock, and kill it when it grows too big.

Coarser than the kernel's: the CPU is rationed over tenths of a second, and memory is looked at ten times a second.
"""

import asyncio
import signal

import psutil

from localcluster.node.cgroups import Limits

PERIOD_SECONDS = 0.1


class DutyCycle:
    """Keeps one container's process tree within its limits."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self._pid = pid
        self._limits = limits
        self.oom_killed = False

    async def run(self) -> None:
        """Watch until the process ends."""
        cpus = None if self._limits.cpu_quota_us is None else self._limits.cpu_quota_us / self._limits.cpu_period_us
        used_before, debt_seconds = self._cpu_seconds(), 0.0
        while (tree := self._tree()) and not self._too_big(tree):
            await asyncio.sleep(PERIOD_SECONDS)
            used = self._cpu_seconds()
            if cpus is None:
                continue
            debt_seconds = max(0.0, debt_seconds + (used - used_before) - cpus * PERIOD_SECONDS)
            used_before = used
            if debt_seconds > 0:
                await self._pause(debt_seconds / cpus)
                debt_seconds = 0.0

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _cpu_seconds(self) -> float:
        total = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
        return total

    def _too_big(self, tree: list[psutil.Process]) -> bool:
        if self._limits.memory_bytes is None:
            return False
        resident = 0
        for process in tree:
            try:
                resident += process.memory_info().rss
            except psutil.Error:
                continue
        if resident <= self._limits.memory_bytes:
            return False
        self.oom_killed = True
        self._signal(signal.SIGKILL)
        return True

    async def _pause(self, seconds: float) -> None:
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._tree():
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
