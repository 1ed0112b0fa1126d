"""Two pools at once: their sizes against plain enumeration, when they are taken, and when they are left."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    CPU_FULL,
    CPU_INT8,
    GPU_FULL,
    NOW,
    capacity,
    choice,
    forecast,
    observation,
    outage,
    placement,
    pool,
    rules,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason, GrantReason
from modelscaler.domain import (
    Absent,
    Allowance,
    Demand,
    Observation,
    Plan,
    PolicyState,
    PoolKey,
    PoolObservation,
    QuantileForecast,
    RateLimit,
    RouteObservation,
    Side,
    SourceError,
    Value,
    VariantOption,
    Workload,
)
from modelscaler.planner.candidates import candidates
from modelscaler.planner.choice import Option, Past, options
from modelscaler.planner.demand import load_from
from modelscaler.planner.pairing import Mix, Need, cheapest, is_accurate, need_of
from modelscaler.planner.plan import plan
from modelscaler.planner.transition import next_step
from modelscaler.planner.weighing import Weighed, weigh
from modelscaler.planner.wording import loss_alone

PRICY = (placement("cpu", 0.1, 20.0), placement("gpu", 0.3, 60.0, max_replicas=1))
CPU, GPU = placement("cpu", 0.25, 20.0), placement("gpu", 1.0, 60.0, accelerator="example.com/gpu")
ACCEPTED = RouteObservation(accepted=True)
OUTRANKED = Allowance("gpu", 1, 2, GrantReason.OUTRANKED)
ON_GPU = PolicyState(active=GPU_FULL, planned_generation=1)
BESIDE = replace(ON_GPU, side=Side(CPU_FULL, NOW - timedelta(seconds=60)))


def spec(**overrides: Any) -> Workload:
    """Return a workload whose GPU carries 235 rps for 1 per hour and whose CPU carries 41 for 0.25."""
    fields: dict[str, Any] = {
        "routed": True,
        "variants": (VariantOption("full", 0.92),),
        "placements": (CPU, GPU),
        "capacities": (capacity(CPU_FULL, 20.0), capacity(GPU_FULL, 4.0)),
        "max_replicas": 20,
        "scale_down": rules(0.0),
    }
    return workload(**(fields | overrides))


def planned(
    offered: float | None,
    state: PolicyState,
    *pools: PoolObservation,
    asked: Workload | None = None,
    ahead: QuantileForecast | None = None,
    **overrides: Any,
) -> Plan:
    seen = seen_by_gateway(offered, *pools, **overrides)
    return plan(asked or spec(), seen, ahead, state, 15.0)[0]


def seen_by_gateway(offered: float | None, *pools: PoolObservation, **overrides: Any) -> Observation:
    fields: dict[str, Any] = {"selected": GPU_FULL, "route": ACCEPTED}
    return observation(offered, *pools, **(fields | overrides))


def sizes(made: Plan) -> tuple[int, int | None]:
    return made.target.replicas, made.side.replicas if made.side else None


def pair(asked: Workload, rps: float) -> tuple[Option, Option]:
    seen = seen_by_gateway(rps)
    listed = options(candidates(asked, seen, ON_GPU), load_from(asked, seen, None, 0.0), 15.0, Past(GPU_FULL))
    by_pool = {option.candidate.pool: option for option in listed}
    return by_pool[GPU_FULL], by_pool[CPU_FULL]


# --- sizes

PRICES = st.sampled_from([0.01, 0.1, 0.25, 0.6, 1.0, 2.0])


@settings(deadline=None)
@given(
    rps=st.integers(1, 3000).map(float),
    prices=st.tuples(PRICES, PRICES),
    most=st.integers(1, 12),
    budget=st.sampled_from([None, 2.0, 3.5, 7.0]),
    slow_cpu=st.booleans(),
    fewest=st.integers(1, 3),
)
def test_sizes_are_the_cheapest_of_all_when_enumerated(
    rps: float, prices: tuple[float, float], most: int, budget: float | None, slow_cpu: bool, fewest: int
) -> None:
    asked = spec(
        placements=(placement("cpu", prices[0], 90.0 if slow_cpu else 20.0), placement("gpu", prices[1], 60.0)),
        max_replicas=max(most, fewest),
        min_replicas=fewest,
        max_hourly_cost=budget,
    )
    base, side = pair(asked, rps)
    made = cheapest(asked, base, side, need_of(base, side, 0.0))
    every = [
        Mix(base, side, b, s)
        for b, s in product(range(1, asked.max_replicas + 1), range(asked.max_replicas + 1))
        if fewest <= b + s <= asked.max_replicas
    ]
    able = [mix for mix in every if carries(mix, rps) and (budget is None or mix.hourly_cost <= budget + 1e-9)]

    assert made.feasible is bool(able)
    if able:
        assert made.hourly_cost == pytest.approx(min(mix.hourly_cost for mix in able))
        assert carries(made, rps)
        assert fewest <= made.base_replicas + made.side_replicas <= asked.max_replicas
        assert budget is None or made.hourly_cost <= budget + 1e-9


def carries(mix: Mix, rps: float) -> bool:
    base, side = mix.base.candidate, mix.side.candidate
    own = mix.base_replicas * base.rps_per_replica + mix.side_replicas * side.rps_per_replica
    return own >= rps * (1.0 - 1e-9)


@settings(deadline=None)
@given(st.floats(1.0, 2000.0), st.floats(1.0, 1.5))
def test_more_demand_never_means_less_capacity_when_two_pools_share_it(rps: float, growth: float) -> None:
    asked = spec()
    base, side = pair(asked, rps)
    low, high = (cheapest(asked, base, side, Need(rps * g, rps * g, rps * g)) for g in (1.0, growth))

    assert own_rps(high) >= own_rps(low) - 1e-6


def own_rps(mix: Mix) -> float:
    base, side = mix.base.candidate, mix.side.candidate
    return mix.base_replicas * base.rps_per_replica + mix.side_replicas * side.rps_per_replica


def test_mean_accuracy_is_kept_when_the_cheaper_pool_answers_worse() -> None:
    worse = PoolKey("cpu", "int8")
    asked = spec(
        variants=(VariantOption("full", 0.92), VariantOption("int8", 0.90)),
        capacities=(capacity(worse, 20.0), capacity(GPU_FULL, 4.0)),
        objective=replace(spec().objective, min_mean_accuracy=0.915),
    )
    seen = seen_by_gateway(500.0)
    listed = options(candidates(asked, seen, ON_GPU), load_from(asked, seen, None, 0.0), 15.0, Past(GPU_FULL))
    side, base = sorted(listed, key=lambda o: o.candidate.pool)
    free = cheapest(replace(asked, objective=spec().objective), base, side, need_of(base, side, 0.0))
    kept = cheapest(asked, base, side, need_of(base, side, 0.0))

    assert is_accurate(asked, kept)
    assert kept.accuracy >= 0.915
    assert kept.hourly_cost >= free.hourly_cost
    assert not is_accurate(replace(asked, reflex=True), kept), "its servers may use up what the base is above the floor"


# --- taking a second pool


def test_side_pool_is_started_at_once_when_load_outgrows_the_base_a_little() -> None:
    made = planned(260.0, ON_GPU, pool(GPU_FULL, 1))

    assert (sizes(made), made.reason, made.hourly_cost) == ((1, 1), DecisionReason.MEASURED_DEMAND, 1.25)
    assert made.runner_up is not None
    assert made.runner_up.replicas == 2
    assert made.why_not_runner_up == "alone it would cost 2 per hour instead of 1.25"
    assert made.message == (
        "measured 260 rps; gpu-full carries 235 rps per replica and cpu-full 40.8: 1 x gpu-full serve, "
        "1 x cpu-full beside them get 15 % of the requests"
    )


@pytest.mark.parametrize("unknown", [{"queued": Absent()}, {"queued": SourceError("NaN")}])
def test_side_pool_is_started_also_when_nobody_knows_how_many_requests_wait(unknown: dict[str, Any]) -> None:
    assert sizes(planned(260.0, ON_GPU, pool(GPU_FULL, 1), **unknown)) == (1, 1)


@pytest.mark.parametrize(
    "why",
    [
        {"asked": spec(routed=False)},
        {"route": None},
        {"route": RouteObservation(accepted=False)},
        {"state": replace(ON_GPU, outages=(outage(CPU_FULL, NOW + timedelta(minutes=1)),))},
    ],
)
def test_one_pool_grows_when_requests_cannot_be_shared(why: dict[str, Any]) -> None:
    state = why.pop("state", ON_GPU)

    assert sizes(planned(260.0, state, pool(GPU_FULL, 1), **why)) == (2, None)


def test_one_pool_grows_when_two_would_save_too_little() -> None:
    assert sizes(planned(380.0, ON_GPU, pool(GPU_FULL, 1))) == (2, None)


def test_base_is_not_left_when_it_carries_the_load_with_another_beside_it() -> None:
    few = spec(placements=(CPU, replace(GPU, max_replicas=1)))
    made = planned(420.0, ON_GPU, pool(GPU_FULL, 1), asked=few)

    assert (made.target.pool, sizes(made)) == (GPU_FULL, (1, 5))
    assert made.target.feasible


def test_base_waits_when_the_other_pool_could_start_in_time_for_what_is_forecast() -> None:
    """The GPU's own horizon (60 s and the lead) reaches the peak, the CPU's (20 s) does not yet."""
    rising = forecast([200.0] * 4 + [400.0] * 236)
    made = planned(200.0, ON_GPU, pool(GPU_FULL, 1), ahead=rising, asked=spec(scale_down=rules(300.0)))

    assert sizes(made) == (1, 0)
    assert sizes(planned(200.0, ON_GPU, pool(GPU_FULL, 1), ahead=rising, asked=spec(routed=False))) == (2, None)


def test_a_dearer_base_is_replaced_only_when_the_saving_has_paid_for_the_start() -> None:
    pools = (pool(GPU_FULL, 2),)
    waits = planned(260.0, ON_GPU, *pools)
    state = replace(ON_GPU, mix_better_since=NOW - timedelta(seconds=30))

    assert (sizes(waits), waits.side) == ((2, None), None)
    assert sizes(planned(260.0, state, *pools)) == (1, 1)


# --- why one pool alone lost

REMEMBERED = {
    "asked": spec(scale_down=rules(300.0)),
    "state": replace(BESIDE, side_recommendations=((NOW - timedelta(seconds=100), 9),)),
}


@pytest.mark.parametrize(
    ("pools", "case", "lost_by", "why_not"),
    [
        ((1, 1), {}, Binding.COST, "alone it would cost 2 per hour instead of 1.25"),
        ((1, 7), {"latency": Value(5.0, NOW)}, Binding.OBJECTIVE, "two stay for now, held while the latency objective"),
        ((2, 5), {"offered": SourceError("NaN")}, Binding.METRICS, "two stay for now, held while metrics are missing"),
        ((1, 1), {"asked": spec(placements=(CPU, replace(GPU, max_replicas=1)))}, Binding.MAX_REPLICAS, "rps short"),
        ((1, 1), {"allowances": (OUTRANKED,)}, Binding.HIGHER_PRIORITY, "1 of 2 example.com/gpu: higher priority"),
        ((1, 6), {"offered": 450.0}, Binding.SWITCH_COST, "cheaper alone, but not for long enough to pay for a switch"),
        ((1, 3), REMEMBERED | {"offered": 150.0}, Binding.COST, "alone it would cost 2 per hour instead of 1.75"),
    ],
)
def test_the_serving_pool_says_why_it_lost_when_two_are_planned(
    pools: tuple[int, int], case: dict[str, Any], lost_by: Binding, why_not: str
) -> None:
    made, told = weighed(pool(GPU_FULL, pools[0]), pool(CPU_FULL, pools[1]), **case)

    assert made.side is not None
    assert told[0].mix is not None
    assert [one.lost_by is None for one in told] == [True, False, False]
    (alone,) = [one for one in told[1:] if one.option.candidate.pool == GPU_FULL]
    assert alone.lost_by == lost_by
    assert why_not in str(alone.why_not)


def weighed(
    *pools: PoolObservation,
    asked: Workload | None = None,
    offered: Any = 260.0,
    state: PolicyState = BESIDE,
    **overrides: Any,
) -> tuple[Plan, tuple[Weighed, ...]]:
    asked, seen = asked or spec(), seen_by_gateway(offered, *pools, **overrides)
    return plan(asked, seen, None, state, 15.0)[0], weigh(asked, seen, None, state, 15.0)


@pytest.mark.parametrize(
    ("accuracy", "lost_by", "why_not"),
    [
        (0.92, Binding.SWITCH_COST, "alone it would be hardly cheaper, and a switch has a price"),
        (0.91, Binding.ACCURACY, "alone it would be hardly cheaper, and accuracy 0.91 instead of 0.92"),
    ],
)
def test_one_pool_says_that_it_is_hardly_better_when_it_costs_nearly_as_much_as_two(
    accuracy: float, lost_by: Binding, why_not: str
) -> None:
    base, side = pair(spec(), 260.0)
    near = base._replace(hourly_cost=1.2, candidate=replace(base.candidate, accuracy=accuracy))
    lost = loss_alone(spec(), seen_by_gateway(260.0), BESIDE, Mix(base, side, 1, 1), Binding.DEMAND, near)

    assert (lost.word, lost.text) == (lost_by, why_not)


# --- while two serve


def test_both_pools_are_kept_when_the_load_is_not_known() -> None:
    made = planned(None, BESIDE, pool(GPU_FULL, 2), pool(CPU_FULL, 3))

    assert (sizes(made), made.reason, made.binding) == ((2, 3), DecisionReason.METRICS_MISSING, Binding.METRICS)


def test_side_follows_the_load_and_the_base_keeps_its_size_when_load_rises() -> None:
    assert sizes(planned(340.0, BESIDE, pool(GPU_FULL, 1), pool(CPU_FULL, 1))) == (1, 3)


@pytest.mark.parametrize("rise", [2.0, 50.0])
def test_side_is_ready_for_what_the_load_rises_to_as_far_as_it_can_be(rise: float) -> None:
    level, made = (
        planned(
            340.0,
            BESIDE,
            pool(GPU_FULL, 1),
            pool(CPU_FULL, 3),
            asked=spec(max_replicas=8),
            rise_rps_per_second=each,
        )
        for each in (0.0, rise)
    )

    assert sizes(level) == (1, 3)
    assert made.side is not None
    assert 3 < made.side.replicas <= 7
    assert made.reason is DecisionReason.MEASURED_DEMAND, "feasible: the load itself is carried"


def test_nothing_is_taken_away_when_users_wait_too_long() -> None:
    slow = observation(0.0).latency, observation(5.0).offered
    made = planned(150.0, BESIDE, pool(GPU_FULL, 1), pool(CPU_FULL, 3), latency=slow[1])

    assert (sizes(made), made.binding) == ((1, 3), Binding.OBJECTIVE)


def test_side_is_held_when_the_scale_down_window_remembers_more() -> None:
    state = replace(BESIDE, side_recommendations=((NOW - timedelta(seconds=100), 9),))
    made = planned(250.0, state, pool(GPU_FULL, 1), pool(CPU_FULL, 3), asked=spec(scale_down=rules(300.0)))

    assert sizes(made) == (1, 3)


def test_growth_is_limited_for_both_pools_together_when_a_rate_policy_says_so() -> None:
    limited = spec(scale_up=rules(0.0, RateLimit("Pods", 2, 60.0)))
    made = planned(460.0, BESIDE, pool(GPU_FULL, 1), pool(CPU_FULL, 1), asked=limited)

    assert (sizes(made), made.binding) == ((1, 3), Binding.SCALE_UP_RATE)


def test_two_pools_shrink_to_the_maximum_at_once_when_a_rate_policy_would_be_slower() -> None:
    slow = spec(max_replicas=10, scale_down=rules(0.0, RateLimit("Pods", 1, 60.0)))
    made = planned(650.0, BESIDE, pool(GPU_FULL, 2), pool(CPU_FULL, 10), asked=slow)

    assert sizes(made) == (2, 8)


def test_cpus_bridge_the_start_of_a_base_replica_when_it_is_not_ready_yet() -> None:
    state = replace(BESIDE, mix_better_since=NOW - timedelta(hours=1))
    made = planned(500.0, state, pool(GPU_FULL, 2, ready=1), pool(CPU_FULL, 1))

    assert sizes(made) == (2, 7)


def test_side_is_not_relied_on_when_none_of_its_replicas_can_run() -> None:
    dark = pool(CPU_FULL, 2, ready=0, unschedulable=2, unready_seconds=60.0, failure="Unschedulable")

    assert sizes(planned(260.0, BESIDE, pool(GPU_FULL, 1), dark)) == (2, None)


def test_a_replica_that_waits_for_a_node_is_not_withdrawn_when_the_rest_runs() -> None:
    partly = pool(CPU_FULL, 3, ready=2, unschedulable=1, unready_seconds=60.0, failure="Unschedulable")
    made = planned(340.0, BESIDE, pool(GPU_FULL, 1), partly, asked=spec(placements=(CPU, replace(GPU, max_replicas=1))))

    assert (sizes(made), made.binding, made.target.feasible) == ((1, 3), Binding.AVAILABILITY, False)


@settings(deadline=None)
@given(st.floats(1.0, 2500.0), st.integers(1, 4), st.integers(0, 8), st.booleans())
def test_a_mix_is_never_dearer_than_one_pool_by_its_own_account(rps: float, base: int, side: int, beside: bool) -> None:
    pools = (pool(GPU_FULL, base), pool(CPU_FULL, side)) if beside and side else (pool(GPU_FULL, base),)
    made = planned(rps, BESIDE if beside else ON_GPU, *pools)
    alone = made.runner_up

    if made.side is not None and not beside and alone is not None and alone.feasible:
        assert made.hourly_cost <= alone.hourly_cost + 1e-9
    if made.target.feasible and made.side is not None:
        rates = {c.pool: c.rps_per_replica for c in candidates(spec(), seen_by_gateway(rps), ON_GPU)}
        own = made.target.replicas * rates[made.target.pool] + made.side.replicas * rates[made.side.pool]
        assert own >= rps * (1.0 - 1e-9)


def test_two_pools_stay_within_the_budget_when_the_objective_is_missed_and_the_load_grows() -> None:
    seen: dict[str, Any] = {
        "latency": Value(2.0, NOW),
        "route": RouteObservation(accepted=True, side=CPU_FULL, side_share=0.4),
    }
    made = planned(650.0, BESIDE, pool(GPU_FULL, 1), pool(CPU_FULL, 4), asked=spec(max_hourly_cost=3.0), **seen)

    assert made.hourly_cost <= 3.0


def test_same_plan_is_made_again_when_it_gives_up_the_pool_beside_for_what_both_remember() -> None:
    asked = spec(min_replicas=3, max_replicas=3, max_hourly_cost=0.5, placements=PRICY, scale_down=rules(60.0))
    both = replace(BESIDE, active=CPU_FULL, side=Side(GPU_FULL, NOW), side_recommendations=((NOW, 18),))
    route = RouteObservation(accepted=True, side=GPU_FULL, side_share=0.7)
    seen = seen_by_gateway(20.0, pool(CPU_FULL, 2), pool(GPU_FULL, 1), selected=CPU_FULL, route=route)
    made, remembered = plan(asked, seen, None, both, 15.0)

    assert sizes(made) == (3, None)
    assert plan(asked, seen, None, remembered, 15.0)[0].target == made.target


# --- steps


def test_service_stays_with_two_pools_when_the_one_beside_would_carry_less_alone() -> None:
    """A GPU and a CPU carry 276 rps together, of which 250 come; one GPU more is not there yet."""
    route = RouteObservation(accepted=True, side=GPU_FULL, side_share=0.85)
    seen = seen_by_gateway(250.0, pool(CPU_FULL, 1), pool(GPU_FULL, 2, 1), selected=CPU_FULL, route=route)
    state = replace(BESIDE, active=CPU_FULL, side=Side(GPU_FULL, NOW))
    made = Plan(
        choice(GPU_FULL, 2), DecisionReason.MEASURED_DEMAND, "", Binding.DEMAND, Demand(250.0, None, 250.0, 75.0)
    )

    assert next_step(spec(), seen, made, state).serving == CPU_FULL


def test_pool_beside_keeps_its_requests_when_the_status_was_lost() -> None:
    route = RouteObservation(accepted=True, side=CPU_FULL, side_share=0.4)
    seen = seen_by_gateway(10.0, pool(GPU_FULL, 1), pool(CPU_FULL, 4), route=route)
    made, state = plan(spec(), seen, None, PolicyState(), 15.0)
    step = next_step(spec(), seen, made, state)

    assert {target.pool: target.replicas for target in step.pools}[CPU_FULL] > 0


def test_serving_pool_keeps_its_replicas_when_the_one_beside_is_given_up() -> None:
    stuck = pool(GPU_FULL, 1, 0, unschedulable=1, unready_seconds=60.0)
    seen = seen_by_gateway(150.0, pool(CPU_FULL, 4), stuck, selected=CPU_FULL)
    state = replace(BESIDE, active=CPU_FULL, side=Side(GPU_FULL, NOW - timedelta(seconds=60)))
    demand = Demand(150.0, None, 150.0, 75.0)
    made = Plan(
        choice(CPU_FULL, 1),
        DecisionReason.STEADY,
        "",
        Binding.DEMAND,
        demand,
        side=choice(GPU_FULL, 1, hourly_cost=1.0),
    )
    step = next_step(spec(), seen, made, state)

    assert step.state.side is None
    assert {target.pool: target.replicas for target in step.pools} == {CPU_FULL: 4, GPU_FULL: 0}


def test_route_gives_nothing_to_replicas_that_go_in_the_same_step() -> None:
    seen = seen_by_gateway(900.0, pool(GPU_FULL, 2), pool(CPU_FULL, 1))
    demand = Demand(900.0, None, 900.0, 75.0)
    side = choice(CPU_FULL, 0)
    made = Plan(choice(GPU_FULL, 2), DecisionReason.INFEASIBLE, "", Binding.MAX_REPLICAS, demand, side=side)
    step = next_step(spec(), seen, made, BESIDE)

    assert {target.pool: target.replicas for target in step.pools}[CPU_FULL] == 0
    assert step.route is not None
    assert step.route.side_share == 0.0


def test_serving_pool_does_not_grow_for_what_the_one_beside_carries_when_a_switch_begins() -> None:
    both = spec(
        variants=(VariantOption("full", 0.92), VariantOption("int8", 0.91)),
        capacities=(*spec().capacities, capacity(CPU_INT8, 5.0)),
    )
    route = RouteObservation(accepted=True, side=GPU_FULL, side_share=0.8)
    seen = seen_by_gateway(600.0, pool(CPU_FULL, 5), pool(GPU_FULL, 2), selected=CPU_FULL, route=route)
    state = replace(BESIDE, active=CPU_FULL, side=Side(GPU_FULL, NOW))
    demand = Demand(600.0, None, 600.0, 75.0)
    made = Plan(choice(CPU_INT8, 4), DecisionReason.CHEAPER_CHOICE, "", Binding.DEMAND, demand)
    step = next_step(both, seen, made, state)

    assert {target.pool: target.replicas for target in step.pools} == {CPU_FULL: 5, GPU_FULL: 2, CPU_INT8: 4}
