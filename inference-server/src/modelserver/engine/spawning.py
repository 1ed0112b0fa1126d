"""Starts worker processes. It imports next to nothing: a server's first worker is on its way before the server itself is."""

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelserver.worker.orders import Open, Start, framed
from modelserver.worker.shared import Shared, create_memory


@dataclass(frozen=True)
class Spawned:
    """A worker process that has been started, and the front's end of the way to it."""

    process: subprocess.Popen[bytes]
    connection: socket.socket


@dataclass(frozen=True)
class Orders:
    """What a worker of a whole model is told first, all at once."""

    open: Open
    start: Start
    threads: int = 1


@dataclass(frozen=True)
class Begun:
    """A worker process that has its orders; its two answers are still to be read.

    Attributes:
        orders: What it does.
        spawned: The process.
        shared: Its memory: one piece for requests, one for answers.
    """

    orders: Orders
    spawned: Spawned
    shared: Shared


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker: libraries read their number of threads when they are imported.

    Args:
        threads: To compute with.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    # Unbuffered: what a model printed before its worker was killed is what one wants to read.
    return {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONUNBUFFERED": "1"}


def spawn(shared: Shared, threads: int) -> Spawned:
    """Start a worker process. It takes a millisecond.

    From the main thread: the kernel ends the worker when the thread that started it ends.

    Args:
        shared: Memory that the worker gets too.
        threads: To compute with.

    Raises:
        OSError: When no process can be started.
    """
    kinds = (shared.reads, shared.memos, shared.writes)
    ours, theirs = socket.socketpair()
    with theirs:
        lists = [",".join(map(str, descriptors)) for descriptors in kinds]
        command = [sys.executable, "-m", "modelserver.worker", str(os.getpid()), str(theirs.fileno()), *lists]
        with _closed_on_error(ours):
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *itertools.chain(*kinds)],
                env=environment(threads),
                start_new_session=True,
            )
    return Spawned(process, ours)


def begin(orders: Orders) -> Begun:
    """Start a worker process and tell it what to load.

    Raises:
        OSError: When no process can be started.
    """
    shared = Shared([create_memory("requests")], (), [create_memory("answers")])
    try:
        spawned = spawn(shared, orders.threads)
    except OSError:
        for descriptor in (*shared.reads, *shared.writes):
            os.close(descriptor)
        raise
    spawned.connection.sendall(framed(Open.op, orders.open) + framed(Start.op, orders.start))
    return Begun(orders, spawned, shared)


@contextmanager
def _closed_on_error(connection: socket.socket) -> Iterator[None]:
    try:
        yield
    except OSError:
        connection.close()
        raise
