"""Ray Serve: ongoing requests over the target, factors, and delays in a row."""

import pytest

from builders import CPU_INT8, single_pool
from meters import ToldMeter, sight
from modelscaler.replay.policies.knowledge import carried_concurrency
from modelscaler.replay.policies.ray_serve import RayServe
from modelscaler.replay.sight import Policy

WORKLOAD = single_pool(max_replicas=50)


@pytest.mark.parametrize(
    ("ongoing", "target", "running", "kind", "expected"),
    [
        # As in ray's tests of its policy: a target of 1 and 2 running for each, so twice as many.
        (20.0, 1.0, 10, RayServe(), 20),
        (5.0, 1.0, 10, RayServe(), 5),
        (20.0, 1.0, 10, RayServe(up_factor=0.5), 15),
        (0.0, 1.0, 10, RayServe(down_factor=0.5), 5),
        # A small factor would round back up to what there is: one goes all the same.
        (4.0, 1.0, 5, RayServe(down_factor=0.1), 4),
    ],
)
def test_replicas_are_ongoing_over_target_when_factors_are_applied(
    ongoing: float, target: float, running: int, kind: RayServe, expected: int
) -> None:
    assert kind.wanted(ongoing, target, running) == expected


def decided(policy: Policy, ongoing_replicas: float, current: int, seconds: float, ready: int | None = None) -> int:
    each = carried_concurrency(WORKLOAD, CPU_INT8, 0.8)
    told = sight(ToldMeter(ongoing=ongoing_replicas * each), current, ready, seconds)
    return policy.decide(told).replicas[CPU_INT8]


def test_replicas_are_added_when_more_have_been_wanted_for_the_delay() -> None:
    policy = RayServe().start(WORKLOAD, CPU_INT8)
    assert [decided(policy, 3.9, 2, 5.0 * n) for n in range(1, 8)] == [2, 2, 2, 2, 2, 2, 4]


def test_waiting_begins_again_when_a_wish_was_interrupted() -> None:
    policy = RayServe().start(WORKLOAD, CPU_INT8)
    for n in range(1, 7):
        assert decided(policy, 3.9, 2, 5.0 * n) == 2
    assert decided(policy, 1.9, 2, 35.0) == 2
    assert [decided(policy, 3.9, 2, 40.0 + 5.0 * n) for n in range(7)] == [2, 2, 2, 2, 2, 2, 4]


def test_replicas_go_when_fewer_have_been_wanted_for_the_longer_delay() -> None:
    policy = RayServe(down_delay_seconds=60.0).start(WORKLOAD, CPU_INT8)
    assert [decided(policy, 0.5, 6, 5.0 * n) for n in range(1, 14)] == [6] * 12 + [1]


def test_nothing_changes_when_no_replica_runs() -> None:
    policy = RayServe(up_delay_seconds=0.0).start(WORKLOAD, CPU_INT8)
    assert decided(policy, 30.0, 3, 60.0, ready=0) == 3


def test_the_maximum_is_kept_when_more_is_wanted() -> None:
    policy = RayServe(up_delay_seconds=0.0).start(WORKLOAD, CPU_INT8)
    assert decided(policy, 500.0, 2, 60.0) == 50
