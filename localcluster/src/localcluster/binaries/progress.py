"""What the user sees while programs are built: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_LINE_EVERY_SECONDS = 15.0


class BuildProgress(Protocol):
    """Told how far a build is."""

    def advance(self, done: int, total: int) -> None:
        """Report ``done`` of about ``total`` packages compiled."""


class _Bar:
    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None)

    def advance(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=max(total, 1))


class _Lines:
    def __init__(self, title: str) -> None:
        self._title = title
        self._start = self._last = time.monotonic()

    def advance(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < PLAIN_LINE_EVERY_SECONDS:
            return
        self._last = now
        elapsed = now - self._start
        rest = f", about {elapsed * (total - done) / done:.0f} s left" if done else ""
        sys.stderr.write(f"{self._title}: {done} of {total} packages, {elapsed:.0f} s{rest}\n")


@contextmanager
def build_progress(title: str) -> Iterator[BuildProgress]:
    """Show the progress of one build on stderr.

    Args:
        title: what is being built, for example ``kube-apiserver (1 of 4)``.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        sys.stderr.write(f"{title}: started\n")
        started = time.monotonic()
        yield _Lines(title)
        sys.stderr.write(f"{title}: done in {time.monotonic() - started:.0f} s\n")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, title)
