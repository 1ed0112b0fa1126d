"""Who may have how many accelerators: by priority, then by what they save; handed over without a gap, never taken for want
of knowledge.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    CPU_INT8,
    GPU_FULL,
    GPU_INT8,
    NOW,
    capacity,
    observation,
    outage,
    placement,
    pool,
    workload,
)
from modelscaler.api.words import Binding, DecisionReason, GrantReason
from modelscaler.domain import Allowance, PlacementOption, PolicyState, PoolKey, PoolObservation, Workload, WorkloadKey
from modelscaler.planner.allowances import remembered
from modelscaler.planner.arbitration import AGEING_SECONDS
from modelscaler.planner.claims import Allowances, Bidder, share_out
from modelscaler.planner.plan import plan, sized_options
from modelscaler.planner.supply import Census, NodeUnits, QuotaUnits
from modelscaler.planner.transition import next_step

GPU = "nvidia.com/gpu"
CPU = placement("cpu", 0.1, 20.0)
CHEAP_GPU = placement("gpu", 0.1, 60.0, accelerator=GPU)
"""Carries five times as much as a CPU for the same price."""


def spec(name: str = "ranker", *places: PlacementOption, priority: int = 0, **overrides: Any) -> Workload:
    """Return a workload that may run int8 on CPUs (80 rps each) and on GPUs (about 400 rps each)."""
    chosen = places or (CPU, CHEAP_GPU)
    names = {place.name for place in chosen}
    keys = ((CPU_INT8, 10.0), (GPU_INT8, 2.0))
    fields: dict[str, Any] = {
        "key": WorkloadKey("shop", name),
        "placements": chosen,
        "capacities": tuple(capacity(key, ms) for key, ms in keys if key.placement in names),
        "priority": priority,
    }
    return workload(**(fields | overrides))


def bidder(
    made: Workload, rps: float | None = 300.0, *pools: PoolObservation, active: PoolKey | None = CPU_INT8, **state: Any
) -> Bidder:
    """Return a bidder that serves from one CPU pool large enough, unless said otherwise."""
    found = pools or ((pool(CPU_INT8, 4),) if active == CPU_INT8 else ())
    seen = observation(rps, *found, selected=active)
    before = PolicyState(active=active, **state)
    return Bidder(made, seen, before, sized_options(made, seen, None, before, 15.0))


def on_gpu(made: Workload, replicas: int = 1, rps: float | None = 300.0, **state: Any) -> Bidder:
    """Return a bidder that serves from a GPU pool."""
    return bidder(made, rps, pool(GPU_INT8, replicas), active=GPU_INT8, **state)


def census(units: int, *owners: tuple[str, int], others: int = 0, **fields: Any) -> Census:
    """Return a count of one node's GPUs: what ModelDeployments of the shop take, and others."""
    taken: dict[WorkloadKey | None, int] = {WorkloadKey("shop", name): count for name, count in owners}
    if others:
        taken[None] = others
    return Census(frozenset({GPU}), (NodeUnits(GPU, units, taken),), **fields)


def had(shared: Allowances) -> dict[str, int]:
    """Return the replicas that each may have on its GPU placement."""
    return {key.name: allowances[0].replicas for key, allowances in shared.items()}


def why(shared: Allowances) -> dict[str, GrantReason]:
    return {key.name: allowances[0].reason for key, allowances in shared.items()}


# --- who gets them


def test_higher_priority_gets_the_accelerator_when_there_is_one() -> None:
    shared = share_out([bidder(spec("a")), bidder(spec("b", priority=5))], census(1))

    assert had(shared) == {"a": 0, "b": 1}
    assert why(shared)["a"] == GrantReason.OUTRANKED
    assert shared[WorkloadKey("shop", "a")][0].wanted == 1


def test_larger_saving_gets_the_accelerator_when_priorities_are_equal() -> None:
    small, large = bidder(spec("small"), 150.0, pool(CPU_INT8, 2)), bidder(spec("large"), 390.0, pool(CPU_INT8, 5))

    shared = share_out([small, large], census(1))

    assert had(shared) == {"small": 0, "large": 1}
    assert why(shared)["small"] == GrantReason.OUTBID


def test_availability_goes_before_savings_when_nothing_else_carries_the_load() -> None:
    saves = bidder(spec("saves"), 390.0, pool(CPU_INT8, 5))
    needs = bidder(spec("needs", CHEAP_GPU), 10.0, active=None)

    assert had(share_out([saves, needs], census(1))) == {"saves": 0, "needs": 1}


