"""The operator's own metrics: tick time, decisions, forecasts, queries, writes, errors."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelscaler.domain import Plan, QuantileForecast, WorkloadKey

OWNER = ("modeldeployment_namespace", "modeldeployment")
TICK_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """Every series the operator exposes."""

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
        self.planned_rps = self._gauge("modelscaler_planned_rps", "Demand the last plan was for.", OWNER)
        self.desired_replicas = self._gauge("modelscaler_desired_replicas", "Replicas the last plan wants.", OWNER)
        self.forecast_rps = self._gauge(
            "modelscaler_forecast_rps", "Quantiles of the forecast peak within the horizon.", (*OWNER, "quantile")
        )

    def planned(self, key: WorkloadKey, plan: Plan, forecast: QuantileForecast | None) -> None:
        """Expose a plan and the forecast it was made on."""
        owner = (key.namespace, key.name)
        self.planned_rps.labels(*owner).set(plan.demand.planned_rps)
        self.desired_replicas.labels(*owner).set(plan.target.replicas)
        if plan.demand.measured_rps is not None:
            self.offered_rps.labels(*owner).set(plan.demand.measured_rps)
        if forecast is None:
            return
        peaks = forecast.peaks(forecast.quantiles, plan.demand.horizon_seconds)
        for quantile, value in zip(forecast.quantiles, peaks, strict=True):
            self.forecast_rps.labels(*owner, f"{quantile:g}").set(value)

    def forget(self, key: WorkloadKey) -> None:
        """Drop the series of a ModelDeployment that is gone."""
        owner = dict(zip(OWNER, (key.namespace, key.name), strict=True))
        for gauge in (self.offered_rps, self.planned_rps, self.desired_replicas, self.forecast_rps):
            gauge.remove_by_labels(owner)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
