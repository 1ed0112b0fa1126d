"""What answers save for less accurate ones, and how far servers may overdraw their budgets for it."""

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import CPU_FULL, CPU_INT8, GPU_FULL, NOW, capacity, objective, observation, placement, pool, workload
from modelscaler.domain import PoolObservation, PoolTarget, Savings, Workload
from modelscaler.planner.savings import (
    FORGOTTEN_SECONDS,
    LONGEST_READING_SECONDS,
    MOST_OVERDRAFT,
    account_of,
    carried_on,
    covered_share,
    lent_to,
    most_saved,
    saved,
    settled,
    with_overdrafts,
)

FLOOR = 0.918
"""Full is 0.92 accurate and int8 0.91: a fifth of the answers may be int8's."""

MOST = (FLOOR - 0.91) * 100.0 * 60.0
"""int8 takes 10 ms a request."""


def laddered(**overrides: Any) -> Workload:
    fields: dict[str, Any] = {
        "placements": (placement("cpu"),),
        "capacities": (
            capacity(CPU_FULL, 20.0),
            replace(capacity(CPU_INT8, 10.0, overhead_seconds=0.0), reflex_only=True),
        ),
        "objective": replace(objective(), min_mean_accuracy=FLOOR),
        "reflex": True,
    }
    return workload(**(fields | overrides))


def overdrafts(balance: float, *pools: PoolObservation, **wanted: int) -> dict[str, float]:
    targets = [PoolTarget(p.pool, wanted.get(p.pool.variant, p.replicas)) for p in pools]
    found = with_overdrafts(laddered(), observation(10.0, *pools), Savings(balance, NOW), targets)
    return {target.pool.variant: target.overdraft for target in found}


def test_answers_save_what_is_above_the_floor_and_spend_what_is_below_it() -> None:
    before, later = Savings(1.0, NOW), NOW + timedelta(seconds=15)
    seen = observation(50.0, now=later, served=(("full", 40.0), ("int8", 5.0)), served_beside=(("full", 5.0),))
    found = saved(laddered(), seen, before)
    assert found is not None
    assert found.at == later
    assert found.balance == pytest.approx(1.0 + 15.0 * (45.0 * 0.002 - 5.0 * 0.008), abs=1e-3)


def test_nothing_is_saved_while_nobody_says_who_answers() -> None:
    found = saved(laddered(), observation(50.0, now=NOW + timedelta(seconds=15)), Savings(1.0, NOW))
    assert found is not None
    assert 0.999 < found.balance < 1.0, "and it is slowly forgotten"


def test_a_long_silence_saves_no_more_than_a_reading_can_speak_for() -> None:
    seen = observation(50.0, now=NOW + timedelta(hours=1), served=(("full", 50.0),))
    found = saved(laddered(), seen, Savings(0.0, NOW))
    assert found is not None
    assert found.balance == pytest.approx(LONGEST_READING_SECONDS * 50.0 * 0.002)


def test_a_clock_that_is_set_back_saves_nothing() -> None:
    seen = observation(50.0, now=NOW - timedelta(hours=1), served=(("full", 50.0),))
    assert saved(laddered(), seen, Savings(1.0, NOW)) == Savings(1.0, seen.now)


def test_account_begins_empty_and_is_kept_only_where_a_mean_is_asked_for() -> None:
    seen = observation(50.0, served=(("full", 50.0),))
    assert saved(laddered(), seen, None) == Savings(0.0, NOW)
    assert saved(laddered(objective=objective()), seen, None) is None
    assert saved(laddered(reflex=False), seen, Savings(1.0, NOW)) is None


def test_debts_are_forgotten_as_savings_are() -> None:
    assert carried_on(-10.0, FORGOTTEN_SECONDS, 0.0) == pytest.approx(-3.68, abs=0.01)


