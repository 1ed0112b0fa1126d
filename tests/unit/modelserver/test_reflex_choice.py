from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.engine.budget import Budget
from modelserver.engine.reflex import (
    DWELL_SECONDS,
    Choice,
    Footing,
    Place,
    Rung,
    Situation,
    choose,
    fastest,
    is_in_time,
)
from modelserver.timing import LinearCost

FULL = Rung("full", 0.99, LinearCost(0.002, 0.004, 1.0), 16)
MIDDLE = Rung("bf16", 0.985, LinearCost(0.001, 0.003, 1.0), 16)
FAST = Rung("int8", 0.97, LinearCost(0.0005, 0.002, 1.0), 16)
LADDER = (FULL, MIDDLE, FAST)
FREE = Budget()
NOW = 100.0


def situation(
    rows: int = 16,
    slack_seconds: float = 1.0,
    arrivals: float = 0.0,
    allowance_seconds: float = inf,
    margin: float = 1.0,
    room_rows: int = 10_000,
    room_seconds: float = inf,
    others: tuple[float, ...] = (),
) -> Situation:
    """Return a situation in which all who wait have the same slack."""
    places = [Place(1.0, slack_seconds), Place(float(rows), slack_seconds)]
    return Situation(rows, places, arrivals, allowance_seconds, room_seconds, room_rows, margin, others)


def decide(at_hand: Situation, budget: Budget = FREE, footing: Footing | None = None) -> Choice:
    return choose(LADDER, at_hand, budget, footing or Footing(), NOW)


def test_the_most_accurate_is_taken_when_there_is_time() -> None:
    assert decide(situation(slack_seconds=1.0)).index == 0


def test_the_most_accurate_is_taken_when_nobody_says_how_long_to_wait() -> None:
    assert decide(situation(rows=5000, slack_seconds=inf, arrivals=1e6)).index == 0


def test_the_next_is_taken_when_the_first_would_be_too_late() -> None:
    slack = 0.03  # full takes 36 ms for 16 rows, bf16 19 ms

    assert decide(situation(slack_seconds=slack)).index == 1


def test_the_fastest_is_taken_when_none_is_in_time() -> None:
    assert decide(situation(slack_seconds=0.001)).index == 2


def test_a_faster_one_is_taken_when_what_is_left_behind_would_be_too_late() -> None:
    alone = situation(rows=16, slack_seconds=0.05)
    with_others_behind = situation(rows=32, slack_seconds=0.045)

    assert decide(alone).index == 0
    assert decide(with_others_behind).index == 1, "36 ms and 10 for the rest of them is more than 45"


def test_a_faster_one_is_taken_when_those_who_arrive_meanwhile_would_be_too_late() -> None:
    quiet = situation(slack_seconds=0.05, allowance_seconds=0.06)
    busy = situation(slack_seconds=0.05, allowance_seconds=0.06, arrivals=2000.0)

    assert decide(quiet).index == 0
    assert decide(busy).index > 0


def test_a_faster_one_is_taken_when_the_queue_would_overflow() -> None:
    roomy = situation(rows=100, slack_seconds=10, allowance_seconds=10, arrivals=2000.0, room_rows=500)
    narrow = situation(rows=100, slack_seconds=10, allowance_seconds=10, arrivals=2000.0, room_rows=120)

    assert decide(roomy).index == 0
    assert decide(narrow).index > 0


def test_a_faster_one_is_taken_when_the_queue_would_hold_more_work_than_it_may() -> None:
    long = situation(rows=100, slack_seconds=10, allowance_seconds=10, room_seconds=1.0)
    short = situation(rows=100, slack_seconds=10, allowance_seconds=10, room_seconds=0.15)

    assert decide(long).index == 0
    assert decide(short).index == 1, "84 rows take 189 ms, or 100 by the next"


def test_a_worker_more_has_room_for_more_when_the_time_is_the_same() -> None:
    assert FULL.room_rows(seconds=0.36, workers=1) == pytest.approx(160)
    assert FULL.room_rows(seconds=0.36, workers=2) == pytest.approx(320)


def test_a_batch_for_each_worker_has_room_when_one_takes_longer_than_the_time() -> None:
    assert FULL.room_rows(seconds=0.001, workers=3) == 48


def test_a_faster_one_is_taken_when_batches_may_exceed_what_is_predicted() -> None:
    assert decide(situation(slack_seconds=0.04)).index == 0
    assert decide(situation(slack_seconds=0.04, margin=1.2)).index == 1


