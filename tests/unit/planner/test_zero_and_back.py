"""The way to no replica and back, step by step: whoever takes requests is there before whoever took them goes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    CPU_FULL,
    CPU_INT8,
    GPU_FULL,
    GPU_INT8,
    NOW,
    capacity,
    fallback,
    forecast,
    idling,
    observation,
    placement,
    pool,
    rules,
    single_pool,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason, GrantReason
from modelscaler.domain import Allowance, Observation, PolicyState, PoolKey, Side, Step, VariantOption, Workload
from modelscaler.planner.plan import plan
from modelscaler.planner.transition import next_step
from pool_simulator import Operator, happen
from zero_simulator import ZeroCluster

SPEC = single_pool(idling=idling(60.0), scale_down=rules(0.0))
TWO = workload(
    idling=idling(60.0),
    variants=(VariantOption("full", 0.92),),
    placements=(placement("cpu", 0.48, 20.0), placement("gpu", 0.5, 60.0, accelerator="example.com/gpu")),
    capacities=(capacity(CPU_FULL, 20.0), capacity(GPU_FULL, 4.0)),
    scale_down=rules(0.0),
)
"""A CPU carries 41 requests/s for 0.48, a GPU 235 for 0.5: whoever serves a few goes on."""

ASLEEP = PolicyState(active=CPU_INT8, quiet_since=NOW - timedelta(seconds=60))


class Walk:
    """An operator over a cluster, told what comes tick by tick."""

    def __init__(self, spec: Workload = SPEC, interval_seconds: float = 15.0) -> None:
        self.cluster = ZeroCluster(spec)
        self.operator = Operator(self.cluster, interval_seconds=interval_seconds)

    def tick(self, offered: float | None = 0.0, waiting: float = 0.0, ahead: float | None = None) -> Step:
        """Decide once, do it, and let an interval pass."""
        self.cluster.waiting = waiting
        expected = None if ahead is None else forecast(ahead, made_at=self.cluster.now)
        _, step = self.operator.decide(offered, expected)
        self.cluster.scale(step)
        self.cluster.select(step)
        self.operator.state = step.state
        self.cluster.advance(self.operator.interval_seconds)
        return step

    def asleep(self, key: PoolKey = CPU_INT8, rps: float = 10.0) -> "Walk":
        """Serve a load on a pool, and go to sleep."""
        for _ in range(12):
            self.tick(rps)
        for _ in range(8):
            self.tick()
        assert (self.cluster.held, self.cluster.replicas) == (True, {key: 0})
        return self

    def respecify(self, spec: Workload) -> None:
        self.cluster.workload = spec

    @property
    def all_ready(self) -> dict[PoolKey, int]:
        return {key: ready for key in self.cluster.replicas if (ready := self.cluster.ready(key))}


def sizes(step: Step) -> dict[PoolKey, int]:
    return {target.pool: target.replicas for target in step.pools}


def step_of(seen: Observation, spec: Workload = SPEC, state: PolicyState = ASLEEP) -> Step:
    made, after = plan(spec, seen, None, state, 30.0)
    return next_step(spec, seen, made, after)


def seen(*pools: object, held: bool = False, **overrides: object) -> Observation:
    fields = {"selected": None if held else CPU_INT8, "activator_ready": True, "held": held}
    return observation(0.0, *pools, **(fields | overrides))  # type: ignore[arg-type]


# --- going down


def test_service_selects_the_activator_and_the_replicas_stay_when_nobody_asks() -> None:
    step = step_of(seen(pool(CPU_INT8, 2)))
    assert (step.held, step.activator, step.serving, sizes(step)) == (True, True, CPU_INT8, {CPU_INT8: 2})


def test_replicas_go_when_the_service_is_seen_to_select_the_activator() -> None:
    step = step_of(seen(pool(CPU_INT8, 2), held=True))
    assert (step.held, sizes(step)) == (True, {CPU_INT8: 0})
    assert not step.pools[0].delete, "its Deployment stays, to be scaled when somebody asks"


def test_nothing_changes_any_more_when_all_are_asleep() -> None:
    walk = Walk().asleep()
    steps = [walk.tick() for _ in range(5)]
    assert {(step.held, step.activator, step.pools, step.notes) for step in steps} == {
        (True, True, steps[0].pools, ()),
    }
    assert len({step.state.quiet_since for step in steps}) == 1


def test_activator_is_there_from_the_start_when_zero_is_asked_for_and_never_when_it_is_not() -> None:
    asked = [spec.idling is not None for spec in (SPEC, single_pool())]
    first = [step_of(observation(), spec, PolicyState()) for spec in (SPEC, single_pool())]
    later = [step_of(observation(10.0, pool(), selected=CPU_INT8), spec) for spec in (SPEC, single_pool())]
    assert [step.activator for step in first] == [step.activator for step in later] == asked
    assert [step.held for step in (*first, *later)] == [False] * 4


def test_service_returns_to_the_replicas_when_somebody_asks_before_they_are_gone() -> None:
    step = step_of(seen(pool(CPU_INT8, 2), held=True, queued=observation(5.0).offered))
    assert (step.held, step.serving) == (False, CPU_INT8)
    assert sizes(step)[CPU_INT8] >= 1


def test_replicas_stay_when_the_activator_is_lost_between_the_two_steps() -> None:
    step = step_of(seen(pool(CPU_INT8, 2), held=True, activator_ready=False))
    assert (step.held, step.activator, sizes(step)) == (False, True, {CPU_INT8: 1})


def test_what_is_left_of_another_pool_goes_when_nobody_asks_though_none_serves() -> None:
    spec = workload(idling=idling(60.0))
    draining = step_of(seen(pool(CPU_INT8, 0), pool(GPU_INT8, 1), held=True), spec)
    assert sizes(draining) == {CPU_INT8: 0, GPU_INT8: 0}
    gone = step_of(seen(pool(CPU_INT8, 0), pool(GPU_INT8, 0), held=True), spec)
    assert [(target.pool, target.delete) for target in gone.pools] == [(CPU_INT8, False), (GPU_INT8, True)]


def test_what_is_left_of_another_pool_stays_when_somebody_is_woken_for() -> None:
    spec = workload(idling=idling(60.0))
    step = step_of(seen(pool(CPU_INT8, 0), pool(GPU_INT8, 1), held=True, queued=observation(5.0).offered), spec)
    assert sizes(step) == {CPU_INT8: 1, GPU_INT8: 1}


# --- coming back


def test_pool_starts_and_requests_are_held_until_a_replica_is_ready_when_somebody_waits() -> None:
    walk = Walk().asleep()
    steps = [walk.tick(waiting=3.0) for _ in range(4)]
    assert [step.held for step in steps] == [True, True, True, False]
    assert {sizes(step)[CPU_INT8] for step in steps} == {1}
    assert steps[0].state.quiet_since is None
    assert (walk.cluster.held, walk.cluster.selected, walk.all_ready) == (False, CPU_INT8, {CPU_INT8: 1})


@pytest.mark.parametrize(("offered", "ahead"), [(30.0, None), (0.0, 30.0)], ids=["load", "forecast"])
def test_pool_starts_when(offered: float | None, ahead: float | None) -> None:
    walk = Walk().asleep()
    assert sizes(walk.tick(offered, ahead=ahead)) == {CPU_INT8: 1}


def test_fallback_is_held_when_metrics_stay_away_after_a_sleep() -> None:
    walk = Walk(replace(SPEC, fallback=fallback(3, failure_threshold=3))).asleep()
    assert [sizes(walk.tick(None))[CPU_INT8] for _ in range(6)] == [0, 0, 0, 3, 3, 3]


def test_service_selects_the_pool_while_others_still_start_when_one_replica_is_ready() -> None:
    step = step_of(seen(pool(CPU_INT8, 4, ready=1), held=True, queued=observation(20_000.0).offered))
    assert (step.held, step.serving, step.activator) == (False, CPU_INT8, True)


def test_pool_starts_and_the_activator_goes_last_when_a_minimum_is_asked_for_again() -> None:
    walk = Walk().asleep()
    walk.respecify(single_pool(min_replicas=2, generation=2))
    steps = [walk.tick() for _ in range(5)]
    assert [(step.held, step.activator) for step in steps] == [
        (True, True),
        (True, True),
        (True, True),
        (False, True),
        (False, False),
    ]
    assert {sizes(step)[CPU_INT8] for step in steps} == {2}
    assert walk.operator.decide(0.0)[0].reason is DecisionReason.STEADY
    assert steps[0].state.planned_generation == 2


def test_pool_starts_when_the_activator_is_lost_and_goes_when_it_is_back() -> None:
    walk = Walk().asleep()
    walk.cluster.activator_ready = False
    lost = walk.tick()
    assert (lost.held, lost.activator, sizes(lost)) == (True, True, {CPU_INT8: 1})
    walk.cluster.activator_ready = True
    assert (walk.tick().held, walk.cluster.replicas) == (True, {CPU_INT8: 0}), "nobody has asked meanwhile"


def test_pool_serves_when_the_activator_stays_lost() -> None:
    walk = Walk().asleep()
    walk.cluster.activator_ready = False
    steps = [walk.tick() for _ in range(5)]
    assert [step.held for step in steps] == [True, True, True, False, False]
    assert walk.cluster.takes_requests


def test_one_sleeps_again_only_after_a_whole_quiet_time_when_it_was_woken() -> None:
    walk = Walk().asleep()
    walk.tick(waiting=1.0)
    held = [walk.tick().held for _ in range(8)]
    assert held == [True, True, False, False, True, True, True, True]
    assert walk.cluster.replicas == {CPU_INT8: 0}


# --- other pools


def test_other_pool_serves_who_waits_when_the_one_that_slept_cannot_start() -> None:
    walk = Walk(TWO).asleep(GPU_FULL, rps=200.0)
    happen(walk.cluster, "lose gpu")
    steps = [walk.tick(waiting=2.0) for _ in range(8)]
    assert [step.held for step in steps] == [True] * 5 + [False] * 3
    assert (walk.cluster.selected, walk.all_ready) == (CPU_FULL, {CPU_FULL: 1})
    (note,) = [text for step in steps for _, text in step.notes if "starting" in text]
    assert note == "starting 1 x cpu-full; requests are held until they are ready"
    assert walk.operator.state.outages[0].pool == GPU_FULL


def test_other_pool_serves_who_waits_when_others_have_the_accelerators() -> None:
    walk = Walk(TWO).asleep(GPU_FULL, rps=200.0)
    walk.cluster.allowances = (Allowance("gpu", 0, 1, GrantReason.OUTBID, 1),)
    assert sizes(walk.tick(waiting=2.0)) == {CPU_FULL: 1, GPU_FULL: 0}
    steps = [walk.tick(waiting=2.0) for _ in range(4)]
    assert [step.held for step in steps] == [True, True, False, False]
    assert walk.cluster.selected == CPU_FULL


def test_requests_stay_held_when_nothing_can_be_had_and_are_answered_when_it_can() -> None:
    only = replace(TWO, capacities=(capacity(GPU_FULL, 4.0),), placements=TWO.placements[1:])
    walk = Walk(only).asleep(GPU_FULL)
    walk.cluster.allowances = (Allowance("gpu", 0, 1, GrantReason.TOO_FEW, 0),)
    steps = [walk.tick(waiting=2.0) for _ in range(4)]
    assert {(step.held, sizes(step)[GPU_FULL]) for step in steps} == {(True, 0)}
    made, _ = walk.operator.decide(0.0)
    assert (made.idle, made.binding) == (False, Binding.TOO_FEW_ACCELERATORS)
    walk.cluster.allowances = (Allowance("gpu", 1, 1, GrantReason.AS_WANTED, 1),)
    for _ in range(6):
        walk.tick(waiting=2.0)
    assert (walk.cluster.held, walk.all_ready) == (False, {GPU_FULL: 1})


def test_pool_that_slept_starts_too_when_a_slower_one_is_needed_for_what_is_forecast() -> None:
    spec = replace(TWO, placements=(placement("cpu", 0.48, 20.0, max_replicas=2), TWO.placements[1]))
    walk = Walk(spec).asleep(CPU_FULL)
    first = walk.tick(ahead=300.0)
    assert sizes(first) == {CPU_FULL: 2, GPU_FULL: 2}
    later = [walk.tick(ahead=300.0) for _ in range(6)]
    assert [step.serving for step in later] == [CPU_FULL] * 4 + [GPU_FULL] * 2
    assert [step.held for step in later[:3]] == [True, True, False]


def test_other_pool_is_asked_for_when_the_one_that_slept_has_left_the_spec() -> None:
    walk = Walk(TWO).asleep(GPU_FULL, rps=200.0)
    walk.respecify(replace(TWO, capacities=TWO.capacities[:1], generation=2))
    steps = [walk.tick() for _ in range(6)]
    assert sizes(steps[0]) == {CPU_FULL: 1, GPU_FULL: 0}
    assert (walk.cluster.held, walk.cluster.replicas) == (True, {CPU_FULL: 0}), "seen to serve, then asleep again"


def test_first_pool_starts_behind_the_activator_when_the_memory_of_a_sleeper_is_lost() -> None:
    walk = Walk().asleep()
    walk.operator.state = PolicyState()
    steps = [walk.tick(waiting=1.0) for _ in range(4)]
    assert [step.held for step in steps] == [True, True, True, False]
    assert {sizes(step)[CPU_INT8] for step in steps} == {1}


MIXED = workload(
    routed=True,
    idling=idling(60.0),
    variants=(VariantOption("full", 0.92),),
    placements=(placement("cpu", 0.25, 20.0), placement("gpu", 1.0, 60.0)),
    capacities=(capacity(CPU_FULL, 20.0), capacity(GPU_FULL, 4.0)),
    max_replicas=20,
    scale_down=rules(0.0),
)


def test_pool_beside_is_gone_before_anybody_sleeps_when_two_served() -> None:
    walk = Walk(MIXED)
    for _ in range(40):
        walk.tick(275.0)
    assert walk.operator.state.side is not None
    steps = [walk.tick() for _ in range(20)]
    assert {step.state.side for step in steps if step.held} == {None}
    assert steps[-1].held
    assert steps[-1].route is not None
    assert steps[-1].route.side is None
    assert set(walk.cluster.replicas.values()) == {0}


def test_two_pools_are_never_put_to_sleep_at_once() -> None:
    beside = replace(ASLEEP, active=CPU_FULL, side=Side(GPU_FULL, NOW - timedelta(seconds=600)))
    looked = seen(pool(CPU_FULL, 1), pool(GPU_FULL, 1), selected=CPU_FULL)
    step = step_of(looked, MIXED, beside)
    assert not step.held
    assert sizes(step)[CPU_FULL] >= 1


# --- whatever happens

EVENTS = st.sampled_from(
    [*[""] * 6, "lose gpu", "heal gpu", "lose cpu", "heal cpu", "blind", "no service write", "no status write"]
)
LOADS = st.sampled_from([0.0] * 8 + [20.0, 150.0, 300.0])
WAITING = st.sampled_from([0.0] * 8 + [1.0, 500.0])
WALKS = st.lists(st.tuples(LOADS, WAITING, EVENTS), min_size=20, max_size=80)


@settings(deadline=None)
@given(st.sampled_from([SPEC, TWO, MIXED]), WALKS)
def test_no_step_takes_away_who_takes_requests_when_anything_happens(
    spec: Workload, walk: list[tuple[float, float, str]]
) -> None:
    cluster = ZeroCluster(spec, room={"gpu": 20, "cpu": 20})
    operator = Operator(cluster)
    for load, waiting, event in walk:
        happen(cluster, event)
        cluster.waiting = waiting
        made, step = operator.decide(None if event == "blind" else load)
        before, was_held, carried = cluster.takes_requests, cluster.held, cluster.serving_rps()

        cluster.scale(step)
        assert cluster.takes_requests or not before, f"scaled away: {step}"
        assert was_held or cluster.serving_rps() >= min(carried, load) - 1e-6, f"too few are left: {step}"
        if event != "no service write":
            cluster.select(step)
        assert cluster.takes_requests or not before, f"selected away: {step}"
        if event != "no status write":
            operator.state = step.state
        cluster.advance(operator.interval_seconds)

        assert not made.idle or was_held or (load == 0.0 and waiting == 0.0)
        assert not made.idle or event == "blind" or (load == 0.0 and waiting == 0.0)
        assert step.activator


def after(spec: Workload, walk: list[tuple[float, float, str]], waiting: float) -> ZeroCluster:
    """Return the cluster long after a walk, when all has healed and so many wait."""
    cluster = ZeroCluster(spec, room={"gpu": 20, "cpu": 20})
    operator = Operator(cluster)
    for load, waited, event in walk:
        happen(cluster, event)
        cluster.waiting = waited
        operator.tick(None if event == "blind" else load)
    happen(cluster, "heal gpu")
    happen(cluster, "heal cpu")
    cluster.waiting = waiting
    for _ in range(60):
        operator.tick(0.0)
    return cluster


@settings(deadline=None)
@given(st.sampled_from([SPEC, TWO, MIXED]), WALKS)
def test_somebody_answers_in_the_end_when_requests_wait(spec: Workload, walk: list[tuple[float, float, str]]) -> None:
    cluster = after(spec, walk, waiting=1.0)
    assert (cluster.held, cluster.ready(cluster.selected) > 0) == (False, True)


@settings(deadline=None)
@given(st.sampled_from([SPEC, TWO, MIXED]), WALKS)
def test_everybody_sleeps_in_the_end_when_nobody_asks(spec: Workload, walk: list[tuple[float, float, str]]) -> None:
    cluster = after(spec, walk, waiting=0.0)
    assert (cluster.held, sum(cluster.replicas.values())) == (True, 0)