def test_accelerator_is_granted_when_no_load_is_known_and_there_is_nowhere_else() -> None:
    assert had(share_out([bidder(spec("new", CHEAP_GPU), None, active=None)], census(1))) == {"new": 1}


def test_nothing_is_asked_for_when_the_accelerator_does_not_pay() -> None:
    dear = placement("gpu", 5.0, 60.0, accelerator=GPU)

    shared = share_out([bidder(spec("ranker", CPU, dear))], census(4))

    assert had(shared) == {"ranker": 0}
    assert why(shared) == {"ranker": GrantReason.AS_WANTED}


def test_part_of_the_load_is_worth_nothing_when_something_else_carries_all_of_it() -> None:
    shared = share_out([bidder(spec("big", max_replicas=40), 1000.0, pool(CPU_INT8, 13))], census(2))

    assert had(shared) == {"big": 0}, "two of three would idle: one pool serves at a time"
    assert why(shared) == {"big": GrantReason.TOO_FEW}


def test_part_of_the_load_counts_when_nothing_else_carries_it() -> None:
    assert had(share_out([bidder(spec("big", CHEAP_GPU), 1000.0, active=None)], census(2))) == {"big": 2}


def test_nothing_is_asked_for_to_save_when_the_load_is_unknown() -> None:
    unknown, known = bidder(spec("unknown", priority=9), None, pool(CPU_INT8, 4)), bidder(spec("known"))

    assert had(share_out([unknown, known], census(1))) == {"unknown": 0, "known": 1}


def test_pool_that_failed_to_start_asks_for_nothing_until_it_is_tried_again() -> None:
    state: dict[str, Any] = {"outages": (outage(GPU_INT8, NOW + timedelta(seconds=20)),)}

    shared = share_out([bidder(spec("failed", priority=9), **state), bidder(spec("next"))], census(1))

    assert had(shared) == {"failed": 0, "next": 1}


# --- what is held


def test_units_are_handed_over_only_once_they_are_free() -> None:
    low, high = on_gpu(spec("low")), bidder(spec("high", priority=1))
    holding = census(1, ("low", 1))

    during = share_out([low, high], holding)
    draining = bidder(spec("low"), 300.0, pool(CPU_INT8, 4), pool(GPU_INT8, 0, ready=0, terminating=1))
    leaving = share_out([draining, high], holding)
    after = share_out([bidder(spec("low")), high], holding)

    assert [had(shared)["high"] for shared in (during, leaving, after)] == [0, 0, 1]
    assert [had(shared)["low"] for shared in (during, leaving, after)] == [0, 0, 0]
    assert why(during)["high"] == GrantReason.HANDOVER


def test_minimum_is_kept_whatever_the_priority_of_others_when_there_is_nowhere_to_go() -> None:
    only_gpu = on_gpu(spec("low", CHEAP_GPU), replicas=2, rps=700.0)

    shared = share_out([only_gpu, bidder(spec("high", priority=9))], census(2, ("low", 2)))

    assert had(shared) == {"low": 1, "high": 0}
    assert why(shared) == {"low": GrantReason.OUTRANKED, "high": GrantReason.HANDOVER}


def test_surplus_of_the_scale_down_window_is_kept_when_nobody_else_wants_it() -> None:
    assert had(share_out([on_gpu(spec("calm"), replicas=3, rps=100.0)], census(3, ("calm", 3)))) == {"calm": 3}


def test_surplus_goes_to_others_when_they_want_it() -> None:
    calm, busy = on_gpu(spec("calm"), replicas=2, rps=100.0), bidder(spec("busy"))

    assert had(share_out([calm, busy], census(2, ("calm", 2))))["calm"] == 1


def test_variant_is_changed_beside_the_old_one_when_there_are_units_for_both() -> None:
    both = spec(
        "ranker",
        CPU,
        CHEAP_GPU,
        capacities=(capacity(CPU_INT8, 10.0), capacity(GPU_INT8, 2.0), capacity(GPU_FULL, 2.0)),
    )
    serving = on_gpu(both, replicas=1)  # int8, where full costs as much

    assert had(share_out([serving], census(2, ("ranker", 1)))) == {"ranker": 2}
    assert had(share_out([serving], census(1, ("ranker", 1)))) == {"ranker": 1}


def test_nothing_is_taken_and_nothing_given_when_nobody_could_count() -> None:
    shared = share_out([on_gpu(spec("holds"), replicas=2), bidder(spec("wants", priority=9))], None)

    assert had(shared) == {"holds": 2, "wants": 0}
    assert why(shared)["wants"] == GrantReason.UNKNOWN


