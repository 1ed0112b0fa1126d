"""What tests of child processes share: waiting for what another process does, and whether a child ends with its parent."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PATIENCE_SECONDS = 90.0


def until(answer: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    waiting = threading.Event()
    while not answer():
        assert time.monotonic() < deadline
        waiting.wait(0.01)


def assert_child_ends_with_its_parent(parent_code: str, folder: Path) -> None:
    """Run a parent that starts a child and prints its process number; kill the parent once the child has begun."""
    script = folder / "parent.py"
    script.write_text(parent_code)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.nice() > os.getpriority(os.PRIO_PROCESS, 0))  # it has begun, so it has asked the kernel
        parent.kill()

    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
