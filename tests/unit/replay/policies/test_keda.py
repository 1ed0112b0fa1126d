"""KEDA: what an autoscaler does with a query's value, nothing as zero, made-up values, zero and back."""

from typing import Any

from builders import CPU_INT8, idling, single_pool
from meters import ToldMeter, sight
from modelscaler.replay.policies.keda import Fallback, Keda
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.sight import Policy

NOTHING = ToldMeter(rps=float("nan"))


def started(kind: Keda, **overrides: Any) -> Policy:
    return kind.start(single_pool(**overrides), CPU_INT8)


def replicas(policy: Policy, meter: ToldMeter, current: int, seconds: float) -> int:
    return policy.decide(sight(meter, current, seconds=seconds)).replicas[CPU_INT8]


def test_the_value_is_shared_out_by_the_threshold_when_it_is_known() -> None:
    policy = started(Keda(threshold=0.5))
    each = carried_rps(single_pool(), CPU_INT8) * 0.5
    assert replicas(policy, ToldMeter(rps=6.5 * each), 4, 15.0) == 7


def test_nothing_counts_as_zero_when_null_values_are_ignored() -> None:
    # kedacore/keda#3065: a Prometheus that lost its targets scales to the minimum, once the window has passed.
    policy = started(Keda(stabilization_seconds=60.0))
    assert [replicas(policy, NOTHING, 8, seconds) for seconds in (15.0, 45.0, 75.0)] == [8, 8, 1]


def test_nothing_changes_nothing_when_null_values_are_errors() -> None:
    policy = started(Keda(ignore_null_values=False, stabilization_seconds=0.0))
    assert [replicas(policy, NOTHING, 8, 15.0 * n) for n in range(1, 8)] == [8] * 7


def test_the_fallback_is_held_when_errors_exceed_its_threshold() -> None:
    kind = Keda(ignore_null_values=False, stabilization_seconds=0.0, fallback=Fallback(failure_threshold=3, replicas=5))
    policy = started(kind)
    assert [replicas(policy, NOTHING, 8, 15.0 * n) for n in range(1, 6)] == [8, 8, 8, 5, 5]
    assert replicas(policy, ToldMeter(rps=0.0), 5, 90.0) == 1
    assert replicas(policy, NOTHING, 8, 105.0) == 8


def test_it_goes_to_zero_only_when_the_trigger_was_inactive_for_the_cooldown() -> None:
    policy = started(Keda(), idling=idling(300.0))
    assert replicas(policy, ToldMeter(rps=1.0), 1, 30.0) == 1
    assert [replicas(policy, ToldMeter(), 1, 30.0 * n) for n in range(2, 12)] == [1] * 10
    assert replicas(policy, ToldMeter(), 1, 360.0) == 0


def test_it_stays_at_one_when_the_minimum_is_not_zero() -> None:
    policy = started(Keda(), min_replicas=1)
    assert [replicas(policy, ToldMeter(), 1, 60.0 * n) for n in range(1, 20)] == [1] * 19


def test_it_wakes_at_the_next_poll_when_it_sleeps() -> None:
    policy = started(Keda(), idling=idling(300.0))
    assert replicas(policy, ToldMeter(), 0, 30.0) == 0
    assert replicas(policy, ToldMeter(rps=500.0), 0, 45.0) == 0
    assert replicas(policy, ToldMeter(rps=500.0), 0, 60.0) == 1
