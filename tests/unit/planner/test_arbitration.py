"""Who gets shared accelerators: exactly, by priority, never more than there are, and nothing on what nobody counted."""

from dataclasses import replace
from itertools import cycle, pairwise, product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelscaler.api.words import GrantReason
from modelscaler.domain import WorkloadKey
from modelscaler.planner.arbitration import (
    AGEING_SECONDS,
    KEEPING,
    Arbitration,
    Claim,
    Supply,
    Use,
    arbitrate,
    weighted,
)

GPU, TPU = "nvidia.com/gpu", "google.com/tpu"


def use(*worth: float, units: int = 1, resource: str = GPU, held: int = 0, placement: str = "gpu") -> Use:
    return Use(placement, resource, units, worth, held)


def claim(name: str, *uses: Use, priority: int = 0, waiting_seconds: float = 0.0, namespace: str = "shop") -> Claim:
    return Claim(WorkloadKey(namespace, name), uses, priority, waiting_seconds)


def replicas(result: Arbitration) -> dict[str, int]:
    return {key.name: grant.replicas for key, grant in result.grants.items()}


def reasons(result: Arbitration) -> dict[str, GrantReason]:
    return {key.name: grant.reason for key, grant in result.grants.items()}


def test_higher_priority_has_the_unit_when_it_is_worth_less_to_it() -> None:
    result = arbitrate([claim("rich", use(9.0)), claim("urgent", use(1.0), priority=5)], Supply({GPU: 1}))
    assert replicas(result) == {"urgent": 1, "rich": 0}
    assert reasons(result) == {"urgent": GrantReason.AS_WANTED, "rich": GrantReason.OUTRANKED}


def test_unit_goes_where_it_is_worth_most_when_priorities_are_equal() -> None:
    result = arbitrate([claim("a", use(1.0)), claim("b", use(2.0))], Supply({GPU: 1}))
    assert replicas(result) == {"a": 0, "b": 1}
    assert reasons(result)["a"] == GrantReason.OUTBID


def test_exact_choice_beats_the_greedy_one_when_replicas_take_several_units() -> None:
    claims = [claim("one", use(3.0)), claim("pair", use(5.0, units=2)), claim("other", use(5.0, units=2))]
    assert replicas(arbitrate(claims, Supply({GPU: 4}))) == {"one": 0, "pair": 1, "other": 1}


def test_greedy_choice_is_made_and_owned_up_to_when_there_is_no_time() -> None:
    claims = [claim("one", use(3.0)), claim("pair", use(5.0, units=2)), claim("other", use(5.0, units=2))]
    result = arbitrate(claims, Supply({GPU: 4}), limit_seconds=0.0)
    assert not result.exact
    assert replicas(result) == {"one": 1, "other": 1, "pair": 0}


def test_all_or_nothing_is_kept_when_one_replica_alone_is_worth_nothing() -> None:
    claims = [claim("twins", use(0.0, 5.0)), claim("single", use(3.0))]
    assert replicas(arbitrate(claims, Supply({GPU: 2}))) == {"twins": 2, "single": 0}
    assert replicas(arbitrate(claims, Supply({GPU: 1}))) == {"twins": 0, "single": 1}


def test_quota_of_a_namespace_limits_when_the_nodes_have_more() -> None:
    claims = [claim("a", use(1.0, 2.0)), claim("b", use(1.0, 2.0), namespace="other")]
    result = arbitrate(claims, Supply({GPU: 8}, {("shop", GPU): 1}))
    assert replicas(result) == {"a": 1, "b": 2}
    assert reasons(result)["a"] == GrantReason.TOO_FEW


def test_what_is_held_is_kept_and_no_more_given_when_nobody_could_count() -> None:
    result = arbitrate([claim("a", use(1.0, 2.0, 3.0, held=1)), claim("b", use(9.0), priority=9)], Supply({}))
    assert replicas(result) == {"a": 1, "b": 0}
    assert set(reasons(result).values()) == {GrantReason.UNKNOWN}


def test_other_accelerator_is_taken_when_the_better_one_is_gone() -> None:
    either = claim("either", use(5.0), use(4.0, resource=TPU, placement="tpu"))
    result = arbitrate([either, claim("gpu-only", use(5.0))], Supply({GPU: 1, TPU: 1}))
    assert result.grants[either.key].placement == "tpu"
    assert replicas(result) == {"either": 1, "gpu-only": 1}


def test_held_unit_stays_when_it_is_worth_hardly_more_elsewhere() -> None:
    claims = [claim("holder", use(1.0, held=1)), claim("newcomer", use(1.05))]
    assert replicas(arbitrate(claims, Supply({GPU: 1}))) == {"holder": 1, "newcomer": 0}


