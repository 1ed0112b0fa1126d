"""Free TCP ports, asked from the system so that clusters can run side by side."""

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return ``count`` distinct ports that were free on loopback a moment ago.

    All are held open together, so that none is handed out twice; whoever uses them must cope
    with the rare case that another process took one meanwhile.
    """
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind((LOOPBACK, 0))
        return [int(listener.getsockname()[1]) for listener in sockets]