def test_what_runs_stays_counted_when_its_node_reports_no_units() -> None:
    assert had(share_out([on_gpu(spec("holds"), replicas=2, rps=700.0)], census(0, ("holds", 2)))) == {"holds": 2}


def test_pods_of_others_leave_less() -> None:
    assert had(share_out([bidder(spec("a"))], census(1, others=1))) == {"a": 0}


def test_pods_of_a_modeldeployment_that_takes_no_part_are_others() -> None:
    assert had(share_out([bidder(spec("a"))], census(1, ("paused", 1)))) == {"a": 0}


def test_pods_of_one_that_takes_no_part_are_others_when_they_came_after_the_count() -> None:
    apart = {(WorkloadKey("shop", "deleted"), GPU): 1}
    quota = QuotaUnits("shop", GPU, hard=1, used=0)
    on_demand = Census(frozenset({GPU}), None, quotas=(quota,), apart=apart)
    counted = replace(on_demand, quotas=(replace(quota, hard=2, used=1),), requested=apart)

    assert had(share_out([bidder(spec("a"))], census(1, apart=apart))) == {"a": 0}
    assert had(share_out([bidder(spec("a"))], census(2, ("deleted", 1), apart=apart))) == {"a": 1}, "counted once"
    assert had(share_out([on_gpu(spec("a"))], census(1, ("a", 1), apart=apart))) == {"a": 1}, "what it has it keeps"
    assert had(share_out([bidder(spec("a"))], on_demand)) == {"a": 0}
    assert had(share_out([bidder(spec("a"))], counted)) == {"a": 1}, "counted once"
    assert had(share_out([bidder(spec("deleted"))], census(1, apart=apart))) == {"deleted": 1}, "it shares again"


# --- quotas and nodes on demand


def test_quota_limits_its_namespace_less_what_others_use_of_it() -> None:
    quota = QuotaUnits("shop", GPU, hard=3, used=3)
    requested = {(WorkloadKey("shop", "holds"), GPU): 1}
    counted = census(8, ("holds", 1), quotas=(quota,), requested=requested)

    shared = share_out([on_gpu(spec("holds")), bidder(spec("wants"))], counted)

    assert had(shared) == {"holds": 1, "wants": 0}, "two of the three are used by others"


def test_only_quotas_limit_when_nodes_are_not_counted() -> None:
    on_demand = Census(frozenset({GPU}), None)
    limited = replace(on_demand, quotas=(QuotaUnits("shop", GPU, hard=1, used=0),))
    bidders = [bidder(spec("a")), bidder(spec("b"))]

    assert had(share_out(bidders, on_demand)) == {"a": 1, "b": 1}
    assert sum(had(share_out(bidders, limited)).values()) == 1


# --- waiting


def waited(seconds: float) -> dict[str, Any]:
    return {"accelerator_wanted_since": NOW - timedelta(seconds=seconds)}


def test_waiting_counts_when_worths_are_close() -> None:
    holder = on_gpu(spec("holder"))
    young, old = bidder(spec("waits"), **waited(60.0)), bidder(spec("waits"), **waited(AGEING_SECONDS))

    assert had(share_out([holder, young], census(1, ("holder", 1))))["holder"] == 1
    assert had(share_out([holder, old], census(1, ("holder", 1))))["holder"] == 0


def test_what_was_waited_for_is_not_taken_back_at_once() -> None:
    got: dict[str, Any] = {
        "accelerator_wanted_since": NOW - timedelta(seconds=AGEING_SECONDS / 2),
        "accelerator_held_since": NOW - timedelta(seconds=60),
    }
    loser = bidder(spec("loser"), **waited(60.0))

    assert had(share_out([on_gpu(spec("winner"), **got), loser], census(1, ("winner", 1))))["winner"] == 1


def test_waiting_is_remembered_and_begins_anew_when_what_was_held_is_lost() -> None:
    lost = PolicyState(active=CPU_INT8, accelerator_wanted_since=NOW - timedelta(days=1), accelerator_held_since=NOW)
    allowed = (Allowance("gpu", 0, 1, GrantReason.OUTRANKED, 1),)
    seen = observation(300.0, pool(CPU_INT8, 4), selected=CPU_INT8, allowances=allowed)

    _, state = plan(spec(), seen, None, lost, 15.0)
    _, later = plan(spec(), replace(seen, now=NOW + timedelta(seconds=15)), None, state, 15.0)
    _, content = plan(spec(), replace(seen, allowances=(replace(allowed[0], wanted=0),)), None, later, 15.0)

    assert (state.accelerator_wanted_since, state.accelerator_held_since) == (NOW, None)
    assert later.accelerator_wanted_since == NOW
    assert content.accelerator_wanted_since is None


