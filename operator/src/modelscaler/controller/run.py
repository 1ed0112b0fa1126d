"""Assemble the operator and keep it alive: campaign, then lead until told to stop."""

import asyncio
import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf
from kubernetes import client

from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.connection import connect, credentials
from modelscaler.cluster.errors import ApiCallError, NotOursError
from modelscaler.cluster.lease import LeaderLease
from modelscaler.cluster.writes import Write, WriteQueue
from modelscaler.controller import health
from modelscaler.controller.accelerators import Accelerators, NodeSupply
from modelscaler.controller.decide import Settings
from modelscaler.controller.doorbells import Doorbells
from modelscaler.controller.fleet import Fleet
from modelscaler.controller.handlers import CHILD_SELECTOR, registry, settings
from modelscaler.controller.leadership import Leadership
from modelscaler.controller.loop import Loop
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.profiles import Profiles
from modelscaler.controller.telemetry import Telemetry
from modelscaler.controller.tuning import ProcessTuner, SelfTuning
from modelscaler.domain import WorkloadKey
from modelscaler.forecast.service import Forecasting, ForecastingSettings
from modelscaler.metrics.prometheus import PrometheusSettings, PrometheusSource
from modelscaler.render import RenderDefaults

log = logging.getLogger(__name__)

STANDBY_POLL_SECONDS = 0.2
HEARTBEAT_TICKS = 4
SHORTEST_HEARTBEAT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What `modelscaler run` was told.

    `namespace` None: the whole cluster; `state_directory` None: nothing is kept; `tuning_seconds` of one self-tuning, 0: none.
    `prometheus_token_file` holds a bearer token, `prometheus_ca_file` the certificates to trust; None: no token, the system's.
    """

    prometheus_url: str
    interval_seconds: float
    rate_window_seconds: float
    history_step_seconds: float
    stale_after_seconds: float
    state_directory: Path | None
    status_refresh_seconds: float
    defaults: RenderDefaults
    bind: str
    namespace: str | None
    lease_namespace: str
    lease_name: str
    identity: str
    kubeconfig: str | None
    context: str | None
    accelerator_supply: NodeSupply = NodeSupply.EXISTING
    tuning_seconds: float = 1800.0
    prometheus_token_file: Path | None = None
    prometheus_ca_file: Path | None = None

    @property
    def lead_seconds(self) -> float:
        """One interval until the next decision, and half a window: by that much a mean rate lags behind a rising load."""
        return self.interval_seconds + self.rate_window_seconds / 2.0

    @property
    def counts_nodes(self) -> bool:
        """Whether nodes are read: not for one namespace, since nodes are the cluster's, nor where nodes come on demand."""
        return self.namespace is None and self.accelerator_supply is NodeSupply.EXISTING


class SettingsError(ValueError):
    """What the operator was told cannot work; the message names the setting, its value and what was expected."""


