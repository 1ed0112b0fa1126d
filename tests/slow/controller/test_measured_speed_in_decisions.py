"""From a slow server's latency to the next plan, through decisions as the loop makes them."""

from datetime import timedelta
from typing import Any

import pytest

from builders import NOW, observation, pool
from manifests import model_deployment
from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.api.words import ConditionReason
from modelscaler.capacity.latency import largest_rps, latency_seconds
from modelscaler.capacity.refine import sped_up
from modelscaler.controller.decide import Inputs, Outcome, Settings, decide
from modelscaler.controller.summaries import Entry
from modelscaler.domain import PoolKey, Value, WorkloadKey, Zero
from modelscaler.render import RenderDefaults
from modelscaler.status import ForecastHealth
from modelscaler.workload import parse_resource, workload_from

POOL = PoolKey("cpu", "full")
SETTINGS = Settings(15.0, 15.0, 30.0, RenderDefaults(server_image="server"), 60.0)
HEALTHY = ForecastHealth(True, ConditionReason.LEARNED, "the learned model serves")
TICK = timedelta(seconds=15)
OVERLOADED_SECONDS = 5.0
TARGET_SECONDS = 0.12
RUNG = {"placement": "cpu", "variant": "int8", "perRequestMilliseconds": "3", "reflexOnly": True}


class Scene:
    """One ModelDeployment whose replicas are `speed` times as fast as stated, under a steady load."""

    def __init__(self, speed: float, rps: float, **changes: Any) -> None:
        self.speed, self.rps, self.now = speed, rps, NOW
        body = model_deployment({"spec.slo.latency.targetMilliseconds": round(TARGET_SECONDS * 1000), **changes})
        self.resource = parse_resource(body)
        self.true = sped_up(workload_from(self.resource, None).capacities[0], speed)
        self.status = ModelDeploymentStatus()
        self.has_ladder = len(self.resource.spec.capacity) > 1
        self.replicas = 1
        self.outcome: Outcome | None = None

    def tick(self) -> int:
        """Decide once and give what was decided; return the replicas."""
        self.now += TICK
        each = self.rps / self.replicas
        busy = each / largest_rps(self.true)
        latency = latency_seconds(self.true, each, 0.99) if busy < 0.98 else OVERLOADED_SECONDS
        queued = self.rps * latency * (0.2 if busy < 0.98 else 2.0)
        served: tuple[tuple[str, float], ...] = (("full", self.rps),)
        if self.has_ladder and latency > TARGET_SECONDS:  # the servers keep the objective, by cheaper answers
            latency, queued, served = TARGET_SECONDS, 0.0, (("full", 0.8 * self.rps), ("int8", 0.2 * self.rps))
        seen = observation(
            Value(self.rps, self.now),
            pool(POOL, self.replicas),
            now=self.now,
            latency=Value(latency, self.now),
            queued=Value(queued, self.now),
            selected=POOL,
            served=served,
            answered=Value(min(self.rps, self.replicas * largest_rps(self.true)), self.now),
            waited=Zero(self.now) if busy < 0.98 else Value(2.0 * each, self.now),
        )
        entry = Entry(WorkloadKey("default", "ranker"), "u", 1, 1, self.resource, None, self.status, False)
        left = self.outcome.remembered if self.outcome else None
        self.outcome = decide(Inputs(self.now, entry, None, None, seen, None, HEALTHY, left), SETTINGS)
        self.status = self.outcome.status
        assert self.status.desired is not None
        self.replicas = self.status.desired.replicas
        return self.replicas

    def after(self, minutes: int) -> int:
        return [self.tick() for _ in range(minutes * 4)][-1]

    def restart(self) -> None:
        self.outcome = None


@pytest.mark.parametrize(("speed", "rps"), [(0.6, 150.0), (0.6, 280.0), (0.8, 150.0), (0.8, 400.0)])
def test_more_replicas_are_planned_when_the_objective_is_missed_by_slower_ones(speed: float, rps: float) -> None:
    stated, slow = Scene(1.0, rps).after(40), Scene(speed, rps)
    assert slow.after(15) > stated
    assert slow.status.load is not None
    assert (slow.status.load.latency_milliseconds or 0) <= 1e3 * TARGET_SECONDS
    assert slow.status.capacity[0].source == "Measured"


@pytest.mark.parametrize("speed", [0.5, 0.55, 0.6])
def test_more_replicas_are_planned_within_two_windows_when_those_there_are_do_not_keep_up(speed: float) -> None:
    scene = Scene(speed, 0.0)
    scene.rps = 1.05 * largest_rps(scene.true)
    assert [scene.tick() for _ in range(7)][-1] > 1


def test_no_more_replicas_are_planned_than_the_load_needs_when_a_burst_is_answered_as_fast_as_stated() -> None:
    scene, steady = Scene(1.0, 150.0), Scene(1.0, 150.0)
    scene.rps = 3000.0
    scene.after(3)
    scene.rps = 150.0
    assert scene.after(30) == steady.after(30)


def test_more_replicas_are_planned_when_a_ladder_hides_that_they_are_slower() -> None:
    stated, slow = (Scene(speed, 300.0, **{"spec.capacity.1": RUNG}) for speed in (1.0, 0.6))
    assert slow.after(45) > stated.after(10)
    assert slow.status.capacity[0].source == "Measured"


def test_replicas_never_fall_below_what_is_stated_when_a_server_is_slower() -> None:
    stated, slow = Scene(1.0, 300.0), Scene(0.7, 300.0)
    for _ in range(160):
        as_stated = stated.tick()
        assert slow.tick() >= as_stated


def test_plan_is_the_same_when_the_operator_starts_again() -> None:
    scene = Scene(0.75, 300.0)
    before = scene.after(40)
    capacity = scene.status.capacity
    scene.restart()
    assert scene.tick() == before
    assert scene.status.capacity == capacity
    assert scene.after(20) == before


def test_stated_speed_counts_when_refinement_is_off() -> None:
    scene = Scene(0.75, 300.0, **{"spec.scaling.capacityRefinement": "Off"})
    assert scene.after(40) == Scene(1.0, 300.0).after(40)
    assert scene.status.capacity[0].source == "Spec"


def test_what_is_known_is_kept_when_the_spec_is_broken_for_a_while() -> None:
    scene = Scene(0.75, 300.0)
    scene.after(40)
    assert scene.outcome is not None
    known = scene.outcome.remembered
    entry = Entry(WorkloadKey("default", "ranker"), "u", 1, 1, None, None, scene.status, False)
    seen = observation(None, pool(POOL, scene.replicas), now=scene.now)
    broken = decide(Inputs(scene.now, entry, None, None, seen, None, HEALTHY, known), SETTINGS)
    assert broken.remembered == known
    assert broken.status.capacity == scene.status.capacity


def test_factor_is_dropped_when_the_user_states_another_speed() -> None:
    scene = Scene(0.75, 300.0)
    scene.after(40)
    other = scene.resource.spec.capacity[0].model_copy(update={"per_request_milliseconds": "10"})
    spec = scene.resource.spec.model_copy(update={"capacity": [other]})
    scene.resource = scene.resource.model_copy(update={"spec": spec})
    assert float(scene.status.capacity[0].speed_factor or 1) < 0.8
    scene.tick()
    assert float(scene.status.capacity[0].speed_factor or 1) > 0.9