# --- what a plan makes of it


def allowed(replicas: int, wanted: int, reason: GrantReason = GrantReason.OUTRANKED) -> tuple[Allowance, ...]:
    return (Allowance("gpu", replicas, wanted, reason, 5),)


def test_plan_says_who_has_them_when_it_may_have_fewer_than_it_wants() -> None:
    seen = observation(300.0, pool(CPU_INT8, 4), selected=CPU_INT8, allowances=allowed(0, 1))

    made, _ = plan(spec(), seen, None, PolicyState(active=CPU_INT8), 15.0)

    assert made.target.pool == CPU_INT8
    assert f"0 of 1 {GPU}: higher priority elsewhere" in made.message
    assert made.runner_up is not None
    assert (made.runner_up.pool, made.runner_up.replicas) == (GPU_INT8, 1)
    assert made.why_not_runner_up == f"0 of 1 {GPU}: higher priority elsewhere"


def test_runner_up_is_started_and_nothing_is_given_up_when_a_grant_is_lost_while_serving() -> None:
    made_spec, state = spec(), PolicyState(active=GPU_INT8)
    seen = observation(300.0, pool(GPU_INT8, 1), selected=GPU_INT8, allowances=allowed(0, 1))

    made, after = plan(made_spec, seen, None, state, 15.0)
    step = next_step(made_spec, seen, made, after)

    assert made.reason == DecisionReason.CANDIDATE_UNAVAILABLE
    assert {t.pool: t.replicas for t in step.pools} == {GPU_INT8: 1, CPU_INT8: 4}
    assert step.serving == GPU_INT8
    assert step.state.outages == (), "nothing failed: it may come back as soon as there are units"


def test_serving_pool_keeps_its_minimum_when_the_runner_up_is_out_as_well() -> None:
    state = PolicyState(active=GPU_INT8, outages=(outage(CPU_INT8, NOW + timedelta(seconds=60)),))
    seen = observation(1000.0, pool(GPU_INT8, 3), selected=GPU_INT8, allowances=allowed(0, 3))

    made, _ = plan(spec(min_replicas=2), seen, None, state, 15.0)

    assert (made.target.pool, made.target.replicas) == (GPU_INT8, 2)
    assert made.binding == Binding.HIGHER_PRIORITY


def test_nothing_is_started_when_there_is_only_the_accelerator_and_others_have_it() -> None:
    seen = observation(None, allowances=allowed(0, 1))

    made, state = plan(spec("new", CHEAP_GPU), seen, None, PolicyState(), 15.0)
    step = next_step(spec("new", CHEAP_GPU), seen, made, state)

    assert made.target.replicas == 0
    assert made.binding == Binding.HIGHER_PRIORITY
    assert all(target.replicas == 0 for target in step.pools)


def test_second_variant_gets_only_what_the_first_leaves_when_both_are_on_the_placement() -> None:
    both = spec(
        "ranker",
        CHEAP_GPU,
        capacities=(capacity(GPU_INT8, 2.0), capacity(GPU_FULL, 2.0)),
    )
    seen = observation(300.0, pool(GPU_INT8, 2), selected=GPU_INT8, allowances=allowed(2, 3))

    made, _ = plan(both, seen, None, PolicyState(active=GPU_INT8), 15.0)

    assert made.target.pool == GPU_INT8


def test_capacity_is_not_lowered_when_the_load_is_unknown_and_the_grant_is_lost() -> None:
    seen = observation(None, pool(GPU_INT8, 2), selected=GPU_INT8, allowances=allowed(0, 2))

    made, after = plan(spec(), seen, None, PolicyState(active=GPU_INT8), 15.0)
    step = next_step(spec(), seen, made, after)

    assert {t.pool: t.replicas for t in step.pools}[GPU_INT8] == 2
    assert made.target.replicas * 80.0 >= 2 * 380.0, "the runner-up is to carry what the two carry"


