from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

import builders
from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import PolicyState, PoolKey, Switch, Value, VariantOption
from modelscaler.planner.behavior import remember
from modelscaler.status import StatusInputs, next_status, policy_state, settle
from status_scenes import plan, scene, step

REFRESH_SECONDS = 30.0
SOON, LATER = builders.NOW + timedelta(seconds=10), builders.NOW + timedelta(seconds=31)
BEFORE = next_status(scene())


def written(inputs: StatusInputs, before: ModelDeploymentStatus = BEFORE) -> ModelDeploymentStatus | None:
    return settle(before, next_status(inputs), inputs.now, REFRESH_SECONDS)


def test_nothing_is_written_when_nothing_changed() -> None:
    assert written(scene(BEFORE, LATER)) is None


def test_nothing_is_written_when_figures_move_little() -> None:
    assert written(scene(BEFORE, LATER, rps=108.0)) is None


def test_nothing_is_written_yet_when_figures_move_much_but_were_just_refreshed() -> None:
    assert written(scene(BEFORE, SOON, rps=200.0)) is None


def test_figures_are_written_when_they_moved_and_the_last_refresh_is_old() -> None:
    status = written(scene(BEFORE, LATER, rps=112.0))
    assert status is not None
    assert status.load is not None
    assert (status.load.offered_rps, status.load.time) == ("112", "2026-03-02T09:00:31Z")


@pytest.mark.parametrize(
    ("latency_seconds", "refreshed"), [(0.12, False), (0.2, False), (0.3, True), (0.05, True), (None, True)]
)
def test_latency_is_refreshed_when_it_doubles_or_goes_away(latency_seconds: float | None, refreshed: bool) -> None:
    seen = scene(BEFORE, LATER).observation
    assert seen is not None
    changed = replace(seen, latency=builders.reading(latency_seconds))
    assert (written(scene(BEFORE, LATER, observation=changed)) is not None) == refreshed


@pytest.mark.parametrize(
    ("served", "refreshed"),
    [
        ((("int8", 90.0), ("tiny", 10.0)), True),
        ((("int8", 99.5), ("tiny", 0.5)), False),
        ((("int8", 80.0),), False),
        ((), True),
    ],
)
def test_degraded_answers_are_told_when_their_share_moves_noticeably(
    served: tuple[tuple[str, float], ...], refreshed: bool
) -> None:
    variants = (*builders.workload().variants, VariantOption("tiny", 0.8))
    shared: dict[str, Any] = {"workload": builders.workload(variants=variants)}

    def inputs(at: datetime, before: ModelDeploymentStatus, by: tuple[tuple[str, float], ...]) -> StatusInputs:
        seen = scene(before, at).observation
        assert seen is not None
        return scene(before, at, observation=replace(seen, served=by), **shared)

    before = next_status(inputs(builders.NOW, ModelDeploymentStatus(), (("int8", 100.0),)))
    assert (written(inputs(LATER, before, served), before) is not None) == refreshed


def test_nothing_is_written_when_only_the_queue_flickers() -> None:
    seen = scene(BEFORE, LATER).observation
    assert seen is not None
    assert written(scene(BEFORE, LATER, observation=replace(seen, queued=Value(9.0, LATER)))) is None


@pytest.mark.parametrize(
    "change",
    [
        {"plan": plan(builders.choice(replicas=3))},
        {"step": step(replicas=3)},
        {"step": step(pool=PoolKey("cpu", "full"))},
        {"paused": True},
        {"generation": 8},
        {"plan": plan(binding=Binding.MAX_REPLICAS)},
        {"observation": builders.observation(100.0, builders.pool(replicas=2, ready=1))},
        {"observation": builders.observation(None, builders.pool(replicas=2))},
        {"capacities": ()},
        {"step": step(PolicyState(active=builders.CPU_INT8, planned_generation=7, cheaper_since=builders.NOW))},
        {"step": step(PolicyState(active=builders.CPU_INT8, planned_generation=7, missing_ticks=1))},
        {"step": step(PolicyState(active=builders.CPU_INT8, planned_generation=7, changes=((builders.NOW, 1),)))},
        {"step": step(PolicyState(builders.CPU_INT8, Switch(builders.GPU_INT8, builders.NOW), planned_generation=7))},
        {"plan": plan(reason=DecisionReason.METRICS_MISSING)},
    ],
)
def test_status_is_written_at_once_when_a_decision_condition_pool_or_memory_changes(change: dict[str, Any]) -> None:
    assert written(scene(BEFORE, SOON, **change)) is not None


def test_a_target_held_back_is_told_with_the_next_refresh_when_only_the_reason_changes() -> None:
    """Demand that hovers at a threshold changes the reason at every tick; that must not write at every tick."""
    held: dict[str, Any] = {"plan": plan(reason=DecisionReason.DEMAND_FELL, binding=Binding.STABILIZATION)}
    assert written(scene(BEFORE, SOON, **held)) is None
    assert written(scene(BEFORE, LATER, **held)) is not None


def test_first_status_is_written_when_there_is_none() -> None:
    assert written(scene(), ModelDeploymentStatus()) is not None


def test_nothing_is_written_for_hours_when_a_steady_load_only_flickers() -> None:
    """Through the real round trip: each tick remembers its recommendation, and forgets those outside the window."""
    random, stored, writes = np.random.default_rng(7), ModelDeploymentStatus(), 0
    for tick in range(500):
        now = builders.NOW + timedelta(seconds=15 * tick)
        status = next_status(steady(stored, now, rps=float(100.0 + random.uniform(-4.0, 4.0))))
        settled = settle(stored, status, now, REFRESH_SECONDS)
        if settled is not None:
            stored, writes = settled, writes + 1
    assert writes == 1


def steady(stored: ModelDeploymentStatus, now: datetime, rps: float) -> StatusInputs:
    before = policy_state(stored, now)
    recommendations = tuple(remember(before.recommendations, (now, 2), now, keep_seconds=300.0))
    state = replace(before, active=builders.CPU_INT8, planned_generation=7, recommendations=recommendations)
    reason = DecisionReason.FIRST_PLAN if stored.desired is None else DecisionReason.STEADY
    message = f"{rps:.1f} requests/s are planned for"
    return scene(stored, now, rps=rps, step=step(state), plan=plan(reason=reason, message=message))


QUIET = PolicyState(active=builders.CPU_INT8, planned_generation=7, quiet_since=builders.NOW)


def test_quiet_is_written_only_once_it_has_lasted() -> None:
    assert written(scene(BEFORE, SOON, step=step(QUIET)), BEFORE) is None
    status = written(scene(BEFORE, LATER, step=step(QUIET)), BEFORE)
    assert status is not None
    assert policy_state(status, LATER).quiet_since == builders.NOW


def test_quiet_is_written_at_once_when_it_is_over() -> None:
    before = next_status(scene(step=step(QUIET)))
    status = written(scene(before, SOON, step=step(replace(QUIET, quiet_since=None))), before)
    assert status is not None
    assert policy_state(status, SOON).quiet_since is None


def test_nothing_is_written_while_it_stays_quiet() -> None:
    quiet = PolicyState(active=builders.CPU_INT8, planned_generation=7, quiet_since=builders.NOW)
    before = next_status(scene(step=step(quiet)))
    assert written(scene(before, LATER, step=step(quiet)), before) is None
