from datetime import timedelta

import pytest

from builders import CPU_INT8, NOW, observation, pool, rules, single_pool
from modelscaler.api.words import Binding
from modelscaler.domain import PolicyState, RateLimit, Workload
from modelscaler.planner.behavior import KEPT, History, limit_change, remember, with_change
from modelscaler.planner.plan import plan

PODS_2 = RateLimit("Pods", 2, 60.0)
PERCENT_50 = RateLimit("Percent", 50, 60.0)
Ago = tuple[tuple[float, int], ...]


def limited(
    spec: Workload, current: int, wanted: int, recommended: Ago = (), changed: Ago = ()
) -> tuple[int, Binding | None]:
    """Histories are (seconds ago, value)."""
    return limit_change(spec, current, wanted, dated(recommended), dated(changed), NOW)


def dated(history: Ago) -> History:
    return tuple((NOW - timedelta(seconds=ago), value) for ago, value in history)


def test_change_is_free_when_there_are_no_rules() -> None:
    spec = single_pool(scale_down=rules(0.0))

    assert limited(spec, 2, 9) == (9, None)
    assert limited(spec, 9, 2) == (2, None)


def test_highest_recommendation_of_the_window_holds_when_scaling_down() -> None:
    spec = single_pool(scale_down=rules(300.0))

    assert limited(spec, 8, 2, recommended=((310.0, 9), (290.0, 6), (20.0, 3))) == (6, Binding.STABILIZATION)
    assert limited(spec, 8, 2, recommended=((310.0, 9),)) == (2, None)


def test_lowest_recommendation_of_the_window_holds_when_scaling_up() -> None:
    spec = single_pool(scale_up=rules(60.0))

    assert limited(spec, 2, 8, recommended=((50.0, 4), (10.0, 6))) == (4, Binding.STABILIZATION)


@pytest.mark.parametrize(
    ("select", "current", "expected"),
    [("Max", 2, 4), ("Max", 10, 15), ("Min", 2, 3), ("Min", 10, 12), ("Disabled", 10, 10)],
)
def test_policies_limit_the_step_when_scaling_up(select: str, current: int, expected: int) -> None:
    spec = single_pool(max_replicas=100, scale_up=rules(0.0, PODS_2, PERCENT_50, select=select))

    assert limited(spec, current, 50) == (expected, Binding.SCALE_UP_RATE)


@pytest.mark.parametrize(
    ("select", "current", "expected"), [("Max", 10, 5), ("Max", 3, 1), ("Min", 10, 8), ("Disabled", 10, 10)]
)
def test_policies_limit_the_step_when_scaling_down(select: str, current: int, expected: int) -> None:
    spec = single_pool(scale_down=rules(0.0, PODS_2, PERCENT_50, select=select))

    assert limited(spec, current, 1)[0] == expected


def test_earlier_changes_count_when_they_are_within_the_period() -> None:
    spec = single_pool(scale_up=rules(0.0, PODS_2))

    assert limited(spec, 5, 9, changed=((30.0, 2),)) == (5, Binding.SCALE_UP_RATE)
    assert limited(spec, 5, 9, changed=((30.0, 1),)) == (6, Binding.SCALE_UP_RATE)
    assert limited(spec, 5, 9, changed=((61.0, 2),)) == (7, Binding.SCALE_UP_RATE)


def test_period_counts_from_its_start_when_replicas_went_up_and_down() -> None:
    spec = single_pool(scale_up=rules(0.0, PODS_2))

    assert limited(spec, 5, 9, changed=((50.0, 2), (20.0, -2)))[0] == 7


def test_limits_win_when_the_window_would_hold_more_than_they_allow() -> None:
    spec = single_pool(max_replicas=3, scale_down=rules(300.0, RateLimit("Pods", 1, 600.0)))
    made, _ = plan(spec, observation(10.0, pool(CPU_INT8, 8)), None, PolicyState(active=CPU_INT8), 15.0)

    assert made.target.replicas == 3


def test_window_is_filled_by_plans_when_the_demand_falls() -> None:
    spec, state, replicas = single_pool(scale_down=rules(60.0)), PolicyState(active=CPU_INT8), []
    for tick in range(8):
        seen = observation(400.0 if tick < 2 else 50.0, pool(CPU_INT8, 5), now=NOW + timedelta(seconds=15 * tick))
        made, state = plan(spec, seen, None, state, 15.0)
        replicas.append(made.target.replicas)

    assert replicas == [5, 5, 5, 5, 5, 1, 1, 1], "a minute after the last tick that asked for five"


def test_history_is_thinned_and_bounded_when_it_grows() -> None:
    history: History = ()
    for tick in range(500):
        now = NOW + timedelta(seconds=tick)
        history = remember(history, (now, tick // 100), now, 10_000.0)

    assert [replicas for _, replicas in history] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_every_change_counts_when_equal_ones_follow_each_other() -> None:
    changes: History = ()
    for ago in (45.0, 30.0, 15.0):
        changes = with_change(changes, (NOW - timedelta(seconds=ago), 1), NOW, 60.0)

    assert limit_change(single_pool(scale_up=rules(0.0, RateLimit("Pods", 3, 60.0))), 5, 9, (), changes, NOW)[0] == 5


def test_no_change_is_lost_when_there_are_too_many_to_keep() -> None:
    changes: History = ()
    for tick in range(500):
        changes = with_change(changes, (NOW + timedelta(seconds=tick), 1), NOW, 10_000.0)

    assert len(changes) == KEPT
    assert sum(change for _, change in changes) == 500