def test_replicas_share_what_none_of_them_holds() -> None:
    assert most_saved(laddered(), CPU_FULL) == pytest.approx(MOST)
    up = pool(CPU_FULL, 4, budgets=2.0, overdraft=0.0)
    assert overdrafts(2.0 * MOST, up) == {"full": 0.0}, "those that run hold all of it"
    assert overdrafts(4.0 * MOST, up) == {"full": 0.5}
    assert overdrafts(4.0 * MOST, up, full=10) == {"full": 0.2}, "those that are asked for have a share in it"
    assert overdrafts(9.0 * MOST, up) == {"full": 1.7}
    assert overdrafts(99.0 * MOST, up) == {"full": MOST_OVERDRAFT}
    assert overdrafts(-3.0 * MOST, up) == {"full": 0.0}


@pytest.mark.parametrize(("start_seconds", "sharing"), [(300.0, 4), (299.0, 5), (101.0, 5), (100.0, 6), (90.0, 10)])
def test_replicas_that_are_long_from_ready_have_no_share_yet(start_seconds: float, sharing: int) -> None:
    ages = (209.0, 10.0)
    up = pool(CPU_FULL, 6, 4, budgets=0.0, overdraft=0.0, start_seconds=start_seconds, starting_ages=ages)
    assert overdrafts(3.0 * MOST, up, full=10) == {"full": math.floor(30.0 / sharing + 1e-9) / 10.0}
    assert lent_to(4, (*ages, 0.0, 0.0, 0.0, 0.0), start_seconds) == sharing


def test_pool_of_a_placement_that_left_the_spec_shares_in_nothing() -> None:
    gone = pool(GPU_FULL, 2)
    found = with_overdrafts(laddered(), observation(10.0, gone), Savings(4.0 * MOST, NOW), [PoolTarget(GPU_FULL, 2)])
    assert [target.overdraft for target in found] == [0.0]


def test_how_long_a_start_takes_is_as_stated_until_one_was_seen() -> None:
    up = pool(CPU_FULL, 4, budgets=0.0, overdraft=0.0)
    slow = laddered(placements=(placement("cpu", start_seconds=600.0),))
    found = with_overdrafts(slow, observation(10.0, up), Savings(4.0 * MOST, NOW), [PoolTarget(CPU_FULL, 10)])
    assert [target.overdraft for target in found] == [1.0]


def test_replicas_that_are_to_go_have_their_share_until_they_are_gone() -> None:
    assert overdrafts(6.0 * MOST, pool(CPU_FULL, 4, budgets=4.0, overdraft=0.0), full=2) == {"full": 0.5}


def test_what_is_overdrawn_leaves_the_overdraft_as_it_is() -> None:
    before, after = pool(CPU_FULL, 4, budgets=4.0, overdraft=0.5), pool(CPU_FULL, 4, budgets=-1.0, overdraft=0.5)
    assert overdrafts(6.0 * MOST, before) == overdrafts(1.0 * MOST, after) == {"full": 0.5}


def test_debts_of_a_replica_that_is_gone_are_those_of_all() -> None:
    assert overdrafts(1.0 * MOST, pool(CPU_FULL, 4, budgets=0.0, overdraft=0.5)) == {"full": 0.2}


def test_budgets_count_as_full_when_nobody_says_how_full_they_are() -> None:
    up = pool(CPU_FULL, 4, overdraft=0.0)
    assert overdrafts(4.0 * MOST, up) == {"full": 0.0}
    assert overdrafts(8.0 * MOST, up) == {"full": 1.0}


def test_overdraft_is_lowered_at_once_and_raised_seldom() -> None:
    assert settled(None, 0.1) == 0.1
    assert settled(0.5, 0.4) == 0.4
    assert settled(0.5, 0.6) == 0.5
    assert settled(0.5, 0.7) == 0.7
    assert settled(1.0, 1.0) == settled(1.0, 1.1) == 1.0
    assert settled(7.9, MOST_OVERDRAFT) == settled(MOST_OVERDRAFT, MOST_OVERDRAFT) == MOST_OVERDRAFT


