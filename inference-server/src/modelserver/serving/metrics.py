"""The server's metrics, each with the labels that the operator put on this pod."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector

from modelserver import __version__
from modelserver.compute.executor import Loaded
from modelserver.engine.answers import BatchDone
from modelserver.serving.bottleneck import RESOURCES, Verdict
from modelserver.serving.tallies import TalliedCounter, TalliedHistogram

SHARED_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Of prometheus_client: where the fronts of one server put what they count. Read when it is imported."""
OUTCOMES = ("ok", "invalid", "rejected", "failed", "expired", "cancelled")
TURNED_AWAY = frozenset({"rejected", "failed", "expired", "cancelled"})
"""Outcomes after which whoever asked may ask again."""
RESTART_REASONS = ("crash", "hang", "memory")
PHASES = ("queue", "preprocess", "compute", "postprocess", "transfer")


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
PHASE_BUCKETS = tuple(_geometric(0.0001, 5.0, 1.6))
BATCH_SIZE_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


class Tally(Protocol):
    """What is counted now and then."""

    def flush(self) -> None:
        """Count what was noted."""
        ...


AnyMetric = TypeVar("AnyMetric", bound=MetricWrapperBase)


@dataclass(frozen=True)
class State:
    """What is so now, rather than counted.

    Attributes:
        requests_waiting: In the queue.
        rows_waiting: In the queue.
        inflight: Requests arrived and not yet answered.
        workers_ready: Loaded, warm and alive.
        cache_bytes: Memory of the result cache.
        budget: How full the accuracy budget is, at most 1.
        pressure: Of the reflex: how much of what is offered the ladder's first cannot carry.
        mean_accuracy: Of recent answers; None when not known.
        ladder_hash: Of the ladder's settings.
        ladder_variants: Those of its variants that are held; before any is, all of them.
        memory_bytes: Worker -> resident memory.
    """

    requests_waiting: int = 0
    rows_waiting: int = 0
    inflight: int = 0
    workers_ready: int = 0
    cache_bytes: int = 0
    budget: float = 1.0
    pressure: float = 0.0
    mean_accuracy: float | None = None
    ladder_hash: str = ""
    ladder_variants: tuple[str, ...] = ()
    memory_bytes: Mapping[int, int] = field(default_factory=dict)


class _Family:
    """Makes metrics with the fixed labels.

    Args:
        labels: On every series.
        registry: Theirs.
    """

    def __init__(self, labels: Mapping[str, str], registry: CollectorRegistry) -> None:
        self._labels = labels
        self._registry = registry
        self.tallies: list[Tally] = []

    def counter(self, name: str, what: str, *more: str) -> "_Labelled[TalliedCounter]":
        return self._labelled(TalliedCounter(name, what, [*self._labels, *more], registry=self._registry))

    def histogram(self, name: str, what: str, buckets: Iterable[float], *more: str) -> "_Labelled[TalliedHistogram]":
        names = [*self._labels, *more]
        return self._labelled(TalliedHistogram(name, what, names, registry=self._registry, buckets=tuple(buckets)))

    def gauge(self, name: str, what: str, *more: str, over_fronts: str = "livesum") -> "_Labelled[Gauge]":
        names = [*self._labels, *more]
        # typed as one of prometheus_client's modes
        made = Gauge(name, what, names, registry=self._registry, multiprocess_mode=over_fronts)  # type: ignore[arg-type]
        return self._labelled(made)

    def _labelled(self, metric: AnyMetric) -> "_Labelled[AnyMetric]":
        return _Labelled(metric, self._labels, self.tallies)


class _Labelled(dict[tuple[str, ...], AnyMetric]):
    """A metric's series, by the values of its own labels: bound once, then as cheap as a dictionary."""

    def __init__(self, metric: AnyMetric, labels: Mapping[str, str], tallies: list[Tally]) -> None:
        super().__init__()
        self._metric = metric
        self._fixed = tuple(labels.values())
        self._tallies = tallies

    def __missing__(self, own: tuple[str, ...]) -> AnyMetric:
        values = (*self._fixed, *own)
        series = self[own] = self._metric.labels(*values) if values else self._metric
        if isinstance(series, TalliedCounter | TalliedHistogram):
            self._tallies.append(series)
        return series