# --- for all fleets


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Bidder], int]:
    """Return bidders, some of which hold GPUs already, and how many there are: at least those held."""
    bidders, held = [], 0
    for index in range(draw(st.integers(1, 5))):
        units = draw(st.integers(1, 2))
        gpu = placement("gpu", draw(st.sampled_from([0.05, 0.1, 0.6])), 60.0, accelerator=GPU, accelerator_units=units)
        places = (CPU, gpu) if draw(st.booleans()) else (gpu,)
        made = spec(f"m{index}", *places, priority=draw(st.integers(0, 1)), max_replicas=8)
        rps = draw(st.sampled_from([None, 0.0, 50.0, 300.0, 900.0]))
        replicas = draw(st.integers(0, 2))
        leaving = draw(st.integers(0, 1))
        if replicas and draw(st.booleans()):
            bidders.append(on_gpu(made, replicas, rps, **draw(st.sampled_from([{}, waited(9e6)]))))
            held += replicas * units
        elif len(places) == 2:
            left = pool(GPU_INT8, 0, ready=0, terminating=leaving)
            bidders.append(bidder(made, rps, pool(CPU_INT8, 2), left))
            held += leaving * units
        else:
            bidders.append(bidder(made, rps, active=None))
    return bidders, held + draw(st.integers(0, 4))


def asked_units(bidders: Sequence[Bidder], shared: Allowances) -> int:
    """Return the units that all would request together, if each took what it may and nobody gave up anything."""
    return sum(max(shared[b.key][0].replicas, b.occupied("gpu")) * b.placements[0].accelerator_units for b in bidders)


@settings(max_examples=25, deadline=None)
@given(fleets())
def test_no_more_is_asked_for_than_there_is(case: tuple[list[Bidder], int]) -> None:
    bidders, units = case
    assert asked_units(bidders, share_out(bidders, census(units))) <= units


@settings(max_examples=12, deadline=None)
@given(fleets())
def test_everybody_keeps_exactly_what_it_holds_when_nothing_was_counted(case: tuple[list[Bidder], int]) -> None:
    bidders, _ = case
    assert had(share_out(bidders, None)) == {b.key.name: b.held("gpu") for b in bidders}


@settings(max_examples=12, deadline=None)
@given(fleets(), st.randoms(use_true_random=False))
def test_order_of_bidders_does_not_matter(case: tuple[list[Bidder], int], random: Any) -> None:
    bidders, units = case
    shuffled = random.sample(bidders, len(bidders))
    assert share_out(shuffled, census(units)) == share_out(bidders, census(units))


@settings(max_examples=12, deadline=None)
@given(fleets())
def test_whoever_serves_from_an_accelerator_keeps_serving(case: tuple[list[Bidder], int]) -> None:
    """Whatever is granted, the next step leaves the serving pool its ready replicas, or nothing is lost by fewer."""
    bidders, units = case
    shared = share_out(bidders, census(units))
    for each in bidders:
        seen = replace(each.observation, allowances=shared[each.key])
        made, state = plan(each.workload, seen, None, each.state, 15.0)
        step = next_step(each.workload, seen, made, state)
        serving = {t.pool: t.replicas for t in step.pools}
        if each.state.active == GPU_INT8:
            assert serving[GPU_INT8] >= 1


@pytest.mark.parametrize("rates", [(300.0, 300.0), (220.0, 300.0), (300.0, 300.0, 300.0)])
def test_nobody_waits_for_ever_when_one_accelerator_is_shared_by_equals(rates: tuple[float, ...]) -> None:
    """Each gets its turn, and not every hour."""
    made = [spec(f"m{index}") for index in range(len(rates))]
    states = [PolicyState(active=CPU_INT8) for _ in rates]
    turns: list[int] = []
    for hour in range(0, 48, 2):
        now = NOW + timedelta(hours=hour)
        bidders = [_at(m, rps, state, now) for m, rps, state in zip(made, rates, states, strict=True)]
        shared = share_out(bidders, census(1))
        for index, each in enumerate(bidders):
            seen = replace(each.observation, allowances=shared[each.key])
            state = remembered(seen, each.state)
            serves = GPU_INT8 if seen.allowances[0].replicas else CPU_INT8
            states[index] = replace(state, active=serves)
            turns += [index] if serves == GPU_INT8 else []
    assert set(turns) == set(range(len(rates))), turns
    assert sum(a != b for a, b in pairwise(turns)) <= 12, turns


def _at(made: Workload, rps: float, state: PolicyState, now: Any) -> Bidder:
    serving = pool(GPU_INT8, 1) if state.active == GPU_INT8 else pool(CPU_INT8, 5)
    seen = observation(rps, serving, selected=state.active, now=now)
    return Bidder(made, seen, state, sized_options(made, seen, None, state, 15.0))