def test_what_is_saved_beyond_full_budgets_may_be_lent() -> None:
    def lendable(*pools: PoolObservation) -> float:
        return account_of(laddered(), pools).lendable_share

    rich, poor = replace(pool(CPU_FULL, 3), budgets=3.0, overdraft=1.0), replace(pool(CPU_FULL, 1), budgets=0.2)
    assert lendable(rich) == lendable(replace(rich, overdraft=MOST_OVERDRAFT)) == 1.0
    assert lendable(replace(rich, overdraft=0.4)) == pytest.approx(0.4)
    assert lendable(replace(rich, overdraft=None)) == lendable(poor) == 0.0
    assert lendable(rich, poor) == pytest.approx(0.5), "2.2 of 4, in tenths"
    assert lendable(replace(rich, budgets=None)) == 0.0, "nobody says what is left"
    assert lendable(replace(rich, ready=0, budgets=0.0)) == lendable() == 0.0
    assert lendable(replace(rich, pool=GPU_FULL), poor) == 0.0, "who has no ladder lends nothing"


def test_budgets_are_as_full_as_servers_say_and_overdrafts_count_with_them() -> None:
    def full(*pools: PoolObservation, spec: Workload | None = None) -> float:
        return account_of(spec or laddered(), pools).saved_share

    assert full(pool(CPU_FULL, 4, budgets=4.0)) == 1.0
    assert full(pool(CPU_FULL, 4, budgets=1.0)) == pytest.approx(0.25)
    assert full(pool(CPU_FULL, 4, budgets=1.0, overdraft=0.5)) == pytest.approx(0.75)
    assert full(pool(CPU_FULL, 4, budgets=-2.0, overdraft=0.1)) == 0.0
    assert full(pool(CPU_FULL, 4)) == 0.0, "nobody says what is left"
    assert full() == full(pool(GPU_FULL, 3, budgets=0.0)) == 1.0, "nothing is to be saved"
    assert full(pool(CPU_FULL, 4), spec=laddered(objective=objective())) == 1.0, "any may be cheaper"


def test_savings_last_a_minute_for_each_full_budget_of_those_that_serve() -> None:
    def seconds(*pools: PoolObservation, spec: Workload | None = None) -> float:
        return account_of(spec or laddered(), pools).seconds

    assert seconds(pool(CPU_FULL, 4, budgets=4.0, overdraft=3.0)) == pytest.approx(240.0)
    assert seconds(pool(CPU_FULL, 4, budgets=-2.0, overdraft=1.0)) == pytest.approx(30.0)
    assert seconds(pool(CPU_FULL, 4, budgets=-4.0, overdraft=1.0)) == seconds(pool(CPU_FULL, 4, overdraft=3.0)) == 0.0
    assert seconds() == seconds(pool(GPU_FULL, 3, budgets=0.0)) == 0.0, "nobody who serves has saved any"
    assert seconds(pool(CPU_FULL, 4), spec=laddered(objective=objective())) == math.inf, "any may be cheaper"


def test_pool_without_a_ladder_has_no_budget() -> None:
    assert most_saved(laddered(), CPU_INT8) == 0.0
    assert most_saved(laddered(objective=objective()), CPU_FULL) == 0.0
    assert covered_share(5.0, 0.0) == 0.0


def test_targets_stay_as_they_are_when_no_mean_is_asked_for() -> None:
    targets = (PoolTarget(CPU_FULL, 2), PoolTarget(GPU_FULL, 0, delete=True))
    assert with_overdrafts(laddered(), observation(1.0), None, targets) == targets


def test_pool_that_goes_away_takes_no_part() -> None:
    pools = (pool(CPU_FULL, 1, budgets=0.0, overdraft=0.0), pool(GPU_FULL, 3, budgets=3.0))
    targets = [PoolTarget(CPU_FULL, 2), PoolTarget(GPU_FULL, 0, delete=True)]
    spec = laddered(placements=(placement("cpu"), placement("gpu")))
    found = with_overdrafts(spec, observation(1.0, *pools), Savings(1.0 * MOST, NOW), targets)
    assert [target.overdraft for target in found] == [0.5, 0.0]


@given(st.floats(-1e9, 1e9), st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_no_more_is_allowed_than_is_free(balance: float, held: float, size: float) -> None:
    share = covered_share(balance - held, size)
    assert 0.0 <= share <= MOST_OVERDRAFT
    assert share * size <= max(balance - held, 0.0) + 1e-6 * size