def test_waiting_claim_has_its_turn_when_it_is_worth_nearly_as_much() -> None:
    holder = claim("holder", use(1.0, held=1))
    turns = [
        replicas(arbitrate([holder, claim("waiting", use(0.6), waiting_seconds=waited)], Supply({GPU: 1})))["waiting"]
        for waited in (0.0, AGEING_SECONDS / 2, AGEING_SECONDS)
    ]
    assert turns == [0, 0, 1]


def test_waiting_helps_the_later_the_less_a_unit_is_worth() -> None:
    holder = claim("holder", use(1.0, held=1))
    turns = [
        replicas(arbitrate([holder, claim("waiting", use(0.1), waiting_seconds=waited)], Supply({GPU: 1})))["waiting"]
        for waited in (AGEING_SECONDS, 9.0 * AGEING_SECONDS, 11.0 * AGEING_SECONDS)
    ]
    assert turns == [0, 0, 1]


def test_saving_never_takes_what_carries_load_however_long_it_waits() -> None:
    carrying = replace(claim("carrying", use(100.0, 120.0, held=2)), carries=True)
    for waited in (AGEING_SECONDS, 1000.0 * AGEING_SECONDS):
        saving = claim("saving", use(5.0), waiting_seconds=waited)
        assert replicas(arbitrate([carrying, saving], Supply({GPU: 2}))) == {"carrying": 2, "saving": 0}
    rival = replace(claim("rival", use(5.0), waiting_seconds=5.0 * AGEING_SECONDS), carries=True)
    assert replicas(arbitrate([carrying, rival], Supply({GPU: 2})))["rival"] == 1, (
        "who must carry load too has its turn"
    )


def test_waiting_does_not_help_when_it_ranks_lower() -> None:
    waiting = claim("waiting", use(0.5), waiting_seconds=100 * AGEING_SECONDS)
    urgent = claim("urgent", use(0.1), priority=1)
    assert replicas(arbitrate([urgent, waiting], Supply({GPU: 1})))["waiting"] == 0


def test_longest_waiting_wins_when_all_else_is_equal() -> None:
    claims = [claim(name, use(1.0), waiting_seconds=waited) for name, waited in (("a", 10.0), ("b", 30.0), ("c", 20.0))]
    assert replicas(arbitrate(claims, Supply({GPU: 1}))) == {"a": 0, "b": 1, "c": 0}


def test_two_claims_of_one_are_refused_when_given() -> None:
    with pytest.raises(ValueError, match="shop/a"):
        arbitrate([claim("a"), claim("a")], Supply({}))


