"""The series that replicas export, as a test says: rates go on adding up when they change."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from operator_process import SHOP

BOUNDS_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(slots=True)
class Served:
    """What the replicas of one pool together are asked for and how long they take, from a time on.

    `answered_rps` None: they keep up; else the rest waits.
    """

    labels: str
    variant: str
    rps: float
    latency_seconds: float
    since: float
    answered_rps: float | None = None
    requests: float = 0.0
    answered: float = 0.0
    late: dict[float, float] = field(default_factory=dict)

    def advance(self, now: float) -> None:
        """Add what has been asked for since."""
        passed, self.since = now - self.since, now
        self.requests += self.rps * passed
        more = passed * (self.rps if self.answered_rps is None else self.answered_rps)
        self.answered += more
        for bound in BOUNDS_SECONDS:
            if bound < self.latency_seconds:
                self.late[bound] = self.late.get(bound, 0.0) + more

    def lines(self) -> Iterator[str]:
        """Yield the series."""
        name = "modelserver_request_duration_seconds_bucket"
        yield f"modelserver_requests_offered_total{{{self.labels}}} {self.requests}"
        yield f"modelserver_queue_depth{{{self.labels}}} {self.requests - self.answered}"
        yield f'modelserver_rows_total{{{self.labels},variant="{self.variant}"}} {self.answered}'
        for bound in BOUNDS_SECONDS:
            yield f'{name}{{{self.labels},le="{bound:g}"}} {self.answered - self.late.get(bound, 0.0)}'
        yield f'{name}{{{self.labels},le="+Inf"}} {self.answered}'


class Fleet:
    """All of them."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str], Served] = {}
        self._lock = threading.Lock()

    def serve(
        self, name: str, pool: str, rps: float, latency_seconds: float, answered_rps: float | None = None
    ) -> None:
        """Let one replica of a pool be asked for so much, and all its answers take so long, from now on."""
        labels = f'modeldeployment_namespace="{SHOP}",modeldeployment="{name}",pool="{pool}"'
        with self._lock:
            now = time.monotonic()
            served = self._served.setdefault(
                (name, pool), Served(labels, pool.rpartition("-")[2], rps, latency_seconds, now)
            )
            served.advance(now)
            served.rps, served.latency_seconds, served.answered_rps = rps, latency_seconds, answered_rps

    def expose(self, _: float) -> str:
        """Return all series as Prometheus scrapes them."""
        with self._lock:
            for served in self._served.values():
                served.advance(time.monotonic())
            return "".join(f"{line}\n" for served in self._served.values() for line in served.lines())
