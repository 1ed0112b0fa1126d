"""The server's metrics, each with the labels that the operator put on this pod."""

import os
import re
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from modelserver import __version__
from modelserver.errors import LoadError

LABELS_VARIABLE = "MODELSERVER_METRIC_LABELS"
OUTCOMES = ("ok", "invalid", "rejected", "failed")
_OWN_LABELS = frozenset({"variant", "outcome", "version", "model", "le"})
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _geometric(first: float, last: float, step: float) -> list[float]:
    bounds = [first]
    while bounds[-1] < last:
        bounds.append(float(f"{bounds[-1] * step:.3g}"))
    return bounds


DURATION_BUCKETS = (
    0.001,
    0.002,
    0.004,
    0.006,
    0.008,
    0.01,
    0.012,
    0.014,
    0.017,
    *_geometric(0.02, 5.0, 1.12),
    7.5,
    10.0,
    30.0,
)
"""Seconds. Steps of 12 % from 20 ms to 5 s, so that a quantile read off them is wrong by at most that."""
BATCH_DURATION_BUCKETS = tuple(_geometric(0.001, 5.0, 1.3))
BATCH_SIZE_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def parse_labels(text: str) -> dict[str, str]:
    """Return the labels in `name=value,name=value`.

    Raises:
        LoadError: When a part is not of that form or the name cannot be used.
    """
    labels: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not _LABEL_NAME.fullmatch(name) or name in _OWN_LABELS or name.startswith("__"):
            raise LoadError(
                f"{LABELS_VARIABLE}: {part!r}, expected name=value with a Prometheus label name other than "
                f"{', '.join(sorted(_OWN_LABELS))}"
            )
        labels[name] = value
    return labels


def labels_from_environment() -> dict[str, str]:
    """Return the labels that the operator put on this pod; none when it put none."""
    return parse_labels(os.environ.get(LABELS_VARIABLE, ""))


class ServerMetrics:
    """The metrics of a server of one variant.

    Args:
        labels: On every series.
        model: Name of the model.
        variant: Name of the variant.
    """

    def __init__(self, labels: Mapping[str, str], model: str, variant: str) -> None:
        # A `_created` series per counter would double what is scraped, for nobody.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        self._registry = registry = CollectorRegistry()
        fixed, by_variant = list(labels), [*labels, "variant"]
        of_variant = {**labels, "variant": variant}

        offered = Counter("modelserver_requests_offered", "Infer requests that arrived.", fixed, registry=registry)
        self.offered = offered.labels(**labels) if labels else offered
        requests = Counter(
            "modelserver_requests", "Infer requests by how they ended.", [*by_variant, "outcome"], registry=registry
        )
        self.requests = {outcome: requests.labels(**of_variant, outcome=outcome) for outcome in OUTCOMES}
        self.request_seconds = Histogram(
            "modelserver_request_duration_seconds",
            "Arrival to answer, of answered requests.",
            by_variant,
            registry=registry,
            buckets=DURATION_BUCKETS,
        ).labels(**of_variant)
        queue_depth = Gauge("modelserver_queue_depth", "Requests waiting.", fixed, registry=registry)
        self.queue_depth = queue_depth.labels(**labels) if labels else queue_depth
        inflight = Gauge(
            "modelserver_inflight_requests", "Requests arrived and not yet answered.", fixed, registry=registry
        )
        self.inflight = inflight.labels(**labels) if labels else inflight
        self.batch_size = Histogram(
            "modelserver_batch_size", "Rows per batch.", by_variant, registry=registry, buckets=BATCH_SIZE_BUCKETS
        ).labels(**of_variant)
        self.batch_seconds = Histogram(
            "modelserver_batch_duration_seconds",
            "Compute time per batch.",
            by_variant,
            registry=registry,
            buckets=BATCH_DURATION_BUCKETS,
        ).labels(**of_variant)
        self.load_seconds = Gauge(
            "modelserver_model_load_seconds", "Load and warm-up time.", by_variant, registry=registry
        ).labels(**of_variant)
        info = Gauge("modelserver_build_info", "Always 1.", [*by_variant, "version", "model"], registry=registry)
        info.labels(**of_variant, version=__version__, model=model).set(1)

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)