@pytest.mark.parametrize(("worth", "units"), [((1.0,), 0), ((float("nan"),), 1)])
def test_use_is_refused_when_it_makes_no_sense(worth: tuple[float, ...], units: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        use(*worth, units=units)


uses = st.builds(
    lambda resource, units, worth, held: use(*worth, units=units, resource=resource, held=held, placement=resource),
    st.sampled_from([GPU, TPU]),
    st.integers(1, 3),
    st.lists(st.integers(0, 9).map(float), max_size=3),
    st.integers(0, 2),
)
fleets = st.lists(
    st.tuples(
        st.lists(uses, max_size=2, unique_by=lambda each: each.placement), st.integers(0, 2), st.sampled_from("xy")
    ),
    max_size=4,
).map(lambda rows: [claim(f"m{i}", *u, priority=p, namespace=n) for i, (u, p, n) in enumerate(rows)])
supplies = st.builds(
    Supply,
    st.dictionaries(st.sampled_from([GPU, TPU]), st.integers(0, 6)),
    st.dictionaries(st.sampled_from([("x", GPU), ("y", GPU), ("x", TPU)]), st.integers(0, 4)),
)
limits = st.sampled_from([0.0, 60.0])


def taken(claims: list[Claim], result: Arbitration, namespace: str | None = None) -> dict[str, int]:
    units = {GPU: 0, TPU: 0}
    for each in claims:
        grant = result.grants[each.key]
        for one in each.uses:
            if one.placement == grant.placement and namespace in {None, each.key.namespace}:
                units[one.resource] += grant.replicas * one.units_per_replica
    return units


def value(claims: list[Claim], result: Arbitration) -> tuple[float, ...]:
    """Return what the grants count for, the highest class first."""
    counts = dict.fromkeys((2, 1, 0), 0.0)
    for each in claims:
        grant = result.grants[each.key]
        counts[each.priority] += sum(
            weighted(each, one, grant.replicas) for one in each.uses if one.placement == grant.placement
        )
    return tuple(round(count, 6) for count in counts.values())


@given(fleets, supplies, limits)
@settings(max_examples=30, deadline=None)
def test_nothing_is_oversubscribed_and_nothing_uncounted_given_whatever_is_claimed(
    claims: list[Claim], supply: Supply, limit_seconds: float
) -> None:
    result = arbitrate(claims, supply, limit_seconds)
    for resource, units in taken(claims, result).items():
        held = sum(one.held * one.units_per_replica for each in claims for one in each.uses if one.resource == resource)
        assert units <= supply.units.get(resource, held)
    for (namespace, resource), most in supply.quotas.items():
        assert taken(claims, result, namespace)[resource] <= most


@given(fleets, supplies)
@settings(max_examples=20, deadline=None)
def test_lower_classes_change_nothing_when_they_come_or_go(claims: list[Claim], supply: Supply) -> None:
    grants = arbitrate(claims, supply, 60.0).grants
    for priority in {each.priority for each in claims}:
        above = [each for each in claims if each.priority >= priority]
        assert arbitrate(above, supply, 60.0).grants == {each.key: grants[each.key] for each in above}


@given(fleets, supplies, st.sampled_from([GPU, TPU]))
@settings(max_examples=20, deadline=None)
def test_value_by_class_never_falls_when_there_is_more(claims: list[Claim], supply: Supply, resource: str) -> None:
    units = supply.units.get(resource, 0)
    values = [
        value(claims, arbitrate(claims, replace(supply, units={**supply.units, resource: units + more}), 60.0))
        for more in range(3)
    ]
    assert all(before <= after for before, after in pairwise(values))


@given(fleets, supplies)
@settings(max_examples=15, deadline=None)
def test_grants_are_the_same_when_claims_come_in_another_order(claims: list[Claim], supply: Supply) -> None:
    assert arbitrate(claims, supply, 60.0) == arbitrate(claims[::-1], supply, 60.0)


@given(st.lists(uses, min_size=1, max_size=4), st.integers(0, 6))
@settings(max_examples=20, deadline=None)
def test_no_other_assignment_is_worth_more_when_all_are_tried(each_use: list[Use], units: int) -> None:
    claims = [claim(f"m{i}", replace(one, resource=GPU, held=0)) for i, one in enumerate(each_use)]
    best = 0.0
    for sizes in product(*(range(len(each.uses[0].worth) + 1) for each in claims)):
        chosen = [(each.uses[0], size) for each, size in zip(claims, sizes, strict=True)]
        if sum(one.units_per_replica * size for one, size in chosen) <= units:
            best = max(best, sum((0.0, *one.worth)[size] for one, size in chosen))
    assert sum(value(claims, arbitrate(claims, Supply({GPU: units}), 60.0))) == pytest.approx(best)


@given(
    st.lists(st.floats(1.0, 8.0), min_size=2, max_size=5), st.lists(st.floats(60.0, 3600.0), min_size=20, max_size=20)
)
@example([1.0, 1.5, 1.5], [1800.0])
@example([1.0, 1.0, 1.0, 1.0], [3600.0])
@example([4.0, 1.8, 4.5, 1.3, 5.0], [1070.0, *[60.0] * 16, 940.0, 60.0, 60.0])
@settings(max_examples=15, deadline=None)
def test_nobody_of_a_class_waits_for_ever_and_the_less_the_more_a_unit_is_worth(
    worths: list[float], pauses: list[float]
) -> None:
    """One unit: the longest wait is the sum of all worths over one's own, in units of ageing, a tenth more, and some pauses."""
    names = {f"m{place}": worth for place, worth in enumerate(worths)}
    wanted_since, held_since = dict.fromkeys(names, 0.0), dict[str, float]()
    pauses_seconds = len(worths) * max(pauses)
    longest = {name: AGEING_SECONDS * KEEPING * sum(worths) / worth + pauses_seconds for name, worth in names.items()}
    now, turn = 0.0, cycle(pauses)
    while now < 2.0 * max(longest.values()):
        claims = [_in_turn(name, worth, now, wanted_since[name], held_since.get(name)) for name, worth in names.items()]
        assert all(each.waiting_seconds <= longest[each.key.name] for each in claims)
        had = replicas(arbitrate(claims, Supply({GPU: 1}), 60.0))
        assert sum(had.values()) == 1
        for name, count in had.items():
            if count:
                held_since.setdefault(name, now)
            elif held_since.pop(name, None) is not None:
                wanted_since[name] = now
        now += next(turn)


def _in_turn(name: str, worth: float, now: float, wanted_since: float, held_since: float | None) -> Claim:
    """Return the claim of one that has wanted a unit, and maybe held it, since then; as `claims.py` makes it."""
    if held_since is None:
        return claim(name, use(worth), waiting_seconds=now - wanted_since)
    waited = held_since - wanted_since if now - held_since < AGEING_SECONDS else 0.0
    return replace(claim(name, use(worth, held=1)), waited_seconds=waited)
