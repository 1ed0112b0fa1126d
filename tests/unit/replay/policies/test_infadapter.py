"""InfAdapter's choice against trying everything, and its decisions over time."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import CPU_FULL, CPU_INT8, capacity, placement, workload
from meters import ToldMeter, sight
from modelscaler.domain import PoolKey, VariantOption, Workload
from modelscaler.replay.policies.infadapter import InfAdapter, Option, Solver, options
from modelscaler.replay.sight import Policy, PoolSight, Sight

SMALL = PoolKey("cpu", "small")


def two_variants() -> Workload:
    return workload(
        variants=(VariantOption("full", 0.92), VariantOption("int8", 0.90)),
        placements=(placement("cpu"),),
        capacities=(capacity(CPU_FULL, 20.0), capacity(CPU_INT8, 10.0)),
        max_replicas=20,
    )


def value(solver: Solver, sizes: tuple[int, ...], rps: float, now: tuple[int, ...]) -> float:
    """Return what the authors' objective says of a choice; minus infinity where it does not carry the rate."""
    left, accuracy = rps, 0.0
    for size, option in zip(sizes, solver.options, strict=True):
        taken = min(size * option.rps, left)
        left, accuracy = left - taken, accuracy + taken / rps * option.accuracy
    if left > 1e-9 or accuracy < solver.floor - 1e-9:
        return -float("inf")
    loads = max((size != before for size, before in zip(sizes, now, strict=True) if size), default=False)
    return accuracy - solver.alpha * sum(sizes) / solver.most - solver.beta * loads


@settings(deadline=None)
@given(
    rps=st.floats(1.0, 150.0),
    now=st.tuples(*[st.integers(0, 8)] * 3),
    alpha=st.sampled_from([0.01, 0.04, 0.5]),
    beta=st.sampled_from([0.0, 0.01, 0.2]),
    floor=st.sampled_from([0.0, 0.75, 0.78]),
)
def test_the_choice_is_as_good_as_the_best_of_all_that_are_worth_trying(
    rps: float, now: tuple[int, int, int], alpha: float, beta: float, floor: float
) -> None:
    names = (Option(CPU_FULL, 10.0, 0.78), Option(CPU_INT8, 17.0, 0.76), Option(SMALL, 40.0, 0.70))
    solver = Solver(names, 16, alpha, beta, floor)
    most = min(max(-int(-rps // 10.0), 1), 16)
    every = [sizes for sizes in product(range(most + 1), repeat=3) if 1 <= sum(sizes) <= most]

    chosen = solver.solve(rps, now)

    best = max(value(solver, sizes, rps, now) for sizes in every)
    if best > -float("inf"):
        assert value(solver, chosen, rps, now) == pytest.approx(best)
    else:
        assert chosen == (0, 0, 16)


def test_the_accurate_variant_takes_what_it_can_when_both_run() -> None:
    solver = Solver((Option(CPU_FULL, 10.0, 0.8), Option(CPU_INT8, 20.0, 0.7)), 10, 0.04, 0.0)

    # For 100 rps, n full and the rest int8: 0.7 + 0.01 n - 0.004 (n + ceil(5 - n / 2)); best at 10 full.
    assert solver.solve(100.0, (0, 0)) == (10, 0)
    # At alpha 0.3 a full one costs 0.015 more than the half it saves of an int8 one brings, 0.01.
    assert Solver(solver.options, 10, 0.3, 0.0).solve(100.0, (0, 0)) == (0, 5)


def test_sizes_are_kept_when_loading_would_cost_more_than_they_do() -> None:
    pair = (Option(CPU_FULL, 10.0, 0.8), Option(CPU_INT8, 20.0, 0.7))

    assert Solver(pair, 100, 0.04, 0.0).solve(85.0, (9, 0)) == (9, 0)
    assert Solver(pair, 10, 0.5, 0.3).solve(60.0, (0, 4)) == (0, 4)
    assert Solver(pair, 10, 0.5, 0.0).solve(60.0, (0, 4)) == (0, 3)


def test_the_least_accurate_variant_takes_all_when_nothing_carries_the_rate() -> None:
    assert Solver((Option(CPU_FULL, 10.0, 0.8), Option(CPU_INT8, 20.0, 0.7)), 5, 0.04, 0.01).solve(999.0, (1, 0)) == (
        0,
        5,
    )


def test_only_variants_of_the_planned_placement_that_are_accurate_enough_are_used() -> None:
    assert [option.pool for option in options(two_variants(), CPU_INT8)] == [CPU_FULL, CPU_INT8]


def ask(
    policy: Policy, seconds: float, rps: float, full: tuple[int, int], int8: tuple[int, int] = (0, 0)
) -> dict[PoolKey, int]:
    """Return what a policy wants when it sees (replicas, ready) of two pools."""
    pools = tuple(
        PoolSight(key, replicas, ready, replicas - ready)
        for key, (replicas, ready) in ((CPU_FULL, full), (CPU_INT8, int8))
        if replicas
    )
    return dict(policy.decide(Sight(seconds, pools, None, ToldMeter(rps))).replicas)


def test_old_replicas_stay_until_the_new_ones_are_ready() -> None:
    policy = InfAdapter(alpha=2.0, pad=0.0).start(two_variants(), CPU_FULL)
    ask(policy, 0.0, 70.0, (1, 1))

    wanted = ask(policy, 60.0, 70.0, (1, 1))
    waiting = ask(policy, 65.0, 70.0, (1, 1), (1, 0))
    done = ask(policy, 70.0, 70.0, (1, 1), (1, 1))

    assert wanted == waiting == {CPU_FULL: 1, CPU_INT8: 1}
    assert done == {CPU_INT8: 1}


def test_a_lower_rate_is_followed_when_three_decisions_have_passed() -> None:
    policy = InfAdapter(alpha=0.0001, pad=0.0).start(two_variants(), CPU_FULL)
    sizes = [ask(policy, 60.0 * minute, 30.0, (20, 20))[CPU_FULL] for minute in range(6)]

    assert sizes == [20, 20, 20, 20, 1, 1]


def test_the_forecast_is_the_largest_rate_of_the_last_minutes_and_a_pad() -> None:
    solver = options(two_variants(), CPU_FULL)
    policy = InfAdapter(alpha=0.0001, pad=0.5).start(two_variants(), CPU_FULL)
    for seconds, rps in ((0.0, 1.0), (30.0, 4.0 * solver[0].rps), (35.0, 1.0)):
        ask(policy, seconds, rps, (1, 1))

    assert ask(policy, 60.0, 1.0, (1, 1))[CPU_FULL] == 6


def test_what_is_seen_of_other_pools_is_let_go() -> None:
    policy = InfAdapter().start(two_variants(), CPU_INT8)

    assert policy.decide(sight(ToldMeter(10.0), 3, seconds=0.0)).serving is None
