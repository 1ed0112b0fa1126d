"""The workload variant autoscaler on worked examples of its thresholds and its greedy choices."""

import pytest

from builders import CPU_FULL, CPU_INT8, GPU_INT8, capacity, objective, placement, single_pool, workload
from meters import ToldMeter, sight
from modelscaler.domain import PoolKey, VariantOption
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.policies.wva import Supply, Wva, grown, shrunk, supplies

CHEAP, DEAR = PoolKey("cpu", "a"), PoolKey("gpu", "a")
SUPPLIES = (Supply(CHEAP, 10.0, 1.0, 4), Supply(DEAR, 100.0, 15.0, 10))
"""Cheapest capacity first: 0.1 and 0.15 for a request a second."""


@pytest.mark.parametrize(
    ("required", "now", "most", "expected"),
    [
        (25.0, {CHEAP: 1}, 99, {CHEAP: 4}),
        (5.0, {CHEAP: 1, DEAR: 1}, 99, {CHEAP: 2, DEAR: 1}),
        (90.0, {CHEAP: 1}, 99, {CHEAP: 4, DEAR: 1}),
        (300.0, {CHEAP: 4}, 99, {CHEAP: 4, DEAR: 3}),
        (300.0, {CHEAP: 3}, 5, {CHEAP: 4, DEAR: 1}),
    ],
)
def test_the_cheapest_capacity_grows_first_when_some_is_required(
    required: float, now: dict[PoolKey, int], most: int, expected: dict[PoolKey, int]
) -> None:
    assert grown(SUPPLIES, now, required, most) == expected


@pytest.mark.parametrize(
    ("spare", "now", "expected"),
    [
        (99.0, {CHEAP: 4, DEAR: 2}, {CHEAP: 0, DEAR: 2}),
        (100.0, {CHEAP: 4, DEAR: 2}, {CHEAP: 4, DEAR: 1}),
        (215.0, {CHEAP: 4, DEAR: 2}, {CHEAP: 3, DEAR: 0}),
        (999.0, {CHEAP: 4, DEAR: 2}, {CHEAP: 1, DEAR: 0}),
        (999.0, {DEAR: 2}, {DEAR: 1}),
    ],
)
def test_the_dearest_replicas_go_first_when_some_are_spare_however_much_they_bring(
    spare: float, now: dict[PoolKey, int], expected: dict[PoolKey, int]
) -> None:
    assert shrunk(SUPPLIES, now, spare, 1) == expected


@pytest.mark.parametrize(
    ("engines_worth", "replicas", "ready", "expected"),
    [
        (3.3, 4, 4, 4),  # 3.3 / 0.85 = 3.9 of 4, 3.3 / 0.7 = 4.7
        (3.5, 4, 4, 5),  # 4.1
        (3.5, 5, 4, 5),  # the fifth is on its way
        (2.0, 4, 4, 3),  # 2.9: one is spare
        (2.0, 4, 2, 4),  # those that start are not spare
        (0.0, 4, 4, 1),
        (30.0, 4, 4, 10),
    ],
)
def test_replicas_follow_the_two_thresholds(engines_worth: float, replicas: int, ready: int, expected: int) -> None:
    load = single_pool()
    policy = Wva().start(load, CPU_INT8)
    meter = ToldMeter(engines_worth * carried_rps(load, CPU_INT8))

    assert policy.decide(sight(meter, replicas, ready)).replicas == {CPU_INT8: expected}


def test_variants_below_the_mean_that_is_asked_for_are_left_out_unless_they_are_planned() -> None:
    asked = objective()
    load = workload(objective=type(asked)(asked.percentile, asked.latency_seconds, 0.0, 0.915))

    assert {supply.pool.variant for supply in supplies(load, CPU_FULL)} == {"full"}
    assert CPU_INT8 in {supply.pool for supply in supplies(load, CPU_INT8)}


def test_capacity_is_sorted_by_its_price() -> None:
    load = workload(
        variants=(VariantOption("int8", 0.9),),
        placements=(placement("cpu", 0.1, max_replicas=3), placement("gpu", 0.2)),
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0)),
    )

    found = supplies(load, CPU_INT8)

    assert [(supply.pool, supply.most) for supply in found] == [(GPU_INT8, 10), (CPU_INT8, 3)]
