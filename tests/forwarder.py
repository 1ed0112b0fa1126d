"""What kube-proxy does, for one Service of the local cluster, where endpoints refuse loopback addresses.

Each connection goes to a ready pod that the Service selects at that moment, or is closed where there is none.
"""

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from localcluster.cluster import Cluster
from localcluster.ports import free_ports

CONNECT_SECONDS = 2.0
KNOWN_SECONDS = 0.3
"""Endpoints lag by as much, as on any cluster."""
READ_BYTES = 65_536


@dataclass
class Forwarder:
    """Listens on a port of its own; forwards to the pods of `service` once that is set."""

    cluster: Cluster
    namespace: str
    port: int = field(default_factory=lambda: free_ports(1)[0])
    service: str = ""
    _known: tuple[float, list[str]] = (0.0, [])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where the Service is reached."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Forward while the block runs."""
        with socket.create_server(("127.0.0.1", self.port)) as server:
            thread = threading.Thread(target=self._accept, args=(server,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            addresses = self._endpoints()
            if not addresses:
                return
            with socket.create_connection((random.choice(addresses), 8080), CONNECT_SECONDS) as pod:  # noqa: S311
                pod.settimeout(None)
                back = threading.Thread(target=_copy, args=(pod, client), daemon=True)
                back.start()
                _copy(client, pod)
                back.join()

    def _endpoints(self) -> list[str]:
        """Return the addresses of the ready pods that the Service selects."""
        with self._lock:
            at, addresses = self._known
            if time.monotonic() - at >= KNOWN_SECONDS:
                addresses = self._ready_pods()
                self._known = (time.monotonic(), addresses)
            return addresses

    def _ready_pods(self) -> list[str]:
        selector = self._listed("svc", f"metadata.name={self.service}")[0]["spec"]["selector"]
        pods = self._listed("pods", "", "-l", ",".join(f"{key}={value}" for key, value in selector.items()))
        return [pod["status"]["podIP"] for pod in pods if _is_ready(pod)]

    def _listed(self, kind: str, field_selector: str, *more: str) -> list[dict[str, Any]]:
        where = ("-n", self.namespace, "get", kind, "--field-selector", field_selector, *more)
        items: list[dict[str, Any]] = json.loads(self.cluster.kubectl(*where, "-o", "json"))["items"]
        return items


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends, then say so."""
    with contextlib.suppress(OSError):
        while data := source.recv(READ_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
