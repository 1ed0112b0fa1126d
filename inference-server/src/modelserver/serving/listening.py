"""The sockets that the server listens on."""

import socket

from modelserver.errors import LoadError

_BACKLOG = 2048
_PROBE_IDLE_SECONDS, _PROBE_INTERVAL_SECONDS, _PROBES = 30, 10, 3
_UNACKNOWLEDGED_MILLISECONDS = 60_000


def listen(host: str, port: int, shared: bool = False) -> socket.socket:
    """Return a listening socket. Clients that vanish without a word are found by the kernel, after about a minute.

    Args:
        host: Address.
        port: 0 for any free one.
        shared: Whether other processes listen there too.

    Raises:
        LoadError: When that address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)
    except OSError as error:
        raise LoadError(f"--host {host} --port {port}: cannot listen there, {error}") from error
    # Connections inherit these.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_NODELAY, 1),
        (socket.TCP_KEEPIDLE, _PROBE_IDLE_SECONDS),
        (socket.TCP_KEEPINTVL, _PROBE_INTERVAL_SECONDS),
        (socket.TCP_KEEPCNT, _PROBES),
        (socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS),
    ):
        listener.setsockopt(socket.IPPROTO_TCP, option, value)
    return listener
