"""What keeps a plan from more is named rightly: it is what must be raised. And limits hold, for one pool and for two."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import example, given

from builders import pool
from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import Absent, Choice, Plan
from planner_cases import ACCELERATORS, CASES, ROUTED, SHORT, SITUATIONS, Situation, routed_situation_of

AMPLE = 10_000

# Held by the scale-up policies below what the budget allows; two placements on accelerators; more than the limits allow,
# and more than the budget beside a pool that waits for nodes and was granted fewer.
RATE_LIMITED, NO_ACCELERATORS, LIMITS_LOWERED, LOWERED_BESIDE_WAITING = (
    routed_situation_of(seed) for seed in (338, 61, 733, 5015733)
)


def raised(case: Situation, limit: Binding) -> Situation:
    """Return the situation without a limit on it."""
    spec, seen = case.spec, case.seen
    if limit is Binding.MAX_REPLICAS:
        places = tuple(replace(place, max_replicas=None) for place in spec.placements)
        return replace(case, spec=replace(spec, max_replicas=AMPLE, placements=places))
    if limit is Binding.MAX_HOURLY_COST:
        return replace(case, spec=replace(spec, max_hourly_cost=None))
    if limit is Binding.OBJECTIVE:
        return replace(case, spec=replace(spec, objective=replace(spec.objective, latency_seconds=5.0)))
    if limit is Binding.AVAILABILITY:
        pools = tuple(pool(each.pool, each.replicas) for each in seen.pools)
        return replace(case, seen=replace(seen, pools=pools), state=replace(case.state, outages=()))
    assert limit in ACCELERATORS, limit
    return replace(case, seen=replace(seen, allowances=()))


def is_short(made: Plan) -> bool:
    return not made.target.feasible or "by cheaper answers" in made.message


def assert_each_limit_named_is_what_must_be_raised(case: Situation) -> None:
    made, named = case.planned(), []
    while is_short(made):
        assert made.binding in SHORT
        assert made.binding not in named, f"raised already: {made.message}"
        assert ("rps short" in made.message) == (made.reason is DecisionReason.INFEASIBLE)
        named.append(made.binding)
        case = raised(case, made.binding)
        made = case.planned()


@CASES
@given(SITUATIONS)
def test_raising_what_each_plan_names_makes_it_feasible_when_one_pool_serves(case: Situation) -> None:
    """Limits that bind equally are named one after the other, none of them twice."""
    assert_each_limit_named_is_what_must_be_raised(case)


@CASES
@given(ROUTED)
@example(RATE_LIMITED)
@example(NO_ACCELERATORS)
def test_raising_what_each_plan_names_makes_it_feasible_when_two_pools_may_serve(case: Situation) -> None:
    assert_each_limit_named_is_what_must_be_raised(case)


@CASES
@given(SITUATIONS)
def test_one_pool_is_within_limits_whatever_is_out_or_granted_to_others(case: Situation) -> None:
    spec, target = case.spec, case.planned().target
    place = spec.placement(target.pool.placement)
    allowed = min(place.max_replicas or AMPLE, granted(case, target))
    least, most = min(spec.min_replicas, allowed), min(spec.max_replicas, allowed)
    minimum_kept = min(spec.min_replicas, asked(case, target))

    assert least <= target.replicas <= max(most, minimum_kept if target.pool == case.state.active else 0)
    assert target.hourly_cost <= max(spec.max_hourly_cost or AMPLE, spec.min_replicas * place.hourly_cost) + 1e-9


@CASES
@given(ROUTED)
@example(LIMITS_LOWERED)
@example(LOWERED_BESIDE_WAITING)
def test_two_pools_are_within_limits_but_for_what_waits_for_a_node_when_the_load_is_known(case: Situation) -> None:
    """No replica that waits is withdrawn: a pool with such a one may stay as it is, and the other is within what is left."""
    made = case.planned()
    if made.side is None:
        return
    both = (made.target, made.side)
    waiting = [each for each in both if case.seen.pool(each.pool).unschedulable and each.replicas <= asked(case, each)]

    assert within_limits(case, both) or waiting
    assert within_limits(case, [each for each in both if each not in waiting])


@CASES
@given(ROUTED)
def test_two_pools_stay_as_they_are_whatever_the_limits_when_the_load_is_unknown(case: Situation) -> None:
    made = replace(case, seen=replace(case.seen, offered=Absent())).planned()

    if made.side is not None:
        assert [each.replicas for each in (made.target, made.side)] == [
            asked(case, each) for each in (made.target, made.side)
        ]


def asked(case: Situation, choice: Choice) -> int:
    return case.seen.pool(choice.pool).replicas


def granted(case: Situation, choice: Choice) -> int:
    """Return how many replicas of a pool there are accelerators for, beside the other pools of its placement."""
    name = choice.pool.placement
    allowed = next((a.replicas for a in case.seen.allowances if a.placement == name), AMPLE)
    others = sum(p.replicas for p in case.seen.pools if p.pool.placement == name and p.pool != choice.pool)
    return max(allowed - others, min(asked(case, choice), allowed))


def within_limits(case: Situation, choices: Sequence[Choice]) -> bool:
    """Tell whether pools are within what each may have, and together within replicas and budget."""
    spec = case.spec
    fit = all(
        each.replicas <= min(spec.placement(each.pool.placement).max_replicas or AMPLE, granted(case, each))
        for each in choices
    )
    hourly_cost = sum(each.hourly_cost for each in choices)
    total = sum(each.replicas for each in choices)
    return fit and total <= spec.max_replicas and hourly_cost <= (spec.max_hourly_cost or AMPLE) + 1e-9
