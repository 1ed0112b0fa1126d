import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.engine.budget import Budget


def test_better_answers_pay_for_worse_ones_when_there_is_a_floor() -> None:
    empty = Budget(floor=0.98, most=1.0)

    saved = empty.changed(empty.change(0.99, 20))

    assert not empty.allows(0.97, 1)
    assert saved.held == pytest.approx(0.2)
    assert saved.allows(0.97, 20)
    assert not saved.allows(0.97, 21)


def test_everything_is_allowed_when_there_is_no_floor() -> None:
    assert Budget().allows(0.1, 1_000_000)
    assert Budget().share == 1


def test_a_variant_at_the_floor_is_allowed_when_nothing_is_held() -> None:
    assert Budget(floor=0.98, most=1.0).allows(0.98, 100)


def test_no_more_is_saved_when_the_budget_is_full() -> None:
    full = Budget(floor=0.98, most=0.1, held=0.1)

    assert full.changed(full.change(0.99, 1000)) == full
    assert full.share == 1


def test_what_is_held_stays_when_the_floor_changes() -> None:
    held = Budget(floor=0.98, most=1.0, held=0.5)

    assert held.resized(0.97, 2.0, 0.0).held == 0.5
    assert held.resized(0.97, 0.2, 0.0).held == pytest.approx(0.2)


@given(st.lists(st.tuples(st.sampled_from([0.99, 0.985, 0.97, 0.96]), st.integers(1, 64)), max_size=60))
def test_the_mean_is_never_below_the_floor_when_only_what_is_allowed_is_done(batches: list[tuple[float, int]]) -> None:
    budget = Budget(floor=0.98, most=0.5)
    rows = total = 0.0
    for accuracy, count in batches:
        if budget.allows(accuracy, count):
            budget = budget.changed(budget.change(accuracy, count))
            rows, total = rows + count, total + count * accuracy

    assert budget.held >= 0
    assert total >= 0.98 * rows - 1e-9


def test_budget_is_overdrawn_as_far_as_it_may_and_saved_up_again() -> None:
    budget = Budget(floor=0.98, most=1.0, overdraft=0.5)

    assert budget.allows(0.97, 49)
    assert not budget.allows(0.97, 51)
    spent = budget.changed(budget.change(0.97, 49))
    assert spent.share == pytest.approx(-0.49)
    assert not spent.allows(0.97, 2)
    assert spent.changed(spent.change(0.99, 10)).allows(0.97, 10)


def test_nothing_more_is_spent_when_an_overdraft_is_lowered_below_what_is_overdrawn() -> None:
    spent = Budget(floor=0.98, most=1.0, held=-0.5, overdraft=0.5).resized(0.98, 1.0, 0.1)

    assert not spent.allows(0.97, 1)
    assert spent.allows(0.98, 100)
