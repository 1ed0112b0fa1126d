"""The activator's metrics. Those that the servers have as well bear the labels that the operator put on this pod."""

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelscaler.activator.words import RefusalReason

HELD_BUCKETS_SECONDS: Final = (0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1200.0)


class ActivatorMetrics:
    """Every series the activator exposes.

    Args:
        labels: On the series that the servers have as well.
        depth: Says how many requests wait.
    """

    def __init__(self, labels: Mapping[str, str], depth: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._depth = Gauge(
            "modelserver_queue_depth", "Requests that wait for a replica.", labels, registry=self.registry
        )
        self._offered = Counter(
            "modelserver_requests_offered",
            "Requests that came and reached no server: refused, or given up by their clients. A server counts the others.",
            labels,
            registry=self.registry,
        )
        self._forwarded = Counter(
            "modelscaler_activator_forwarded", "Requests that a replica answered.", registry=self.registry
        )
        self._refused = Counter(
            "modelscaler_activator_refused", "Requests refused, by reason.", ("reason",), registry=self.registry
        )
        self._abandoned = Counter(
            "modelscaler_activator_abandoned", "Requests whose clients went away before.", registry=self.registry
        )
        self._held_seconds = Histogram(
            "modelscaler_activator_held_seconds",
            "Arrival until a replica answered, or until it was refused or abandoned.",
            buckets=HELD_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._bind(labels, depth)

    def _bind(self, labels: Mapping[str, str], depth: Callable[[], float]) -> None:
        """Have every series there before anything happens, so that rates over them miss nothing."""
        bound = self._depth.labels(*labels.values()) if labels else self._depth
        bound.set_function(depth)
        self._offered_here = self._offered.labels(*labels.values()) if labels else self._offered
        for reason in RefusalReason:
            self._refused.labels(reason)

    def forwarded(self, held_seconds: float) -> None:
        """Count a request that a replica answered."""
        self._forwarded.inc()
        self._held_seconds.observe(held_seconds)

    def refused(self, reason: RefusalReason, held_seconds: float) -> None:
        """Count a request that was refused."""
        self._offered_here.inc()
        self._refused.labels(reason).inc()
        self._held_seconds.observe(held_seconds)

    def abandoned(self, held_seconds: float) -> None:
        """Count a request whose client went away before there was an answer."""
        self._offered_here.inc()
        self._abandoned.inc()
        self._held_seconds.observe(held_seconds)
