"""HPA on worked examples: of its documentation, of its code, and of its defaults."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import CPU_INT8, single_pool
from meters import ToldMeter, sight
from modelscaler.replay.policies.hpa import Hpa, behavior_of, for_average_value, for_utilization
from modelscaler.replay.policies.hpa_behavior import Behavior, Direction, Limits, RatePolicy
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.sight import PoolSight


def utilization(share: float, target: float, replicas: int, ready: int) -> int:
    return for_utilization(share, target, PoolSight(CPU_INT8, replicas, ready, replicas - ready))


@pytest.mark.parametrize(
    ("metric", "target", "current", "expected"),
    [(200.0, 100.0, 1, 2), (50.0, 100.0, 2, 1), (109.0, 100.0, 1, 1), (91.0, 100.0, 1, 1), (111.0, 100.0, 1, 2)],
)
def test_replicas_are_multiplied_by_metric_over_target_when_it_is_off_by_more_than_a_tenth(
    metric: float, target: float, current: int, expected: int
) -> None:
    # "if the current metric value is 200m, and the desired value is 100m, the number of replicas will be doubled"
    assert utilization(metric / 1000.0, target / 1000.0, current, current) == expected
    assert for_average_value(metric * current, target, current) == expected


def test_a_sum_is_divided_by_the_target_when_replicas_still_start() -> None:
    assert for_average_value(900.0, 100.0, 4) == 9
    assert for_average_value(300.0, 100.0, 0) == 3


def test_replicas_that_start_count_as_idle_when_utilization_wants_more() -> None:
    # Three ready at 90 % of a target of 30 %: nine. Two that start count as idle: 54 % on five, nine again.
    assert utilization(0.9, 0.3, 5, 3) == 9
    # One ready at twice its target, one that starts: exactly on target.
    assert utilization(1.0, 0.5, 2, 1) == 2
    # Four that start outweigh one at twice its target, which must not turn into fewer.
    assert utilization(1.0, 0.5, 5, 1) == 5


def test_replicas_that_start_count_for_nothing_when_utilization_wants_fewer() -> None:
    assert utilization(0.2, 0.8, 6, 4) == 1


def test_nothing_changes_when_no_replica_is_ready() -> None:
    assert utilization(0.0, 0.8, 3, 0) == 3


def test_replicas_double_or_grow_by_four_when_more_are_wanted_at_once() -> None:
    limits = Limits(Behavior(), 1, 1000)
    assert limits.allowed(0.0, 1, 500) == 5
    assert limits.allowed(15.0, 5, 500) == 10
    assert limits.allowed(30.0, 10, 500) == 20


def test_growth_within_a_period_is_counted_from_its_beginning() -> None:
    limits = Limits(Behavior(up=Direction(0.0, (RatePolicy("Pods", 4, 60.0),))), 1, 1000)
    assert limits.allowed(0.0, 10, 12) == 12
    assert limits.allowed(15.0, 12, 30) == 14
    assert limits.allowed(30.0, 14, 30) == 14
    assert limits.allowed(60.0, 14, 30) == 16


def test_each_policy_counts_from_the_beginning_of_its_own_period() -> None:
    policies = (RatePolicy("Pods", 4, 15.0), RatePolicy("Percent", 10, 60.0))
    limits = Limits(Behavior(up=Direction(0.0, policies)), 1, 1000)
    assert limits.allowed(0.0, 10, 90) == 14
    assert limits.allowed(15.0, 14, 90) == 18


def test_nothing_is_taken_back_when_more_were_added_than_a_period_allows() -> None:
    limits = Limits(Behavior(), 10, 100)
    assert limits.allowed(0.0, 1, 1) == 10
    assert limits.allowed(5.0, 10, 90) == 10
    assert limits.allowed(15.0, 10, 90) == 20


def test_the_largest_wish_of_five_minutes_holds_when_fewer_are_wanted() -> None:
    limits = Limits(Behavior(), 1, 100)
    assert limits.allowed(0.0, 10, 12) == 12
    assert [limits.allowed(15.0 * n, 12, 3) for n in range(1, 20)] == [12] * 19
    assert limits.allowed(300.0, 12, 3) == 3


def test_what_runs_counts_as_a_wish_when_the_controller_starts() -> None:
    limits = Limits(Behavior(), 1, 100)
    assert limits.allowed(0.0, 8, 2) == 8
    assert limits.allowed(285.0, 8, 2) == 8
    assert limits.allowed(300.0, 8, 2) == 2


def test_a_tenth_goes_each_minute_when_the_policy_says_so() -> None:
    # The documentation's example: 80 replicas, 10 % a minute: 72, then 64 (7.2 rounded up).
    limits = Limits(Behavior(down=Direction(0.0, (RatePolicy("Percent", 10, 60.0),))), 1, 100)
    assert limits.allowed(0.0, 80, 10) == 72
    assert limits.allowed(60.0, 72, 10) == 64


def test_bounds_are_kept_when_the_metric_wants_more_or_fewer() -> None:
    assert Limits(Behavior(), 2, 10).allowed(0.0, 9, 50) == 10
    assert Limits(behavior_of(0.0), 2, 10).allowed(0.0, 9, 0) == 2
    assert Limits(Behavior(), 2, 10).allowed(0.0, 1, 1) == 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(1.0, 60.0), st.integers(0, 300)), min_size=1, max_size=60))
def test_limits_follow_the_controllers_loops_when_wishes_come_at_any_time(wishes: list[tuple[float, int]]) -> None:
    behavior = Behavior(
        up=Direction(30.0, (RatePolicy("Pods", 4, 20.0), RatePolicy("Percent", 50, 45.0))),
        down=Direction(120.0, (RatePolicy("Percent", 30, 60.0), RatePolicy("Pods", 2, 10.0))),
    )
    changes: list[tuple[float, int]] = []
    limits, noted, now, current = Limits(behavior, 1, 100), [(0.0, 10)], 0.0, 10
    for gap, wanted in wishes:
        now += gap
        noted.append((now, wanted))
        lower = min([wanted, *(w for at, w in noted if at > now - 30.0)])
        upper = max([wanted, *(w for at, w in noted if at > now - 120.0)])
        if len(noted) == 2:
            lower, upper = min(wanted, 10), max(wanted, 10)
        stable = min(max(current, lower), upper)
        before = {s: current - sum(c for at, c in changes if at > now - s) for s in (10.0, 20.0, 45.0, 60.0)}
        if stable > current:
            most = max(before[20.0] + 4, -(-before[45.0] * 3 // 2), current)
            expected = min(stable, most, 100)
        else:
            expected = max(stable, min(before[60.0] * 7 // 10, before[10.0] - 2, current), 1)
        if len(noted) == 2:
            noted[0] = (now, 10)
        assert limits.allowed(now, current, wanted) == expected
        if expected != current:
            changes.append((now, expected - current))
        current = expected


def test_the_target_is_a_share_of_what_a_replica_carries_when_scaled_on_requests() -> None:
    workload = single_pool()
    policy = Hpa(target=0.5, stabilization_seconds=0.0).start(workload, CPU_INT8)
    rps = 3.4 * carried_rps(workload, CPU_INT8) * 0.5
    assert policy.decide(sight(ToldMeter(rps=rps), 3)).replicas == {CPU_INT8: 4}
    assert policy.decide(sight(ToldMeter(rps=rps), 4)).replicas == {CPU_INT8: 4}


def test_replicas_stay_when_nothing_was_measured() -> None:
    policy = Hpa(stabilization_seconds=0.0).start(single_pool(), CPU_INT8)
    assert policy.decide(sight(ToldMeter(rps=float("nan")), 5)).replicas == {CPU_INT8: 5}
    assert policy.decide(sight(ToldMeter(rps=0.0), 5)).replicas == {CPU_INT8: 1}


def test_the_busy_share_counts_when_scaled_on_utilization() -> None:
    policy = Hpa(metric="busy", target=0.5).start(single_pool(), CPU_INT8)
    assert policy.decide(sight(ToldMeter(busy=0.9), 4)).replicas == {CPU_INT8: 8}
