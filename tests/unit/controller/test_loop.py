"""The loop on a fake cluster: first steps, steady state, early passes, and what happens when things go wrong."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from manifests import model_deployment
from modelscaler.api.words import TuningReason
from modelscaler.cluster import writes
from modelscaler.cluster.calls import Listing
from modelscaler.cluster.errors import ApiCallError, NotOursError
from modelscaler.cluster.writes import Write, WriteQueue
from modelscaler.controller.accelerators import Accelerators
from modelscaler.controller.decide import Settings
from modelscaler.controller.fleet import Fleet
from modelscaler.controller.loop import Loop
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.profiles import Profiles
from modelscaler.controller.telemetry import OWNER, Telemetry
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
        replicas = old.get("spec", {}).get("replicas", 1)
        extra = {"replicas": replicas} if kind == "Deployment" else {}
        return self.put(manifest | {"spec": manifest["spec"] | extra, "status": old.get("status", {})})

    def apply_new(self, manifest: dict[str, Any], manager: str) -> dict[str, Any]:
        if refusal := self.refused.get(manifest["metadata"]["name"]):
            raise refusal
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
        self.reporting: Reading = Value(100.0, START)
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
            queued_requests={ranker: Zero(now)},
            reporting_replicas={ranker: self.reporting},
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
        generous = PolicySettings(headroom=1.0)
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


async def test_pool_and_service_are_created_and_scaled_when_a_modeldeployment_appears() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 2, "maxReplicas": 5}})
        await harness.tick()
        kinds = sorted(kind for kind, _ in harness.cluster.objects)
        assert kinds == ["ConfigMap", "Deployment", "ModelDeployment", "Service"]
        deployment = next(b for (kind, _), b in harness.cluster.objects.items() if kind == "Deployment")
        assert deployment["spec"]["replicas"] == 2
        assert [event["reason"] for event in harness.cluster.events] == ["FirstPlan"]


async def test_nothing_is_written_when_nothing_changes() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        for _ in range(3):
            await harness.tick()
        before = len(harness.cluster.writes)
        for _ in range(10):
            await harness.tick()
        assert harness.cluster.writes[before:] == []


async def test_gauges_move_with_every_tick_also_when_nothing_is_written() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        for rps in (20.0, 20.0, 20.0, 20.2):
            harness.source.offered = Value(rps, harness.now)
            before = len(harness.cluster.writes)
            await harness.tick()
        shown = harness.telemetry.registry.get_sample_value(
            "modelscaler_offered_rps", dict(zip(OWNER, ("shop", "ranker"), strict=True))
        )
        assert harness.cluster.writes[before:] == []
        assert shown == 20.2


async def test_ladder_is_there_before_the_pods_that_read_it_when_a_pool_is_created() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        applied = [name for manager, name in harness.cluster.writes if manager == "modelscaler"]
        assert applied.index("ranker-cpu-full-ladder") < applied.index("ranker-cpu-full")


async def test_ladder_is_written_again_when_the_objective_changes() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        harness.deploy(**{"metadata.generation": 2, "spec.slo.latency.targetMilliseconds": 300})
        await harness.settled()
        ladder = harness.cluster.objects["ConfigMap", "ranker-cpu-full-ladder"]["data"]["ladder.json"]
        assert '"latencyMilliseconds": 300' in ladder


async def test_servers_are_told_how_far_to_overdraw_as_answers_save_and_spend() -> None:
    def overdraft(harness: Harness) -> str:
        ladder = harness.cluster.objects["ConfigMap", "ranker-cpu-full-ladder"]["data"]["ladder.json"]
        return str(json.loads(ladder)["overdraft"])

    both = [{"placement": "cpu", "variant": v, "perRequestMilliseconds": m} for v, m in (("full", "8"), ("int8", "4"))]
    async with running(Harness()) as harness:
        harness.deploy(
            **{
                "spec.capacity": both,
                "spec.slo.minMeanAccuracy": "0.909",
                "spec.scaling": {"minReplicas": 1, "maxReplicas": 9},
            }
        )
        await harness.tick()
        assert overdraft(harness) == "0"
        harness.source.offered = Value(60.0, START)
        harness.source.served = {("cpu-full", "full"): 60.0}
        harness.source.budgets = {("cpu-full",): 1.0}
        for _ in range(200):
            await harness.tick(seconds=60.0)
        assert overdraft(harness) == "1"
        applied = [name for manager, name in harness.cluster.writes if manager == "modelscaler"]
        assert applied.count("ranker-cpu-full-ladder") <= 6, "it rises by steps"
        for _ in range(200):
            await harness.tick(seconds=60.0)
        later = [name for manager, name in harness.cluster.writes if manager == "modelscaler"]
        assert later == applied, "a calm pool is left alone"
        harness.source.offered = Value(600.0, harness.now)
        await harness.tick()
        assert harness.cluster.objects["Deployment", "ranker-cpu-full"]["spec"]["replicas"] > 1
        assert float(overdraft(harness)) > 0.0
        restarted = harness.status["policy"]["savings"]
        assert float(restarted["answers"]) > 0.0
        harness.source.served = {("cpu-full", "int8"): 600.0}
        for _ in range(10):
            await harness.tick(seconds=60.0)
        assert overdraft(harness) == "0", "what was spent is lent to nobody"


async def test_early_pass_asks_no_metrics_when_something_changes() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        reads = harness.source.reads
        harness.deploy(**{"metadata.generation": 2, "spec.scaling": {"minReplicas": 3, "maxReplicas": 5}})
        await harness.settled()
        assert harness.source.reads == reads
        assert harness.status["desired"]["replicas"] == 3


async def test_profile_is_read_before_the_first_decision_when_a_modeldeployment_comes_while_a_tick_reads() -> None:
    async with running(Harness()) as harness:
        profiled = {"spec.capacity": [], "spec.capacityProfile": {"configMapName": "profile"}}
        harness.source.on_read = lambda: harness.deploy(**profiled)
        await harness.tick()
        assert "profile.json" in harness.condition("Accepted")["message"]
        assert "not been read yet" not in str(harness.cluster.events)


async def test_status_tells_who_answers_by_the_spec_s_names_when_servers_know_artefacts() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.variants.1.artifact": "ranker-int8"})
        await harness.tick()
        harness.source.offered = Value(40.0, START)
        rates: dict[tuple[str, ...], float] = {
            ("cpu-full", "full"): 30.0,
            ("cpu-full", "ranker-int8"): 10.0,
            ("cpu-full", "gone"): 5.0,
        }
        harness.source.served = {**rates, ("cpu-int8", "ranker-int8"): 90.0}
        await harness.tick(seconds=60.0)
        assert (harness.status["servedAccuracy"], harness.status["degradedShare"]) == ("0.9075", "0.25")


async def test_recommendation_reaches_status_and_the_next_plan() -> None:
    async with running(Harness(InstantTuner())) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 50}})
        harness.source.offered = Value(300.0, START)
        await harness.tick()
        assert "tuning" not in harness.status
        before = harness.status["desired"]["replicas"]
        for _ in range(3):
            await harness.tick()
        assert harness.status["desired"]["replicas"] > before
        assert (harness.status["tuning"]["reason"], harness.status["tuning"]["headroom"]) == ("ObjectiveMended", "1")
        assert [event["note"] for event in harness.cluster.events if event["reason"] == "ObjectiveMended"] == ["mended"]
        harness.deploy(**{"spec.scaling": {"maxReplicas": 50, "selfTuning": "Off"}})
        for _ in range(2):
            await harness.tick()
        assert harness.status["tuning"]["reason"] == "TuningOff"


async def test_replicas_stay_when_the_source_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 5}})
        await harness.tick()
        harness.source.offered = Value(500.0, START)
        await harness.tick()
        risen = harness.status["desired"]["replicas"]
        assert risen > 1
        harness.source.offered = SourceError("connection refused")
        for _ in range(40):
            await harness.tick()
        assert harness.status["desired"]["replicas"] == risen
        assert harness.condition("MetricsAvailable")["status"] == "False"


async def test_replicas_that_are_not_scraped_count_as_loaded_and_teach_the_forecast_nothing() -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 9, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": scaling})
        harness.source.offered = Value(500.0, START)
        for _ in range(2):
            await harness.tick()
            run_all_pods(harness)
        risen = harness.status["desired"]["replicas"]
        assert risen > 2
        harness.source.offered, harness.source.reporting = Value(5.0, START), Value(1.0, START)
        for _ in range(6):
            await harness.tick()
        learned = harness.forecasting.observed[-1]
        assert (harness.status["desired"]["replicas"], learned) == (risen, None)
        assert harness.condition("MetricsAvailable")["reason"] == "SeriesIncomplete"
        harness.source.reporting = Value(float(risen), START)
        await harness.tick()
        assert (harness.status["desired"]["replicas"], harness.forecasting.observed[-1]) == (1, 5.0)


async def test_new_replicas_may_take_a_rate_window_to_report() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 3, "maxReplicas": 9}})
        harness.source.offered, harness.source.reporting = Value(5.0, START), Absent()
        await harness.tick()
        run_all_pods(harness)
        reasons = []
        for _ in range(6):
            await harness.tick()
            reasons.append(harness.condition("MetricsAvailable")["reason"])
        assert reasons == ["SeriesPresent"] * 3 + ["SeriesIncomplete"] * 3


TWO_PLACEMENTS: dict[str, Any] = {
    "spec.placements": [{"name": "cpu", "hourlyCost": "0.25"}, {"name": "gpu", "hourlyCost": "1"}],
    "spec.capacity": [
        {"placement": place, "variant": "full", "perRequestMilliseconds": "5"} for place in ("cpu", "gpu")
    ],
}


async def test_runner_up_serves_when_the_deployment_of_the_better_pool_is_refused_and_the_status_says_why() -> None:
    async with running(Harness()) as harness:
        harness.cluster.refused["ranker-cpu-full"] = ApiCallError("403 denied by policy: no cpu", status=403)
        harness.deploy(**TWO_PLACEMENTS)
        await harness.tick()
        (warning,) = [event for event in harness.cluster.events if event["type"] == "Warning"]
        assert (warning["reason"], warning["note"]) == ("WriteRefused", "403 denied by policy: no cpu")
        run_all_pods(harness)
        await harness.settled()
        assert harness.status["active"]["placement"] == "gpu"
        assert harness.status["unavailable"][0]["reason"] == "WriteRefused"
        assert harness.condition("Applied")["status"] == "True", "nothing that is wanted now is refused"
        harness.cluster.refused.clear()
        harness.source.offered = Value(5.0, START)
        for _ in range(20):
            await harness.tick()
        assert ("Deployment", "ranker-cpu-full") in harness.cluster.objects, "it is tried again, being cheaper"


async def test_refused_write_is_tried_with_every_tick_and_not_in_between() -> None:
    async with running(Harness()) as harness:
        harness.cluster.refused["ranker"] = NotOursError("Service", {"namespace": "shop", "name": "ranker"}, "a: b")
        harness.deploy()
        harness.source.offered = Value(5.0, START)
        await harness.tick()
        assert harness.condition("Applied")["reason"] == "WorkloadConflict"
        tries = len(harness.failed)
        for _ in range(3):
            await harness.tick()
        assert len(harness.failed) == tries + 3
        assert [event["reason"] for event in harness.cluster.events if event["type"] == "Warning"] == [
            "WorkloadConflict"
        ]
        harness.cluster.refused.clear()
        for _ in range(2):
            await harness.tick()
        assert harness.condition("Applied")["status"] == "True"


async def test_pool_is_not_given_up_when_the_server_only_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "MAX_ATTEMPTS", 1)
    async with running(Harness()) as harness:
        harness.cluster.refused["ranker-cpu-full"] = ApiCallError("500 webhook timed out", status=500)
        harness.deploy(**TWO_PLACEMENTS)
        for _ in range(3):
            await harness.tick()
        assert harness.condition("Applied")["reason"] == "WriteRefused"
        assert harness.status["desired"]["placement"] == "cpu"


async def test_children_are_left_alone_when_an_autoscaler_scales_one_of_them() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        deployment = next(name for kind, name in harness.cluster.objects if kind == "Deployment")
        harness.cluster.autoscalers = [
            {
                "metadata": {"name": "rival", "namespace": "shop"},
                "spec": {"scaleTargetRef": {"kind": "Deployment", "name": deployment}},
            }
        ]
        before = [w for w in harness.cluster.writes if w[0] != "modelscaler-status"]
        harness.deploy(**{"metadata.generation": 2, "spec.scaling": {"minReplicas": 4, "maxReplicas": 5}})
        await harness.tick(seconds=61.0)
        assert [w for w in harness.cluster.writes if w[0] != "modelscaler-status"] == before
        assert harness.condition("Accepted")["reason"] == "WorkloadConflict"
        assert "rival" in harness.condition("Accepted")["message"]


async def test_condition_names_the_field_when_an_old_crd_let_a_bad_spec_through() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 9, "maxReplicas": 5}})
        await harness.tick()
        accepted = harness.condition("Accepted")
        assert (accepted["status"], accepted["reason"]) == ("False", "InvalidSpec")
        assert "minReplicas" in accepted["message"]
        assert [kind for kind, _ in harness.cluster.objects] == ["ModelDeployment"]
        assert [event["type"] for event in harness.cluster.events] == ["Warning"]


async def test_pause_leaves_children_and_says_what_would_be_done_when_annotated() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        await harness.tick()
        before = [w for w in harness.cluster.writes if w[0] != "modelscaler-status"]
        paused = {"metadata.annotations": {"modelscaler.dev/paused": "true"}}
        harness.deploy(**paused, **{"spec.scaling": {"minReplicas": 4, "maxReplicas": 5}})
        await harness.tick()
        assert [w for w in harness.cluster.writes if w[0] != "modelscaler-status"] == before
        assert harness.status["desired"]["replicas"] == 4
        assert harness.condition("Paused")["status"] == "True"


async def test_same_decision_is_announced_once_when_its_write_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.deploy()
    harness.now += timedelta(seconds=15)
    await harness.loop.tick()
    harness.loop.touch(WorkloadKey("shop", "ranker"))
    await harness.loop._early_pass()  # nothing has been written yet: no worker runs
    async with running(harness):
        await harness.settled()
    assert [event["reason"] for event in harness.cluster.events] == ["FirstPlan"]


def shared(name: str, priority: int = 0) -> dict[str, Any]:
    """Return what a ModelDeployment that prefers a GPU has besides the smallest."""
    gpu = {"name": "gpu", "hourlyCost": "0.05", "accelerator": {"resourceName": "nvidia.com/gpu"}}
    speeds = [{"placement": p, "variant": "full", "perRequestMilliseconds": "8"} for p in ("cpu", "gpu")]
    return {"name": name, "spec.placements.1": gpu, "spec.capacity": speeds, "spec.priority": priority}


async def test_only_the_more_important_gets_the_accelerator_when_two_appear_between_ticks() -> None:
    async with running(Harness()) as harness:
        conditions = [{"type": "Ready", "status": "True"}]
        status = {"allocatable": {"nvidia.com/gpu": "1"}, "conditions": conditions}
        harness.cluster.put({"kind": "Node", "metadata": {"name": "n", "namespace": ""}, "spec": {}, "status": status})
        await harness.tick()  # metrics were read once
        harness.deploy(**shared("low"))
        harness.deploy(**shared("high", priority=1))
        await harness.settled()
        pools = {name for kind, name in harness.cluster.objects if kind == "Deployment"}
        assert pools == {"low-cpu-full", "high-gpu-full"}


async def test_no_accelerator_is_asked_for_when_nodes_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Harness()) as harness:
        listed = harness.cluster.list

        def forbidden(kind: str, selector: str = "", field_selector: str = "") -> Listing:
            if kind == "Node":
                raise ApiCallError("list Nodes: 403 forbidden", status=403)
            return listed(kind, selector, field_selector)

        monkeypatch.setattr(harness.cluster, "list", forbidden)
        harness.deploy(**shared("ranker"))
        await harness.tick()
        assert [name for kind, name in harness.cluster.objects if kind == "Deployment"] == ["ranker-cpu-full"]
        assert harness.condition("AcceleratorAvailable")["reason"] == "SupplyUnknown"
        assert "0 of 1 nvidia.com/gpu: nobody could count them" in harness.status["lastDecision"]["message"]


GATEWAY = {"parentRefs": [{"name": "edge"}]}


async def test_route_is_written_and_told_of_when_a_gateway_is_asked_for() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        await harness.tick()
        route = harness.cluster.objects["HTTPRoute", "ranker"]
        assert [b["name"] for b in route["spec"]["rules"][0]["backendRefs"]] == ["ranker"]
        assert harness.condition("Routed")["reason"] == "RouteNotAccepted"

        accepted = [{"type": "Accepted", "status": "True", "observedGeneration": 1}]
        harness.cluster.put(route | {"status": {"parents": [{"conditions": accepted}]}})
        await harness.tick()
        assert harness.condition("Routed")["status"] == "True"


async def test_nothing_is_written_when_nothing_changes_behind_a_gateway() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        for _ in range(3):
            await harness.tick()
        before = len(harness.cluster.writes)
        for _ in range(5):
            await harness.tick()
        assert harness.cluster.writes[before:] == []


async def test_route_is_deleted_when_the_gateway_leaves_the_spec() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        await harness.tick()
        harness.deploy(**{"metadata.generation": 2})
        await harness.tick()
        assert ("HTTPRoute", "ranker") not in harness.cluster.objects


async def test_no_route_is_written_when_the_cluster_does_not_serve_gateway_api() -> None:
    async with running(Harness()) as harness:
        harness.cluster.serves_routes = False
        harness.deploy(**{"spec.serving.gateway": GATEWAY})
        await harness.tick()
        assert ("HTTPRoute", "ranker") not in harness.cluster.objects
        assert harness.condition("Routed")["reason"] == "GatewayAPINotServed"
        assert harness.failed == []


def run_all_pods(harness: Harness) -> None:
    """Let every replica that is asked for run, and no other, and a gateway take up the route."""
    for (kind, name), body in list(harness.cluster.objects.items()):
        if kind == "Pod":
            harness.mirror.drop("Pod", harness.cluster.put(body))
            del harness.cluster.objects[kind, name]
    for (kind, name), body in list(harness.cluster.objects.items()):
        if kind == "HTTPRoute":
            accepted = [{"type": "Accepted", "status": "True", "observedGeneration": 1}]
            harness.cluster.put(body | {"status": {"parents": [{"conditions": accepted}]}})
        for number in range(body["spec"]["replicas"] if kind == "Deployment" else 0):
            since = harness.now.isoformat()
            labels = body["spec"]["template"]["metadata"]["labels"]
            meta = {"name": f"{name}-{number}", "namespace": "shop", "labels": labels, "creationTimestamp": since}
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": since}
            pod = {"kind": "Pod", "metadata": meta, "status": {"conditions": [ready]}}
            harness.mirror.absorb("Pod", harness.cluster.put(pod))


def backends(harness: Harness) -> dict[str, int]:
    (rule,) = harness.cluster.objects["HTTPRoute", "ranker"]["spec"]["rules"]
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


async def test_second_pool_gets_its_share_when_it_is_ready_and_no_request_when_it_is_no_longer_needed() -> None:
    async with running(Harness()) as harness:
        cpu = {"placement": "cpu", "variant": "full", "perRequestMilliseconds": "20"}
        harness.deploy(
            **{
                "spec.serving.gateway": GATEWAY,
                "spec.placements": [{"name": "cpu", "hourlyCost": "0.25"}, {"name": "gpu", "hourlyCost": "1"}],
                "spec.capacity": [cpu, {"placement": "gpu", "variant": "full", "perRequestMilliseconds": "4"}],
                "spec.scaling": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}},
            }
        )
        harness.source.offered = Value(100.0, START)
        for _ in range(3):
            await harness.tick()
            run_all_pods(harness)
        assert backends(harness) == {"ranker": 1000}

        harness.source.offered = Value(240.0, START)
        await harness.tick()
        starting = backends(harness)
        run_all_pods(harness)
        await harness.tick()
        side = harness.status["side"]
        assert (starting, side["placement"], side["readyReplicas"] > 0) == ({"ranker": 1000}, "cpu", True)
        assert set(backends(harness)) == {"ranker", "ranker-beside"}
        assert float(side["share"]) == pytest.approx(backends(harness)["ranker-beside"] / 1000.0, abs=1e-3)
        assert (
            harness.cluster.objects["Service", "ranker-beside"]["spec"]["selector"]["modelscaler.dev/pool"]
            == "cpu-full"
        )

        harness.source.offered = Value(150.0, START)
        for _ in range(3):
            await harness.tick()
            run_all_pods(harness)
        assert backends(harness) == {"ranker": 1000}
        assert harness.cluster.objects["Deployment", "ranker-cpu-full"]["spec"]["replicas"] == 0
        assert harness.cluster.objects["Deployment", "ranker-gpu-full"]["spec"]["replicas"] == 1
        assert harness.failed == []


async def test_decisions_go_on_when_a_later_full_list_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 5}})
        await harness.tick()
        harness.cluster.unlisted = {"Pod"}
        harness.source.offered = Value(500.0, START)
        await harness.tick(seconds=400.0)
        assert harness.status["desired"]["replicas"] > 1
        assert harness.loop.ticked_at == harness.seconds


async def test_nothing_is_decided_when_the_first_full_list_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy()
        harness.cluster.unlisted = {"Pod"}
        with pytest.raises(ApiCallError):
            await harness.tick()
        assert harness.cluster.writes == []


async def test_nothing_of_the_old_one_counts_when_a_modeldeployment_is_made_anew_under_its_name() -> None:
    harness = Harness(InstantTuner())
    harness.deploy(**{"metadata.uid": "first"})
    await harness.loop.tick()
    harness.mirror.drop("ModelDeployment", harness.cluster.objects["ModelDeployment", "ranker"])
    harness.deploy(**{"metadata.uid": "second"})
    await harness.loop._early_pass()
    async with running(harness):
        await harness.settled()
        assert [event["reason"] for event in harness.cluster.events] == ["FirstPlan", "FirstPlan"]
        assert harness.cluster.events[-1]["regarding"]["uid"] == "second"
        assert harness.status["desired"]["replicas"] == 1


async def test_history_is_asked_for_once_and_only_of_who_is_new() -> None:
    async with running(Harness()) as harness:
        harness.deploy(name="first")
        await harness.tick()
        harness.deploy(name="second")
        await harness.tick()
        await harness.tick()
        assert harness.source.remembered == [["first"], ["second"]]


async def test_measured_load_is_planned_for_when_forecasting_fails() -> None:
    async with running(Harness()) as harness:
        harness.deploy(**{"spec.scaling": {"minReplicas": 1, "maxReplicas": 5}})
        harness.source.offered = Value(20.0, START)
        await harness.tick()
        await harness.tick()
        assert harness.status["forecast"]["method"]
        harness.forecasting.broken = True
        harness.source.offered = Value(500.0, START)
        await harness.tick()
        assert harness.status["desired"]["replicas"] > 1
        assert harness.condition("ForecastHealthy")["status"] == "False"
        assert "forecast" not in harness.status
