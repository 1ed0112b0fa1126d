from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.domain import Outage, PolicyState, PoolKey, Savings, Side, Switch
from modelscaler.planner.behavior import remember
from modelscaler.status import next_status, policy_state, savings_from, status_body
from modelscaler.status.memory import points_of, runs_of
from status_scenes import scene, step

TICK = timedelta(seconds=15)

MOMENTS = st.integers(0, 10**14).map(lambda microseconds: builders.NOW + timedelta(microseconds=microseconds))
POOLS = st.builds(PoolKey, st.sampled_from(["cpu", "gpu-big"]), st.sampled_from(["full", "int8"]))
OUTAGES = st.builds(Outage, POOLS, MOMENTS, st.integers(1, 20), st.sampled_from(["Unschedulable", "CrashLoopBackOff"]))
STATES = st.builds(
    PolicyState,
    active=POOLS | st.none(),
    switch=st.builds(Switch, POOLS, MOMENTS) | st.none(),
    outages=st.lists(OUTAGES, max_size=4).map(tuple),
    recommendations=st.just(()),
    changes=st.lists(st.tuples(MOMENTS, st.integers(-9, 9)), max_size=9).map(tuple),
    missing_ticks=st.integers(0, 3),
    cheaper_since=MOMENTS | st.none(),
    planned_generation=st.integers(0, 9),
    side=st.builds(Side, POOLS, MOMENTS) | st.none(),
    mix_better_since=MOMENTS | st.none(),
    quiet_since=MOMENTS | st.none(),
)


def through_the_api(state: PolicyState, now: datetime = builders.NOW) -> PolicyState:
    """Write a state into a status, send that to the API server and back, and read it again at `now`."""
    body = status_body(
        next_status(scene(step=step(state), workload=builders.workload(fallback=builders.fallback(2, 3))))
    )
    return policy_state(ModelDeploymentStatus.model_validate(body), now)


@given(STATES)
def test_memory_is_the_same_when_it_went_through_a_status(state: PolicyState) -> None:
    assert through_the_api(state) == state


@given(st.lists(st.integers(1, 5), min_size=1, max_size=60), st.integers(1, 70))
def test_stabilisation_sees_the_same_extremes_when_recommendations_were_kept_as_runs(
    recommended: list[int], window_ticks: int
) -> None:
    ticks = tuple((builders.NOW + index * TICK, replicas) for index, replicas in enumerate(recommended))
    now = ticks[-1][0] + TICK
    kept = points_of(runs_of(ticks), now)

    def within(points: tuple[tuple[datetime, int], ...], window: timedelta) -> list[int]:
        return [replicas for at, replicas in points if at >= now - window]

    # A run is taken to last until the next one begins: that remembers it for up to a tick longer, never for less.
    seen = within(kept, window_ticks * TICK)
    exact, longer = within(ticks, window_ticks * TICK), within(ticks, (window_ticks + 1) * TICK)
    assert max(exact) <= max(seen) <= max(longer)
    assert min(longer) <= min(seen) <= min(exact)


def test_a_high_recommendation_is_remembered_from_its_end_when_the_demand_falls_after_a_long_steady_state() -> None:
    """The stored run is hours old; what counts is that it was in force until just now."""
    since, fell_at = builders.NOW - timedelta(hours=5), builders.NOW
    stored = PolicyState(recommendations=((since, 8),), active=builders.CPU_INT8)
    before = through_the_api(stored, fell_at)
    assert (fell_at, 8) in before.recommendations
    after = remember(before.recommendations, (fell_at, 3), fell_at, keep_seconds=300.0)
    later = through_the_api(PolicyState(recommendations=tuple(after)), fell_at + timedelta(seconds=299))
    assert max(r for at, r in later.recommendations if at >= fell_at + timedelta(seconds=299 - 300)) == 8


def test_memory_is_bounded_when_recommendations_never_rest() -> None:
    restless = tuple((builders.NOW + index * TICK, index % 2) for index in range(500))
    status = next_status(scene(step=step(PolicyState(recommendations=restless, changes=restless))))
    assert status.policy is not None
    assert len(status.policy.recommendations) == len(status.policy.changes) == 64
    assert status.policy.recommendations[-1].replicas == 1


def test_missing_ticks_stop_counting_when_more_would_decide_nothing() -> None:
    state = PolicyState(missing_ticks=1000)
    assert through_the_api(state).missing_ticks == 3


def test_unreadable_times_are_forgotten_when_a_status_was_edited_by_hand() -> None:
    body = {
        "transition": {"placement": "cpu", "variant": "int8", "startTime": "yesterday"},
        "unavailable": [{"placement": "gpu", "variant": "int8", "reason": "X", "failures": 1, "retryTime": "soon"}],
        "policy": {"recommendations": [{"time": "?", "replicas": 3}], "cheaperSince": "then"},
    }
    assert policy_state(ModelDeploymentStatus.model_validate(body), builders.NOW) == PolicyState()


def test_a_time_without_a_zone_is_utc_when_read() -> None:
    body = {"policy": {"cheaperSince": "2026-03-02T09:00:00"}}
    assert policy_state(ModelDeploymentStatus.model_validate(body), builders.NOW).cheaper_since == builders.NOW


@given(st.floats(-1e6, 1e6), MOMENTS)
def test_savings_are_about_the_same_when_they_went_through_a_status(balance: float, at: datetime) -> None:
    status = next_status(replace(scene(), savings=Savings(balance, at)))
    found = savings_from(ModelDeploymentStatus.model_validate(status_body(status)))
    assert found is not None
    assert found.balance == pytest.approx(balance, rel=1e-3)
    assert found.at == at


@pytest.mark.parametrize(
    "written", [{"answers": "much", "time": "2026-03-02T10:00:00Z"}, {"answers": "1", "time": "then"}]
)
def test_savings_are_forgotten_when_a_status_was_edited_by_hand(written: dict[str, str]) -> None:
    assert savings_from(ModelDeploymentStatus.model_validate({"policy": {"savings": written}})) is None
    assert savings_from(ModelDeploymentStatus()) is None


def test_memory_is_empty_when_the_status_is() -> None:
    assert policy_state(ModelDeploymentStatus(), builders.NOW) == PolicyState()


def test_what_two_pools_were_to_carry_is_remembered_when_it_went_through_a_status() -> None:
    state = PolicyState(
        active=builders.GPU_INT8,
        side=Side(builders.CPU_INT8, builders.NOW),
        side_recommendations=((builders.NOW - 9 * TICK, 7), (builders.NOW, 5)),
    )
    assert [n for _, n in through_the_api(state).side_recommendations] == [7, 7, 5]


def test_a_quiet_time_that_cannot_be_read_is_forgotten_when_somebody_edited_it() -> None:
    status = ModelDeploymentStatus.model_validate({"policy": {"quietSince": "yesterday"}})
    assert policy_state(status, builders.NOW).quiet_since is None
