"""The loop on a fake cluster, with a fake source of metrics, a clock of its own and writes that are made at once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from manifests import model_deployment
from modelscaler.api import DEPLOYMENT_LABEL
from modelscaler.api.words import TuningReason
from modelscaler.cluster.calls import Listing
from modelscaler.cluster.errors import ApiCallError, NotOursError
from modelscaler.cluster.writes import Write, WriteQueue
from modelscaler.controller.accelerators import Accelerators
from modelscaler.controller.decide import Settings
from modelscaler.controller.doorbells import Doorbells
from modelscaler.controller.fleet import Fleet
from modelscaler.controller.loop import Loop
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.profiles import Profiles
from modelscaler.controller.telemetry import Telemetry
from modelscaler.controller.tuning import SelfTuning
from modelscaler.domain import (
    Absent,
    LoadWindow,
    PolicySettings,
    QuantileForecast,
    Reading,
    SourceError,
    Value,
    WorkloadKey,
    Zero,
)
from modelscaler.forecast.service import Forecasting, ForecastingSettings, Requests
from modelscaler.metrics.source import FleetMetrics, HistoryRead
from modelscaler.render import RenderDefaults
from modelscaler.replay.selftuning.jobs import Recommendation, TuningJob

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeCluster:
    """Keeps what is applied, as far as the loop can see it."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.autoscalers: list[dict[str, Any]] = []
        self.unlisted: set[str] = set()
        self.serves_routes = True
        self.events: list[dict[str, Any]] = []
        self.refused: dict[str, ApiCallError] = {}
        self.says_more = False
        self.tried = 0
        self.writes: list[tuple[str, str]] = []
        self._versions = itertools.count(100)

    def put(self, body: dict[str, Any]) -> dict[str, Any]:
        stored = deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        stored["metadata"].setdefault("uid", f"uid-{body['metadata']['name']}")
        self.objects[body["kind"], body["metadata"]["name"]] = stored
        return stored

    def apply(self, manifest: dict[str, Any], manager: str) -> dict[str, Any]:
        name, kind = manifest["metadata"]["name"], manifest["kind"]
        self.writes.append((manager, name))
        old = self.objects.get((kind, name), {})
        if manager == "modelscaler-scale":
            return self.put(old | {"spec": old["spec"] | manifest["spec"]})
        if kind == "ConfigMap":
            return self.put(manifest)
        owned = [{"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}}]
        manifest = manifest | {"metadata": manifest["metadata"] | {"managedFields": owned}}
        replicas = old.get("spec", {}).get("replicas", 1)
        extra = {"replicas": replicas} if kind == "Deployment" else {}
        return self.put(manifest | {"spec": manifest["spec"] | extra, "status": old.get("status", {})})

    def apply_new(self, manifest: dict[str, Any], manager: str) -> dict[str, Any]:
        kind, meta = manifest["kind"], manifest["metadata"]
        self.tried += 1
        if refusal := self.refused.get(meta["name"]):
            raise (
                ApiCallError(str(refusal).format(number=self.tried), status=refusal.status)
                if self.says_more
                else refusal
            )
        there = self.objects.get((kind, meta["name"]), manifest)
        if there["metadata"]["labels"].get(DEPLOYMENT_LABEL) != meta["labels"][DEPLOYMENT_LABEL]:
            raise NotOursError(kind, meta, meta["labels"][DEPLOYMENT_LABEL])
        return self.apply(manifest, manager)

    def apply_status(self, namespace: str, name: str, status: dict[str, Any], manager: str) -> dict[str, Any]:
        self.writes.append((manager, name))
        return self.put(self.objects["ModelDeployment", name] | {"status": status})

    def delete_deployment(self, namespace: str, name: str, uid: str) -> None:
        self.writes.append(("delete", name))
        del self.objects["Deployment", name]

    def delete_route(self, namespace: str, name: str, uid: str) -> None:
        self.writes.append(("delete", name))
        del self.objects["HTTPRoute", name]

    def list(self, kind: str, selector: str = "", field_selector: str = "") -> Listing:
        if kind == "HTTPRoute" and not self.serves_routes:
            raise ApiCallError("the server could not find the requested resource", status=404)
        if kind in self.unlisted:
            raise ApiCallError(f"list {kind}s: 503 overloaded", status=503)
        if kind == "HorizontalPodAutoscaler":
            return Listing(tuple(self.autoscalers), 0)
        return Listing(tuple(body for (of, _), body in self.objects.items() if of == kind), next(self._versions))

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        return None

    def post_event(self, event: dict[str, Any]) -> dict[str, Any]:
        self.events.append(event)
        return event


class FakeSource:
    """Answers one reading for everybody."""

    def __init__(self) -> None:
        self.offered: Reading = Absent()
        self.queued: Reading | None = None
        self.reporting: Reading = Value(100.0, START)
        self.activators: Reading = Value(1.0, START)
        self.served: dict[tuple[str, ...], float] = {}
        self.budgets: dict[tuple[str, ...], float] = {}
        self.reads = 0
        self.remembered: list[list[str]] = []
        self.on_read: Callable[[], None] = lambda: None

    def read(self, now: datetime) -> FleetMetrics:
        self.reads += 1
        self.on_read()
        rows = self.offered if isinstance(self.offered, SourceError) else {WorkloadKey("shop", "ranker"): self.offered}
        ranker = WorkloadKey("shop", "ranker")
        return FleetMetrics(
            offered_rps=rows,
            queued_requests={ranker: self.queued or Zero(now)},
            reporting_replicas={ranker: self.reporting},
            activators={ranker: self.activators},
            served_rows={ranker: self.served},
            budget_shares={ranker: self.budgets},
        )

    def history(
        self, start: datetime, end: datetime, step_seconds: float, keys: Collection[WorkloadKey]
    ) -> HistoryRead:
        self.remembered += [sorted(key.name for key in keys)]
        return HistoryRead()


class InstantTuner:
    """Recommends the same at the next poll, whatever the job."""

    def __init__(self) -> None:
        self.jobs: list[TuningJob] = []
        self.busy = False

    def submit(self, job: TuningJob) -> None:
        self.jobs.append(job)
        self.busy = True

    def poll(self) -> Recommendation | None:
        ended, self.busy = self.busy, False
        generous = PolicySettings(headroom=1.0, scale_down_seconds=60.0)
        return Recommendation(generous, TuningReason.MENDED, "mended", 2.0, 1.5, 0.0, 33) if ended else None

    def close(self) -> None:
        """Nothing runs."""


class BrokenForecasting(Forecasting):
    """Fails where nobody foresaw it, from a time on; remembers what it was told of the load."""

    broken = False

    def __init__(self, settings: ForecastingSettings) -> None:
        super().__init__(settings)
        self.observed: list[float | None] = []

    def observe(self, key: WorkloadKey, now: datetime, offered_rps: float | None) -> None:
        self.observed.append(offered_rps)
        super().observe(key, now, offered_rps)

    def forecast(self, now: datetime, requests: Requests) -> dict[WorkloadKey, QuantileForecast | None]:
        if self.broken:
            raise FloatingPointError("overflow encountered in multiply")
        return super().forecast(now, requests)


class Harness:
    def __init__(self, tuner: InstantTuner | None = None) -> None:
        self.cluster = FakeCluster()
        self.source = FakeSource()
        self.forecasting = BrokenForecasting(ForecastingSettings(step_seconds=15.0))
        self.now = START
        self.seconds = 0.0
        self.failed: list[str] = []
        self.telemetry = Telemetry()
        mirror = Mirror(self._touch)
        self.mirror = mirror
        self.writes = WriteQueue(self._written)
        calls: Any = self.cluster
        self.doorbells = Doorbells(self._touch, lambda: None, clock=lambda: self.seconds)
        self.loop = Loop(
            calls=calls,
            mirror=mirror,
            fleet=Fleet(self.source, self.forecasting, mirror, 15.0, 15.0, 60.0),
            profiles=Profiles(calls),
            accelerators=Accelerators(calls, mirror, Telemetry(), counts_nodes=True, monotonic=lambda: self.seconds),
            writes=self.writes,
            telemetry=self.telemetry,
            settings=Settings(15.0, 15.0, 30.0, RenderDefaults(server_image="server"), 60.0),
            tuning=SelfTuning(
                tuner, 60.0, lambda _: LoadWindow(3600.0, self.now, np.ones(48)), lambda _: False, lambda _: None
            ),
            doorbells=self.doorbells,
            child_selector="",
            reporter="test",
            clock=lambda: self.now,
            monotonic=lambda: self.seconds,
        )

    def _touch(self, key: WorkloadKey) -> None:
        self.loop.touch(key)

    def _written(self, write: Write, error: ApiCallError | None) -> None:
        if error:
            self.failed.append(str(error))

    def deploy(self, **changes: Any) -> None:
        name = changes.pop("name", "ranker")
        body = model_deployment({"metadata.uid": "u", "metadata.generation": 1, **changes})
        body["metadata"] |= {"name": name, "namespace": "shop"}
        self.mirror.absorb("ModelDeployment", self.cluster.put(body))

    async def tick(self, seconds: float = 15.0) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds
        await self.loop.tick()
        await self.settled()

    async def settled(self) -> None:
        for _ in range(5):
            await asyncio.wait_for(self.writes.drained(), 5)
            await self.loop._early_pass()
        await asyncio.wait_for(self.writes.drained(), 5)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects["ModelDeployment", "ranker"].get("status", {})
        return found

    def condition(self, kind: str) -> dict[str, Any]:
        return next(c for c in self.status["conditions"] if c["type"] == kind)


@asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[Harness]:
    task = asyncio.create_task(harness.writes.run())
    try:
        yield harness
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run_all_pods(harness: Harness, since: datetime | None = None) -> None:
    """Let every replica that is asked for run, since now or another time, and no other, and a gateway take up the route."""
    for (kind, name), body in list(harness.cluster.objects.items()):
        if kind == "Pod":
            harness.mirror.drop("Pod", harness.cluster.put(body))
            del harness.cluster.objects[kind, name]
    for (kind, name), body in list(harness.cluster.objects.items()):
        if kind == "HTTPRoute":
            accepted = [{"type": "Accepted", "status": "True", "observedGeneration": 1}]
            harness.cluster.put(
                body | {"status": {"parents": [{"parentRef": {"name": "edge"}, "conditions": accepted}]}}
            )
        for number in range(body["spec"]["replicas"] if kind == "Deployment" else 0):
            begun = (since or harness.now).isoformat()
            labels = body["spec"]["template"]["metadata"]["labels"]
            meta = {"name": f"{name}-{number}", "namespace": "shop", "labels": labels, "creationTimestamp": begun}
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": begun}
            pod = {"kind": "Pod", "metadata": meta, "status": {"conditions": [ready], "podIP": "10.0.0.7"}}
            harness.mirror.absorb("Pod", harness.cluster.put(pod))