def test_the_most_accurate_is_taken_when_other_workers_share_what_is_left_behind() -> None:
    alone = situation(rows=48, slack_seconds=0.05)
    together = situation(rows=48, slack_seconds=0.05, others=(0.005, 0.005))

    assert decide(alone).index > 0
    assert decide(together).index == 0


def test_a_better_one_is_taken_when_the_budget_does_not_allow_the_fastest() -> None:
    budget = Budget(floor=0.98, most=10.0, held=0.0)

    choice = decide(situation(slack_seconds=0.001), budget)

    assert choice.index == 1, "bf16 is above the floor, and faster than full"
    assert choice.starved


def test_the_fastest_is_taken_when_the_budget_allows_it() -> None:
    choice = decide(situation(slack_seconds=0.001), Budget(floor=0.98, most=10.0, held=0.2))

    assert choice.index == 2
    assert not choice.starved


def test_it_stays_down_when_a_better_one_has_only_just_become_possible() -> None:
    just_needed = Footing(index=2, needed_at=NOW - 0.5 * DWELL_SECONDS)
    long_ago = Footing(index=2, needed_at=NOW - 2 * DWELL_SECONDS)

    assert decide(situation(), footing=just_needed).index == 2
    assert decide(situation(), footing=long_ago).index == 0


def test_it_stays_down_when_a_better_one_is_possible_without_room_to_spare() -> None:
    long_ago = Footing(index=2, needed_at=NOW - 10)

    assert decide(situation(slack_seconds=0.0365), footing=long_ago).index == 1
    assert decide(situation(slack_seconds=0.0365), footing=Footing()).index == 0


def test_the_single_one_is_taken_when_the_ladder_has_one() -> None:
    assert choose((FULL,), situation(slack_seconds=0), Budget(0.9, 1.0, 0.0), Footing(), NOW).index == 0


situations = st.builds(
    situation,
    rows=st.integers(1, 400),
    slack_seconds=st.floats(0.0, 2.0),
    arrivals=st.floats(0, 5000),
    allowance_seconds=st.floats(0.01, 2.0),
    margin=st.floats(1.0, 3.0),
    others=st.lists(st.floats(0, 0.1), max_size=3).map(tuple),
)
budgets = st.builds(lambda floor, share: Budget(floor, 5.0, 5.0 * share), st.floats(0.97, 0.99), st.floats(0, 1))
footings = st.builds(Footing, index=st.integers(0, 2), needed_at=st.floats(NOW - 1, NOW))


@given(situations, budgets, footings)
def test_the_budget_never_falls_below_zero_when_the_reflex_chooses(
    at_hand: Situation, budget: Budget, footing: Footing
) -> None:
    rung = LADDER[decide(at_hand, budget, footing).index]

    after = budget.changed(budget.change(rung.accuracy, min(at_hand.rows, rung.max_rows)))

    assert after.held >= 0


@given(
    rows=st.integers(1, 400),
    more=st.integers(0, 400),
    slack_seconds=st.floats(0.0, 2.0),
    arrivals=st.floats(0, 5000),
    allowance_seconds=st.floats(0.01, 2.0),
    footing=footings,
)
def test_a_longer_queue_never_makes_the_choice_more_accurate_when_all_else_is_the_same(
    rows: int, more: int, slack_seconds: float, arrivals: float, allowance_seconds: float, footing: Footing
) -> None:
    shorter = situation(rows, slack_seconds, arrivals, allowance_seconds)
    longer = situation(rows + more, slack_seconds, arrivals, allowance_seconds)

    assert decide(longer, footing=footing).index >= decide(shorter, footing=footing).index


@given(situations, st.floats(0, 1))
def test_less_time_never_makes_a_rung_fit_when_it_did_not(at_hand: Situation, share: float) -> None:
    hurried = Situation(
        at_hand.rows,
        [Place(place.rows, share * place.slack_seconds) for place in at_hand.places],
        at_hand.arrivals_per_second,
        at_hand.allowance_seconds,
        at_hand.room_seconds,
        at_hand.room_rows,
        at_hand.margin,
        at_hand.others_busy_seconds,
    )
    for rung in LADDER:
        assert is_in_time(rung, FAST, at_hand, 1.0) or not is_in_time(rung, FAST, hurried, 1.0)


def test_the_fastest_is_by_rows_per_second_when_caps_differ() -> None:
    small_batches = Rung("eager", 0.9, LinearCost(0.0004, 0.002, 1.0), 2)

    assert fastest((FULL, small_batches, FAST)) == 2
