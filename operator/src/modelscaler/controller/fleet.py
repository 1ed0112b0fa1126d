"""What the last tick knows of the whole fleet: metrics, forecasts and history. Feeds decisions, makes none."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias

from modelscaler.api import ACTIVATOR
from modelscaler.controller.history import History
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.summaries import Entry, observe_pool, observe_route
from modelscaler.domain import (
    Absent,
    AtLeast,
    ForecastSettings,
    Observation,
    PoolKey,
    QuantileForecast,
    Reading,
    WorkloadKey,
    is_unknown,
    known,
    least,
)
from modelscaler.forecast.service import Forecasting
from modelscaler.metrics.source import FleetMetrics, MetricsSource
from modelscaler.planner.rising import Course
from modelscaler.render import beside_name
from modelscaler.status import ForecastHealth, starts_from
from modelscaler.workload import forecast_settings

log = logging.getLogger(__name__)


class Request(NamedTuple):
    """What is to be forecast of a ModelDeployment; `offered_rps` None: its load is not known in full."""

    settings: ForecastSettings
    horizon_seconds: float
    offered_rps: float | None


Requests: TypeAlias = Mapping[WorkloadKey, Request]


class Fleet:
    """Reads the fleet's metrics once a tick, keeps its history, and forecasts it in one batch."""

    def __init__(
        self,
        source: MetricsSource,
        forecasting: Forecasting,
        mirror: Mirror,
        lead_seconds: float,
        step_seconds: float,
        rate_window_seconds: float,
    ) -> None:
        self._source = source
        self._forecasting = forecasting
        self._mirror = mirror
        self._lead_seconds = lead_seconds
        self._step_seconds = step_seconds
        self._rate_window = timedelta(seconds=rate_window_seconds)
        self._metrics: FleetMetrics | None = None
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._forecasts: dict[WorkloadKey, QuantileForecast | None] = {}
        self._courses: dict[WorkloadKey, Course] = {}
        self._history = History(source, forecasting, step_seconds)
        self._remembered_at = datetime.min.replace(tzinfo=UTC)

    @property
    def read_once(self) -> bool:
        """Whether metrics were asked for at least once."""
        return self._metrics is not None

    def read(self, now: datetime) -> None:
        """Ask the source for everything it knows now; blocking."""
        self._metrics, self._read_at = self._source.read(now), now

    def remember(self, entries: Sequence[Entry], now: datetime) -> None:
        """Read on in the past of ModelDeployments that are new; blocking.

        Where the clock was set back the history begins anew: what was noted under times to come would hide what comes now.
        """
        if now + timedelta(seconds=2.0 * self._step_seconds) < self._remembered_at:
            log.warning("the clock went back from %s to %s: the history is read anew", self._remembered_at, now)
            self._forecasting.restart()
            self._history.restart()
        self._remembered_at = now
        lookbacks = {e.key: float(e.resource.spec.scaling.forecast.lookback_seconds) for e in entries if e.resource}
        self._history.advance(lookbacks, now)

    def requests(self, entries: Sequence[Entry]) -> Requests:
        """Say what to forecast: settings, horizon in seconds and the newest reading of every usable ModelDeployment."""
        return {
            e.key: Request(
                forecast_settings(e.resource.spec.scaling), self._horizon_seconds(e), known(self._offered(e.key))
            )
            for e in entries
            if e.resource
        }

    def advance(self, requests: Requests, now: datetime) -> None:
        """Add this tick's readings to the history and forecast every ModelDeployment in one batch; takes CPU time.

        Should it fail, there is no forecast, and what is measured is planned for.
        """
        self._forecasts = {}
        at, window_seconds = self._read_at.timestamp(), self._rate_window.total_seconds()
        self._courses = {
            key: self._course(key).after(at, request.offered_rps, window_seconds) for key, request in requests.items()
        }
        self._forecasting.poll()
        for key, request in requests.items():
            self._forecasting.observe(key, now, request.offered_rps)
        asked = {key: (request.settings, request.horizon_seconds) for key, request in requests.items()}
        self._forecasts = self._forecasting.forecast(now, asked)

    def forget(self, key: WorkloadKey) -> None:
        """Drop what is known of a ModelDeployment that is gone."""
        self._forecasting.forget(key)
        self._forecasts.pop(key, None)
        self._courses.pop(key, None)
        self._history.forget(key)

    def observation(self, entry: Entry, now: datetime, new_readings: bool) -> Observation:
        """Say what is seen of one ModelDeployment now; `new_readings` False in an early pass."""
        assert self._metrics is not None  # noqa: S101 - the loop reads first
        percentile = entry.resource.spec.slo.latency.percentile if entry.resource else 99
        pods, beside = self._mirror.pods(entry.key), self._mirror.beside(entry.key)
        service = self._mirror.service(entry.key)
        remembered = starts_from(entry.status.capacity)
        return Observation(
            now=now,
            offered=self._offered(entry.key),
            queued=self._of_replicas(entry.key, self._metrics.queued(entry.key)),
            latency=self._metrics.latency(entry.key, percentile / 100.0),
            answered=self._metrics.answered(entry.key),
            waited=self._metrics.waited(entry.key),
            pools=tuple(
                observe_pool(
                    deployment,
                    pods,
                    self._starts_seconds(entry.key, deployment.pool, remembered),
                    now,
                    self._metrics.budgets(entry.key, str(deployment.pool)),
                )
                for deployment in sorted(self._mirror.deployments(entry.key), key=lambda d: d.name)
            ),
            selected=self._selected(entry.key),
            new_readings=new_readings,
            served=self._served(entry, self._selected(entry.key)),
            served_beside=self._served(entry, beside.selected_pool) if beside else (),
            route=observe_route(self._mirror.route(entry.key), beside, beside_name(entry.key.name)),
            remembered_starts=tuple(remembered.items()),
            rise_rps_per_second=self._course(entry.key).rise_rps_per_second,
            activator_ready=self._is_activator_ready(entry.key),
            held=service is not None and service.held,
        )

    def forecast(self, key: WorkloadKey) -> tuple[QuantileForecast | None, ForecastHealth]:
        """Return the last forecast of a ModelDeployment and how healthy forecasting is for it."""
        return self._forecasts.get(key), ForecastHealth(*self._forecasting.healthy(key))

    def _course(self, key: WorkloadKey) -> Course:
        return self._courses.get(key, Course())

    def _offered(self, key: WorkloadKey) -> Reading:
        """Return the offered load: a lower bound where it leaves out replicas that have been ready for a whole rate window."""
        assert self._metrics is not None  # noqa: S101 - the loop reads first
        offered = self._of_replicas(key, self._metrics.offered(key))
        reporting = self._metrics.reporting(key)
        by = self._read_at - self._rate_window
        replicas = (pod for pod in self._mirror.pods(key) if pod.pool != ACTIVATOR)
        expected = sum(pod.ready and pod.ready_at is not None and pod.ready_at <= by for pod in replicas)
        if not expected or is_unknown(offered):
            return offered
        if is_unknown(reporting):
            return reporting
        missing = expected - round(least(reporting))
        return AtLeast(least(offered), missing) if missing > 0 else offered

    def _of_replicas(self, key: WorkloadKey, reading: Reading) -> Reading:
        """Return a sum over replicas, which is not known where an activator alone reports, unless the Service selects it."""
        assert self._metrics is not None  # noqa: S101 - the loop reads first
        service = self._mirror.service(key)
        if is_unknown(self._metrics.activated(key)) or (service is not None and service.held):
            return reading
        reporting = self._metrics.reporting(key)
        return reporting if is_unknown(reporting) else reading

    def _is_activator_ready(self, key: WorkloadKey) -> bool:
        """Tell whether the activator takes requests, and is heard of; while Prometheus does not answer the first will do."""
        assert self._metrics is not None  # noqa: S101 - the loop reads first
        ready = any(pod.ready and pod.pool == ACTIVATOR for pod in self._mirror.pods(key))
        return ready and not isinstance(self._metrics.activated(key), Absent)

    def _starts_seconds(self, key: WorkloadKey, pool: PoolKey, remembered: Mapping[PoolKey, int]) -> list[float]:
        """Return the measured starts of a pool's pods; before this process saw one, what the status remembers of them."""
        seen = self._mirror.starts_seconds(key, pool)
        return [float(remembered[pool])] if not seen and pool in remembered else seen

    def _horizon_seconds(self, entry: Entry) -> float:
        assert entry.resource is not None  # noqa: S101 - the caller checked
        longest = max(float(p.start_seconds) for p in entry.resource.spec.placements)
        measured = [s for pool in self._pools(entry) for s in self._mirror.starts_seconds(entry.key, pool)]
        remembered = starts_from(entry.status.capacity).values()
        seconds = max([longest, *measured, *remembered]) + self._lead_seconds
        return math.ceil(seconds / self._step_seconds) * self._step_seconds

    def _served(self, entry: Entry, pool: PoolKey | None) -> tuple[tuple[str, float], ...]:
        """Return who answers in a pool, by the names that the spec gives.

        A pool that is drained after a switch does not count: what it still answers says nothing about the one that serves.
        """
        assert self._metrics is not None  # noqa: S101 - the loop reads first
        rates = self._metrics.served(entry.key, str(pool))
        variants = entry.resource.spec.variants if entry.resource else ()
        named = ((variant.name, rates.get(variant.artifact or variant.name, 0.0)) for variant in variants)
        return tuple((name, rate) for name, rate in named if rate > 0.0)

    def _selected(self, key: WorkloadKey) -> PoolKey | None:
        service = self._mirror.service(key)
        return service.selected_pool if service else None

    def _pools(self, entry: Entry) -> Iterable[PoolKey]:
        return (deployment.pool for deployment in self._mirror.deployments(entry.key))
