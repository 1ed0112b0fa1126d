"""KPA on the cases of its own tests (knative/serving, pkg/autoscaler/scaling/autoscaler_test.go, commit 01f103e)."""

import pytest

from builders import CPU_INT8, single_pool
from meters import ToldMeter, sight
from modelscaler.replay.policies.knative import Knative, Scaler
from modelscaler.replay.policies.knowledge import carried_concurrency, carried_rps

TENFOLD = Knative(up_rate=10.0, down_rate=10.0)


@pytest.mark.parametrize(
    ("target", "ready", "stable", "panic", "kind", "expected"),
    [
        (10.0, 1, 50.0, 50.0, TENFOLD, 5),
        (10.0, 5, 50.0, 50.0, TENFOLD, 5),
        (10.0, 1, 50.0, 100.0, TENFOLD, 10),
        (1.0, 2, 3.0, 3.1, Knative(up_rate=1.1, down_rate=10.0), 3),
        (10.0, 100, 1.0, 1.0, Knative(up_rate=10.0, down_rate=1.1), 90),
        (10.0, 1, 1000.0, 1001.0, TENFOLD, 10),
        (10.0, 100, 1.0, 1.0, TENFOLD, 10),
        (10.0, 0, 1000.0, 888.0, TENFOLD, 10),
        (10.0, 8, 100.0, 100.0, TENFOLD, 10),
    ],
)
def test_pods_follow_the_makers_table(
    target: float, ready: int, stable: float, panic: float, kind: Knative, expected: int
) -> None:
    assert Scaler(kind, target).scale(0.0, ready, stable, panic) == expected


@pytest.mark.parametrize(("stable", "expected"), [(50.0, 50), (20.0, 30)])
def test_the_larger_of_both_windows_counts_when_in_panic(stable: float, expected: int) -> None:
    assert Scaler(TENFOLD, 1.0, panic_since=-5.0, panic_pods=5).scale(0.0, 5, stable, 30.0) == expected


def test_panic_ends_a_stable_window_after_the_threshold_was_last_exceeded() -> None:
    scaler = Scaler(TENFOLD, 1.0)
    assert scaler.scale(0.0, 10, 11.0, 25.0) == 25
    assert scaler.scale(30.0, 40, 30.0, 41.0) == 41
    assert scaler.panic_since == 0.0
    assert scaler.scale(60.0, 55, 50.0, 56.0) == 56
    assert scaler.scale(62.0, 55, 50.0, 56.0) == 50
    assert scaler.panic_since is None


def test_panic_is_prolonged_when_the_surge_goes_on() -> None:
    scaler = Scaler(TENFOLD, 1.0)
    assert scaler.scale(0.0, 10, 11.0, 25.0) == 25
    assert scaler.scale(30.0, 40, 30.0, 80.0) == 80
    assert scaler.panic_since == 30.0


def test_nothing_is_removed_when_in_panic() -> None:
    scaler = Scaler(TENFOLD, 10.0)
    assert scaler.scale(0.0, 10, 100.0, 1000.0) == 100
    assert scaler.scale(30.0, 10, 1.0, 1.0) == 100
    assert scaler.scale(61.0, 10, 1.0, 1.0) == 1


def test_the_largest_wish_holds_when_scaling_down_is_delayed() -> None:
    scaler = Scaler(Knative(up_rate=10.0, down_rate=10.0, panic_threshold=100.0, down_delay_seconds=300.0), 10.0)
    assert scaler.scale(2.0, 0, 40.0, 40.0) == 4
    assert scaler.scale(300.0, 0, 0.0, 0.0) == 4
    assert scaler.scale(302.0, 0, 0.0, 0.0) == 0
    assert scaler.scale(540.0, 0, 40.0, 40.0) == 4
    assert scaler.scale(600.0, 0, 30.0, 30.0) == 4
    assert scaler.scale(660.0, 0, 0.0, 0.0) == 4
    assert scaler.scale(840.0, 0, 0.0, 0.0) == 3
    assert scaler.scale(900.0, 0, 0.0, 0.0) == 0


@pytest.mark.parametrize(("ready", "expected"), [(0, None), (1, None), (2, 7.0)])
def test_it_begins_in_panic_when_more_than_one_pod_is_ready(ready: int, expected: float | None) -> None:
    scaler = Scaler(TENFOLD, 100.0)
    scaler.begin(7.0, ready)
    assert (scaler.panic_since, scaler.panic_pods) == (expected, ready)


def test_at_most_half_of_the_ready_pods_go_when_nothing_comes() -> None:
    assert Scaler(Knative(), 10.0).scale(0.0, 9, 0.0, 0.0) == 4


def test_both_windows_are_read_when_it_decides() -> None:
    workload = single_pool(max_replicas=100)
    each = 0.7 * carried_rps(workload, CPU_INT8)
    policy = Knative(metric="rps").start(workload, CPU_INT8)
    calm = ToldMeter(rps=3.5 * each, brief_rps=3.5 * each)
    assert policy.decide(sight(calm, 4, seconds=0.0)).replicas == {CPU_INT8: 4}
    surge = ToldMeter(rps=3.5 * each, brief_rps=20.5 * each)
    assert policy.decide(sight(surge, 4, seconds=2.0)).replicas == {CPU_INT8: 21}


def test_nothing_is_removed_in_the_first_minute_when_pods_are_there_from_the_start() -> None:
    policy = Knative(metric="rps").start(single_pool(), CPU_INT8)
    for seconds in (0.0, 2.0, 60.0):
        assert policy.decide(sight(ToldMeter(rps=1.0), 4, seconds=seconds)).replicas == {CPU_INT8: 4}
    assert policy.decide(sight(ToldMeter(rps=1.0), 4, seconds=62.0)).replicas == {CPU_INT8: 2}


def test_concurrency_is_measured_against_what_a_loaded_replica_has_in_it() -> None:
    workload = single_pool()
    each = carried_concurrency(workload, CPU_INT8, 0.5)
    policy = Knative(utilization=0.5).start(workload, CPU_INT8)
    assert policy.decide(sight(ToldMeter(ongoing=4.5 * each), 1)).replicas == {CPU_INT8: 5}
