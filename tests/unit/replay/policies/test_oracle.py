"""The clairvoyant: its minimum, asking in time, and the optimum by two ways."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import CPU_INT8, NOW, placement, single_pool
from meters import ToldMeter, sight
from modelscaler.backtest.trace import Ints
from modelscaler.domain import Floats
from modelscaler.replay.load import Load
from modelscaler.replay.policies.knowledge import carried_rps
from modelscaler.replay.policies.oracle import (
    Oracle,
    asked_ahead,
    clairvoyant_hourly_cost,
    fewest_replicas,
)

EACH = carried_rps(single_pool(), CPU_INT8)
Needs = st.lists(st.integers(0, 4), min_size=1, max_size=4)


def load_of_ticks(*replicas: float) -> Load:
    """Return a load that needs so many replicas, fractions too, in ticks of 15 s."""
    counts = np.repeat([np.floor(each * EACH * 0.25) for each in replicas], 60).astype(np.int64)
    return Load("test", NOW, 0.25, counts, np.zeros(len(counts)))


def price(sizes: Ints, first: int, start_cost: float) -> float:
    added = np.diff(np.concatenate([[first], sizes]))
    return float(sizes.sum() + start_cost * np.maximum(added, 0).sum())


def test_the_minimum_is_what_arrives_over_what_a_replica_carries_rounded_up() -> None:
    load = load_of_ticks(0.5, 1.5, 2.9, 20.0, 0.0)
    assert fewest_replicas(load, single_pool(max_replicas=10), CPU_INT8).tolist() == [1, 2, 3, 10, 1]
    assert fewest_replicas(load, single_pool(max_replicas=50, min_replicas=0), CPU_INT8).tolist() == [1, 2, 3, 20, 0]


def test_the_unit_of_cost_is_the_mean_minimum_times_the_price() -> None:
    load, workload = load_of_ticks(0.5, 1.5, 2.9, 3.9), single_pool(placements=(placement("cpu", hourly_cost=0.2),))
    assert clairvoyant_hourly_cost(load, workload, CPU_INT8) == pytest.approx(2.5 * 0.2)
    assert clairvoyant_hourly_cost(load, workload, CPU_INT8, from_seconds=30.0) == pytest.approx(3.5 * 0.2)


def test_replicas_are_asked_for_before_they_are_needed() -> None:
    assert asked_ahead(np.array([1, 1, 1, 4, 1, 1, 2]), 2).tolist() == [1, 4, 4, 4, 2, 2, 2]


def cheapest_sizes(needed: Ints, first: int, start_cost: float) -> Ints:
    """Return the sizes of least cost that are never below what is needed, shape (ticks,).

    Cost is a replica's for each tick plus `start_cost` for each that is added. The cost to go is convex in the replicas, so
    it is least to go up to a lower bound, down to an upper one, and else to stay; the bounds are found from the end.

    Args:
        needed: Replicas needed at each tick.
        first: Replicas before the first tick.
        start_cost: What adding a replica costs, in ticks of a replica.
    """
    most = max(int(needed.max(initial=0)), first)
    replicas: Floats = np.arange(most + 1, dtype=np.float64)
    bounds = np.empty((len(needed), 2), dtype=np.int64)
    to_go = np.zeros(most + 1)
    for tick in range(len(needed) - 1, -1, -1):
        cost = to_go + replicas
        cost[: needed[tick]] = np.inf
        low, high = int(np.argmin(cost + start_cost * replicas)), int(np.argmin(cost))
        bounds[tick] = low, high
        to_go = cost
        to_go[:low] = cost[low] + start_cost * (low - replicas[:low])
        to_go[high + 1 :] = cost[high]
    sizes, size = np.empty(len(needed), dtype=np.int64), first
    for tick, (low, high) in enumerate(bounds.tolist()):
        size = min(max(size, low), high)
        sizes[tick] = size
    return sizes


def test_a_replica_stays_when_it_is_needed_again_before_another_could_start() -> None:
    assert cheapest_sizes(np.array([2, 1, 1, 2, 1, 1, 1, 1, 2]), 2, 3.0).tolist() == [2, 2, 2, 2, 1, 1, 1, 1, 2]


@settings(deadline=None)
@given(Needs, st.integers(0, 4), st.floats(0.0, 5.0))
def test_no_sizes_are_cheaper_when_all_are_tried(needs: list[int], first: int, start_cost: float) -> None:
    needed = np.array(needs)
    found = cheapest_sizes(needed, first, start_cost)
    assert (found >= needed).all()
    enough = product(*(range(least, max(*needs, first) + 1) for least in needs))
    assert price(found, first, start_cost) == pytest.approx(
        min(price(np.array(sizes), first, start_cost) for sizes in enough)
    )


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 8))
def test_asking_ahead_costs_what_the_programme_says_when_starting_is_all_that_costs(
    needs: list[int], start_ticks: int
) -> None:
    needed = np.array(needs)
    asked = asked_ahead(needed, start_ticks)
    sizes = cheapest_sizes(needed, int(asked[0]), float(start_ticks))
    # In the programme a replica that is added pays for its start at once; whoever asks ahead pays while it starts.
    assert price(sizes, int(asked[0]), float(start_ticks)) == pytest.approx(float(asked.sum()))


def test_the_policy_has_replicas_ready_when_the_load_comes() -> None:
    load = load_of_ticks(*[1.0] * 8, *[5.5] * 4, *[1.0] * 4)
    workload = single_pool(placements=(placement("cpu", start_seconds=30.0),))
    policy = Oracle(load).start(workload, CPU_INT8)
    asked = [
        policy.decide(sight(ToldMeter(), 1, seconds=15.0 * tick)).replicas[CPU_INT8]
        for tick in range(len(load.counts) // 60)
    ]
    # 33 s at most to start: asked for three ticks before, and a tick to be sure.
    assert asked == [1] * 4 + [6] * 8 + [1] * 4
