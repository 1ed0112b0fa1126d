"""What a source of metrics offers, whatever stands behind it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar

from modelscaler.domain import Absent, LoadWindow, Reading, SourceError, Stale, Value, WorkloadKey, Zero
from modelscaler.metrics.quantile import bucket_quantile

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class LatencyHistogram:
    """How fast requests were answered lately: (upper bound in seconds, requests per second up to it), +Inf included."""

    buckets: tuple[tuple[float, float], ...]
    at: datetime


LatencyReading: TypeAlias = LatencyHistogram | Absent | Stale | SourceError


@dataclass(frozen=True, slots=True)
class FleetMetrics:
    """What is known of the whole fleet now.

    Each field holds what is known per ModelDeployment, or the error when the source could not be asked at all. A
    ModelDeployment that the source does not know is Absent, never zero.
    """

    offered_rps: Mapping[WorkloadKey, Reading] | SourceError = field(default_factory=dict)
    queued_requests: Mapping[WorkloadKey, Reading] | SourceError = field(default_factory=dict)
    waited_requests: Mapping[WorkloadKey, Reading] | SourceError = field(default_factory=dict)
    latencies: Mapping[WorkloadKey, LatencyReading] | SourceError = field(default_factory=dict)
    reporting_replicas: Mapping[WorkloadKey, Reading] | SourceError = field(default_factory=dict)
    activators: Mapping[WorkloadKey, Reading] | SourceError = field(default_factory=dict)
    served_rows: Mapping[WorkloadKey, Mapping[tuple[str, ...], float]] = field(default_factory=dict)
    budget_shares: Mapping[WorkloadKey, Mapping[tuple[str, ...], float]] = field(default_factory=dict)

    def offered(self, key: WorkloadKey) -> Reading:
        """Return the offered load in requests per second."""
        return _row(self.offered_rps, key)

    def queued(self, key: WorkloadKey) -> Reading:
        """Return the requests that wait in queues."""
        return _row(self.queued_requests, key)

    def waited(self, key: WorkloadKey) -> Reading:
        """Return the fewest requests that waited at any replica at any scrape of the rate window."""
        return _row(self.waited_requests, key)

    def latency(self, key: WorkloadKey, percentile: float) -> Reading:
        """Return the latency in seconds at `percentile` in (0, 1); Absent when no request was answered lately."""
        found = _row(self.latencies, key)
        if not isinstance(found, LatencyHistogram):
            return found
        try:
            seconds = bucket_quantile(percentile, found.buckets)
        except ValueError as error:
            return SourceError(f"the latency histogram of {key} cannot be read: {error}")
        return Absent() if seconds is None else Value(seconds, found.at)

    def answered(self, key: WorkloadKey) -> Reading:
        """Return the requests that are answered per second, fast or slow."""
        found = _row(self.latencies, key)
        if not isinstance(found, LatencyHistogram):
            return found
        rps = max((count for _, count in found.buckets), default=0.0)
        return Value(rps, found.at) if rps > 0.0 else Zero(found.at)

    def served(self, key: WorkloadKey, pool: str) -> Mapping[str, float]:
        """Return rows that a pool answers per second, by artefact of a variant; empty when that is not known."""
        rows = self.served_rows.get(key, {})
        return {artifact: rate for (of, artifact), rate in rows.items() if of == pool}

    def budgets(self, key: WorkloadKey, pool: str) -> float | None:
        """Return how full the budgets of accuracy of a pool's replicas are, added up; None when that is not known."""
        return self.budget_shares.get(key, {}).get((pool,))

    def reporting(self, key: WorkloadKey) -> Reading:
        """Return how many replicas the offered load is summed over; fewer than are ready means that some are not scraped."""
        return _row(self.reporting_replicas, key)

    def activated(self, key: WorkloadKey) -> Reading:
        """Return how many activators are heard of."""
        return _row(self.activators, key)


@dataclass(frozen=True, slots=True)
class HistoryRead:
    """Offered load of the past.

    `error`: why nothing could be read, None when something could. `faults`: ModelDeployments whose history has samples that no
    rate can have; these are NaN in their windows.
    """

    windows: Mapping[WorkloadKey, LoadWindow] = field(default_factory=dict)
    faults: Mapping[WorkloadKey, SourceError] = field(default_factory=dict)
    error: SourceError | None = None


class MetricsSource(Protocol):
    """Where live load and latency come from. Both calls block; neither raises for what the source does wrong."""

    def read(self, now: datetime) -> FleetMetrics:
        """Return what is known now."""
        ...

    def history(
        self, start: datetime, end: datetime, step_seconds: float, keys: Collection[WorkloadKey]
    ) -> HistoryRead:
        """Return the offered load of these at least, on a regular grid that ends at `end`, NaN in its gaps."""
        ...


def _row(rows: Mapping[WorkloadKey, Row] | SourceError, key: WorkloadKey) -> Row | Absent | SourceError:
    return rows if isinstance(rows, SourceError) else rows.get(key, Absent())
