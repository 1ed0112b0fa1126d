"""What a worker does to itself, so that it harms nobody and outlives nobody."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_OOM_SCORE_RAISE = 500
_OOM_SCORE_MOST = 1000


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends.

    Args:
        parent: Process id of the parent; when it has ended already, so does this one.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def be_first_out_of_memory() -> None:
    """Have the kernel take this process, rather than the front, when memory runs out."""
    with contextlib.suppress(OSError, ValueError):  # a read-only /proc, as some sandboxes have: the kernel then chooses
        score = int(_OOM_SCORE.read_text())
        _OOM_SCORE.write_text(str(min(_OOM_SCORE_MOST, score + _OOM_SCORE_RAISE)))


def leave_signals_to_the_front() -> None:
    """Ignore what a terminal or a container sends to everyone: the front says when to end, by closing the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
