"""The operator's own metrics: what it sees and decides of each ModelDeployment, and how it does itself (docs/metrics.md)."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.domain import Plan, QuantileForecast, WorkloadKey

OWNER = ("modeldeployment_namespace", "modeldeployment")
TICK_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
TRUTHS: Final = {"True": 1.0, "False": 0.0}


class Telemetry:
    """Every series the operator exposes. What is not known has no series: a value that stands still would say otherwise."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tick_seconds = Histogram(
            "modelscaler_tick_seconds",
            "Duration of a pass over the fleet, by kind: full or early.",
            ("kind",),
            buckets=TICK_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self.promql_queries = self._counter("modelscaler_promql_queries_total", "PromQL queries sent.")
        self.api_writes = self._counter(
            "modelscaler_api_writes_total", "Writes to the API server, by kind and result.", ("kind", "result")
        )
        self.decisions = self._counter(
            "modelscaler_decisions_total", "Decisions that changed something, by reason.", ("reason",)
        )
        self.tunings = self._counter("modelscaler_tunings_total", "Self-tunings that ended, by reason.", ("reason",))
        self.errors = self._counter("modelscaler_errors_total", "Errors, by where they happened.", ("where",))
        self.workloads = self._gauge("modelscaler_modeldeployments", "ModelDeployments managed.")
        self.leading = self._gauge("modelscaler_leading", "1 while this process leads.")
        self.offered_rps = self._gauge("modelscaler_offered_rps", "Offered load as last read.", OWNER)
        self.rising_rps = self._gauge(
            "modelscaler_rising_rps", "What the offered load is taken to rise to; none while it does not rise.", OWNER
        )
        self.planned_rps = self._gauge("modelscaler_planned_rps", "Demand the last plan was for.", OWNER)
        self.desired_replicas = self._gauge(
            "modelscaler_desired_replicas", "Replicas the last plan wants, of both pools where there are two.", OWNER
        )
        self.ready_replicas = self._gauge(
            "modelscaler_ready_replicas", "Replicas that serve, of both pools where there are two.", OWNER
        )
        self.hourly_cost = self._gauge("modelscaler_hourly_cost", "Price of the last plan per hour.", OWNER)
        self.forecast_rps = self._gauge(
            "modelscaler_forecast_rps", "Quantiles of the forecast peak within the horizon.", (*OWNER, "quantile")
        )
        self.conditions = self._gauge(
            "modelscaler_condition", "Conditions: 1 true, 0 false, none while unknown.", (*OWNER, "type")
        )
        self._conditions: dict[WorkloadKey, tuple[tuple[str, str], ...]] = {}
        self._quantiles: dict[WorkloadKey, tuple[float, ...]] = {}

    def planned(self, key: WorkloadKey, plan: Plan, forecast: QuantileForecast | None) -> None:
        """Expose a plan and the forecast it was made on."""
        owner = (key.namespace, key.name)
        self.planned_rps.labels(*owner).set(plan.demand.planned_rps)
        self.desired_replicas.labels(*owner).set(plan.target.replicas + (plan.side.replicas if plan.side else 0))
        self.hourly_cost.labels(*owner).set(plan.hourly_cost)
        for gauge, rps in ((self.offered_rps, plan.demand.measured_rps), (self.rising_rps, plan.demand.rising_rps)):
            if rps is not None:
                gauge.labels(*owner).set(rps)
            else:
                gauge.remove(*owner)
        self._keep_quantiles(key, forecast.quantiles if forecast else ())
        if forecast is None:
            return
        peaks = forecast.peaks(forecast.quantiles, plan.demand.horizon_seconds)
        for quantile, value in zip(forecast.quantiles, peaks, strict=True):
            self.forecast_rps.labels(*owner, f"{quantile:g}").set(value)

    def unplanned(self, key: WorkloadKey) -> None:
        """No plan could be made: expose none."""
        owner = (key.namespace, key.name)
        for gauge in (self.offered_rps, self.rising_rps, self.planned_rps, self.desired_replicas, self.hourly_cost):
            gauge.remove(*owner)
        self._keep_quantiles(key, ())

    def judged(self, key: WorkloadKey, status: ModelDeploymentStatus) -> None:
        """Expose what a status says of replicas and conditions."""
        owner = (key.namespace, key.name)
        ready = [pool.ready_replicas for pool in (status.active, status.side) if pool]
        self.ready_replicas.labels(*owner).set(sum(ready))
        conditions = tuple((condition.type, condition.status) for condition in status.conditions)
        before = self._conditions.get(key, ())
        if before == conditions:  # ten for each of thousands: only what changes is worth the time
            return
        self._conditions[key] = conditions
        for kind, truth in conditions:
            if truth in TRUTHS:
                self.conditions.labels(*owner, kind).set(TRUTHS[truth])
        known = {kind for kind, truth in conditions if truth in TRUTHS}
        for kind in {kind for kind, _ in before} - known:
            self.conditions.remove(*owner, kind)

    def forget(self, key: WorkloadKey) -> None:
        """Drop the series of a ModelDeployment that is gone."""
        self.unplanned(key)
        self._quantiles.pop(key, None)
        self.ready_replicas.remove(key.namespace, key.name)
        for kind, _ in self._conditions.pop(key, ()):
            self.conditions.remove(key.namespace, key.name, kind)

    def _keep_quantiles(self, key: WorkloadKey, quantiles: tuple[float, ...]) -> None:
        """Drop the forecast's series of all other quantiles."""
        for quantile in self._quantiles.get(key, ()):
            if quantile not in quantiles:
                self.forecast_rps.remove(key.namespace, key.name, f"{quantile:g}")
        self._quantiles[key] = quantiles

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