class Operator:
    """One process of the operator: a standby until it holds the lease."""

    def __init__(self, chosen: RunSettings) -> None:
        self._chosen = chosen
        self._telemetry = Telemetry()
        self._source = _source(chosen, self._telemetry)
        self._api = connect(chosen.kubeconfig, chosen.context)
        self._leadership = Leadership(_lease(chosen))
        self._calls = ClusterCalls(self._api, chosen.namespace, self._leadership.guard)
        self._loop: Loop | None = None
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve health, campaign, lead; return when told to stop by SIGTERM or SIGINT.

        Raises:
            SettingsError: There is nowhere to listen.
        """
        self._heed_signals()
        try:
            server = await health.serve(self._chosen.bind, self._telemetry.registry, self._ailment, self._unready)
        except OSError as error:
            raise SettingsError(f"--bind {self._chosen.bind}: {error}") from error
        self._leadership.start()
        try:
            if await self._elected():
                await self._lead()
        finally:
            await asyncio.to_thread(self._leadership.stop)
            await server.cleanup()

    def _heed_signals(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, self._stop.set)

    async def _elected(self) -> bool:
        while not self._stop.is_set():
            if await asyncio.to_thread(self._leadership.wait, STANDBY_POLL_SECONDS):
                self._telemetry.leading.set(1)
                return True
        return False

    async def _lead(self) -> None:
        mirror = Mirror(on_change=self._touch)
        writes = WriteQueue(self._written)
        chosen = self._chosen
        forecasting = Forecasting(ForecastingSettings(chosen.history_step_seconds, state=chosen.state_directory))
        tuning = SelfTuning(
            ProcessTuner() if chosen.tuning_seconds > 0.0 else None,
            chosen.tuning_seconds,
            forecasting.window,
            forecasting.has_own_trees,
            lambda reason: self._telemetry.tunings.labels(reason).inc(),
        )
        profiles, doorbells = (
            Profiles(self._calls),
            Doorbells(self._touch, self._telemetry.errors.labels("doorbells").inc),
        )
        self._loop = self._assemble(mirror, writes, forecasting, tuning, profiles, doorbells)
        forecasting.start()
        try:
            tasks = [
                asyncio.create_task(self._watch(mirror), name="watches"),
                asyncio.create_task(writes.run(), name="writes"),
                asyncio.create_task(doorbells.run(), name="doorbells"),
                asyncio.create_task(self._loop.run(), name="loop"),
                asyncio.create_task(self._stop.wait(), name="stop"),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await _end(tasks)
        finally:
            profiles.close()
            tuning.close()
            forecasting.close()

    async def _watch(self, mirror: Mirror) -> None:
        namespace = self._chosen.namespace
        scope: dict[str, Any] = {"namespaces": [namespace]} if namespace else {"clusterwide": True}
        handlers = registry(mirror, lambda: credentials(self._api))
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        started.add_done_callback(lambda _: self._heed_signals())  # when it starts, Kopf takes the signals for itself
        await kopf.operator(registry=handlers, settings=settings(), standalone=True, ready_flag=started, **scope)

    def _assemble(
        self,
        mirror: Mirror,
        writes: WriteQueue,
        forecasting: Forecasting,
        tuning: SelfTuning,
        profiles: Profiles,
        doorbells: Doorbells,
    ) -> Loop:
        chosen = self._chosen
        return Loop(
            calls=self._calls,
            mirror=mirror,
            fleet=Fleet(
                self._source,
                forecasting,
                mirror,
                chosen.lead_seconds,
                chosen.history_step_seconds,
                chosen.rate_window_seconds,
            ),
            profiles=profiles,
            accelerators=Accelerators(self._calls, mirror, self._telemetry, chosen.counts_nodes),
            writes=writes,
            telemetry=self._telemetry,
            settings=Settings(
                interval_seconds=chosen.interval_seconds,
                lead_seconds=chosen.lead_seconds,
                status_refresh_seconds=chosen.status_refresh_seconds,
                defaults=chosen.defaults,
                rate_window_seconds=chosen.rate_window_seconds,
            ),
            tuning=tuning,
            doorbells=doorbells,
            child_selector=CHILD_SELECTOR,
            reporter=chosen.identity,
        )

    def _touch(self, key: WorkloadKey) -> None:
        if self._loop is not None:
            self._loop.touch(key)

    def _written(self, write: Write, error: ApiCallError | None) -> None:
        self._telemetry.api_writes.labels(write.slot[0], _result(error)).inc()

    def _ailment(self) -> str | None:
        if self._leadership.heartbeat_age_seconds > SHORTEST_HEARTBEAT_SECONDS:
            return f"no attempt on the lease for {self._leadership.heartbeat_age_seconds:.0f} s"
        ticked_at = self._loop.ticked_at if self._loop else None
        longest = max(HEARTBEAT_TICKS * self._chosen.interval_seconds, SHORTEST_HEARTBEAT_SECONDS)
        silent_seconds = 0.0 if ticked_at is None else time.monotonic() - ticked_at
        if silent_seconds > longest:
            return f"no tick ended for {silent_seconds:.0f} s, expected one every {self._chosen.interval_seconds:g} s"
        return None

    def _unready(self) -> str | None:
        if self._loop is not None and self._loop.ticked_at is None:
            return "leading, and the first tick has not ended"
        return None


def _result(error: ApiCallError | None) -> str:
    if error is None:
        return "ok"
    return "not ours" if isinstance(error, NotOursError) else str(error.status or "no answer")


def _source(chosen: RunSettings, telemetry: Telemetry) -> PrometheusSource:
    try:
        reading = PrometheusSettings(
            chosen.prometheus_url,
            chosen.rate_window_seconds,
            chosen.stale_after_seconds,
            ca_file=chosen.prometheus_ca_file,
            token_file=chosen.prometheus_token_file,
        )
    except ValueError as error:
        raise SettingsError(f"--prometheus-url, --rate-window or --stale-after: {error}") from error
    failures = telemetry.errors.labels("prometheus")
    return PrometheusSource(reading, on_query=telemetry.promql_queries.inc, on_failure=failures.inc)


def _lease(chosen: RunSettings) -> LeaderLease:
    api: client.ApiClient = connect(
        chosen.kubeconfig, chosen.context
    )  # a pool of its own: renewals never queue behind writes
    return LeaderLease(api, chosen.lease_namespace, chosen.lease_name, chosen.identity, time.monotonic)


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    failed = next((t for t in tasks if t.done() and not t.cancelled() and t.exception()), None)
    early = next((t for t in tasks if t.done() and t.get_name() != "stop"), None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if failed is not None:
        raise RuntimeError(
            f"{failed.get_name()} failed; the process ends so that another may lead"
        ) from failed.exception()
    if early is not None:
        raise RuntimeError(f"{early.get_name()} ended by itself; the process ends so that another may lead")


def identity() -> str:
    """Return a name for this process: its pod's, or its host's with the process number."""
    return os.environ.get("POD_NAME") or f"{os.uname().nodename}-{os.getpid()}"


def own_namespace() -> str:
    """Return the namespace this process runs in; "default" outside a pod."""
    return os.environ.get("POD_NAMESPACE") or "default"