class ServerMetrics:
    """The metrics of one front. An `Observer` of its engine.

    Args:
        labels: On every series.
        variant: The planned one, under which requests count that no variant answered.
    """

    def __init__(self, labels: Mapping[str, str], variant: str) -> None:
        # A `_created` series per counter would double what is scraped, for nobody.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        self._registry = CollectorRegistry()
        self._make_request_metrics(family := _Family(labels, self._registry))
        self._make_batch_metrics(family)
        self._make_worker_metrics(family)
        self._make_ladder_metrics(family)
        self._tallies = family.tallies
        self._variant = variant
        self._info = family.gauge(
            "modelserver_build_info", "Always 1.", "variant", "version", "model", over_fronts="max"
        )
        self._begin(variant)

    def _begin(self, variant: str) -> None:
        """Have the series of a variant there before it answers, so that rates over them miss nothing."""
        for outcome in OUTCOMES:
            self._requests[variant, outcome]
        for reason in RESTART_REASONS:
            self._restarts[(reason,)]
        self._seconds[(variant,)], self._batch_rows[(variant,)], self._batch_seconds[(variant,)], self._rows[(variant,)]

    def _make_request_metrics(self, family: _Family) -> None:
        self.offered = family.counter("modelserver_requests_offered", "Infer requests that arrived.")[()]
        self.retried = family.counter("modelserver_requests_retried", "Of them, those that were sent before.")[()]
        self._turned_away = family.counter(
            "modelserver_requests_turned_away", "Of them, those that got no answer although they were valid."
        )[()]
        self._requests = family.counter(
            "modelserver_requests", "Infer requests by how they ended.", "variant", "outcome"
        )
        self._seconds = family.histogram(
            "modelserver_request_duration_seconds",
            "Arrival to answer, of answered requests.",
            DURATION_BUCKETS,
            "variant",
        )
        self._depth = family.gauge("modelserver_queue_depth", "Requests waiting.")[()]
        self._rows_waiting = family.gauge("modelserver_queue_rows", "Rows waiting.")[()]
        self._inflight = family.gauge("modelserver_inflight_requests", "Requests arrived and not yet answered.")[()]
        self._hits = family.counter("modelserver_cache_hits", "Requests answered from the cache.")[()]
        self._misses = family.counter("modelserver_cache_misses", "Requests that the cache did not have.")[()]
        self._cache_bytes = family.gauge("modelserver_cache_bytes", "Memory of the result cache.")[()]

    def _make_batch_metrics(self, family: _Family) -> None:
        self._batch_rows = family.histogram("modelserver_batch_size", "Rows per batch.", BATCH_SIZE_BUCKETS, "variant")
        self._batch_seconds = family.histogram(
            "modelserver_batch_duration_seconds", "Compute time per batch.", BATCH_DURATION_BUCKETS, "variant"
        )
        self._rows = family.counter("modelserver_rows", "Rows computed.", "variant")
        self._degraded = family.counter("modelserver_degraded_rows", "Rows that a lesser variant answered.")[()]
        phases = family.histogram(
            "modelserver_phase_duration_seconds", "Where time goes; queue by request.", PHASE_BUCKETS, "phase"
        )
        self._queue, self._preprocess, self._compute, self._postprocess, self._transfer = (
            phases[(phase,)] for phase in PHASES
        )

    def _make_worker_metrics(self, family: _Family) -> None:
        self._load_seconds = family.gauge(
            "modelserver_model_load_seconds", "Load and warm-up time.", "variant", over_fronts="max"
        )
        self._warm_up_seconds = family.gauge(
            "modelserver_warm_up_seconds", "Warm-up time.", "variant", over_fronts="max"
        )
        self._restarts = family.counter("modelserver_worker_restarts", "Workers lost.", "reason")
        self._workers_ready = family.gauge("modelserver_workers_ready", "Workers loaded, warm and alive.")[()]
        self._memory = family.gauge(
            "modelserver_worker_memory_bytes", "Resident memory.", "worker", over_fronts="liveall"
        )
        self._device_memory = family.gauge("modelserver_device_memory_bytes", "Memory taken on accelerators.")[()]
        self._device_bytes: dict[int, int] = {}

    def _make_ladder_metrics(self, family: _Family) -> None:
        self._budget = family.gauge(
            "modelserver_reflex_budget",
            "How full the accuracy budget is; below 0 when it is overdrawn.",
            over_fronts="livemin",
        )[()]
        self._pressure = family.gauge(
            "modelserver_reflex_pressure", "Share of demand beyond the first variant.", over_fronts="livemax"
        )[()]
        self._accuracy = family.gauge("modelserver_mean_accuracy", "Of recent answers.", over_fronts="livemin")
        self._ladder = family.gauge(
            "modelserver_ladder_info", "1 for the ladder in force.", "hash", "variants", over_fronts="livemax"
        )
        self._ladder_shown: tuple[str, str] | None = None
        self._bottleneck = family.gauge(
            "modelserver_bottleneck", "Share of the last window in which it bound.", "resource", over_fronts="livemax"
        )

    def ended(self, outcome: str, variant: str | None) -> None:
        """Count a request that ended.

        Args:
            outcome: One of OUTCOMES.
            variant: That answered it; None when none did.
        """
        self._requests[variant or self._variant, outcome].pending += 1
        if outcome in TURNED_AWAY:
            self._turned_away.pending += 1

    def answered(self, variant: str, seconds: float) -> None:
        """Note how long a request took that was answered."""
        self._seconds[(variant,)].pending.append(seconds)

    def on_loaded(self, worker: int, loaded: Loaded) -> None:
        """See `Observer`."""
        for variant in loaded.variants:
            self._begin(variant.variant)
            self._load_seconds[(variant.variant,)].set(variant.load_seconds + variant.warm_up_seconds)
            self._warm_up_seconds[(variant.variant,)].set(variant.warm_up_seconds)
        self._info[self._variant, __version__, loaded.contract.name].set(1)
        self._device_bytes[worker] = loaded.device_memory_bytes
        self._device_memory.set(sum(self._device_bytes.values()))

    def on_batch(self, done: BatchDone) -> None:
        """See `Observer`."""
        own, phases = (done.variant,), done.phases
        self._batch_rows[own].pending.append(done.rows)
        self._batch_seconds[own].pending.append(done.seconds)
        self._rows[own].pending += done.rows
        self._degraded.pending += done.degraded_rows
        self._queue.pending.extend(done.queue_seconds)
        self._preprocess.pending.append(phases.preprocess_seconds)
        self._compute.pending.append(phases.compute_seconds)
        self._postprocess.pending.append(phases.postprocess_seconds)
        self._transfer.pending.append(phases.transfer_seconds)

    def on_dropped(self, reason: str, rows: int) -> None:
        """See `Observer`; what became of the request is counted when it ends."""

    def on_lost(self, worker: int, reason: str) -> None:
        """See `Observer`."""
        self._restarts[(reason,)].pending += 1
        self._device_bytes.pop(worker, None)

    def on_stage_lost(self, reason: str) -> None:
        """See `Observer`."""
        self._restarts[(reason,)].pending += 1

    def on_cache(self, hit: bool) -> None:
        """See `Observer`."""
        (self._hits if hit else self._misses).pending += 1

    def show(self, state: State) -> None:
        """Set the gauges, and count what was noted."""
        self._depth.set(state.requests_waiting)
        self._rows_waiting.set(state.rows_waiting)
        self._inflight.set(state.inflight)
        self._workers_ready.set(state.workers_ready)
        self._cache_bytes.set(state.cache_bytes)
        self._budget.set(state.budget)
        self._pressure.set(state.pressure)
        if state.mean_accuracy is not None:
            self._accuracy[()].set(state.mean_accuracy)
        for worker, resident in state.memory_bytes.items():
            self._memory[(str(worker),)].set(resident)
        self._show_ladder(state.ladder_hash, ",".join(state.ladder_variants))
        for tally in self._tallies:
            tally.flush()

    def _show_ladder(self, digest: str, variants: str) -> None:
        shown = (digest, variants)
        if shown == self._ladder_shown:
            return
        if self._ladder_shown is not None:
            self._ladder[self._ladder_shown].set(0)
        self._ladder[shown].set(1)
        self._ladder_shown = shown

    def show_bottleneck(self, verdict: Verdict) -> None:
        """Set the bottleneck's gauges."""
        for resource in RESOURCES:
            self._bottleneck[(resource,)].set(round(verdict.shares[resource], 3))

    def render(self) -> bytes:
        """Return the metrics of all fronts in Prometheus' text format."""
        if SHARED_DIRECTORY_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        return generate_latest(together)
