import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.engine.cost import CostModel
from modelserver.engine.rate import Rate
from modelserver.timing import LinearCost

LINES = {"full": LinearCost(0.001, 0.002, 1.0), "int8": LinearCost(0.0004, 0.001, 1.0)}


def observe(model: CostModel, variant: str, factor: float, times: int = 50, start: float = 0.0) -> float:
    """Have batches take so many times what the warm-up said; return when the last one ended."""
    now = start
    for count in range(times):
        rows = 1 + count % 16
        seconds = factor * LINES[variant].seconds(rows)
        now += seconds
        model.observe(variant, rows, seconds, seconds, now)
    return now


def test_the_warm_up_counts_when_nothing_has_run() -> None:
    assert CostModel(LINES).line("full", 0.0).seconds(16) == pytest.approx(0.018)


def test_predictions_follow_when_batches_take_longer_than_the_warm_up_said() -> None:
    model = CostModel(LINES)

    now = observe(model, "full", 2.0)

    assert model.line("full", now).seconds(16) == pytest.approx(0.036, rel=0.02)


def test_other_variants_follow_when_the_machine_has_become_slower() -> None:
    model = CostModel(LINES)
    now = observe(model, "int8", 1.0)

    now = observe(model, "full", 1.5, start=now + 10)

    assert model.line("int8", now).seconds(16) == pytest.approx(1.5 * LINES["int8"].seconds(16), rel=0.05)


def test_predictions_hardly_move_when_one_batch_is_an_outlier() -> None:
    model = CostModel(LINES)
    now = observe(model, "full", 1.0)
    margin = model.margin

    model.observe("full", 8, 100 * LINES["full"].seconds(8), 100 * LINES["full"].seconds(8), now)

    assert model.line("full", now).seconds(8) < 1.2 * LINES["full"].seconds(8)
    observe(model, "full", 1.0, 20, now)
    assert model.margin == pytest.approx(margin, rel=0.2)


def test_transfer_is_added_once_when_batches_are_small() -> None:
    model = CostModel(LINES)
    now = 0.0
    for _ in range(100):
        now += 0.004
        model.observe("full", 1, 0.004, 0.003, now)

    assert model.line("full", now).seconds(1) == pytest.approx(0.004, rel=0.02)
    assert model.line("full", now).seconds(16) == pytest.approx(0.019, rel=0.02), "not 16 times a small batch's excess"


def test_predictions_recover_when_batches_took_no_time_at_all() -> None:
    model = CostModel(LINES)
    for count in range(10_000):
        model.observe("full", 4, 0.0, 0.0, float(count))
    assert model.line("full", 10_000).seconds(4) > 0

    now = observe(model, "full", 1.0, 200, start=10_000)

    assert model.line("full", now).seconds(4) == pytest.approx(LINES["full"].seconds(4), rel=0.1)


def test_the_margin_is_what_rare_batches_take_when_times_vary() -> None:
    model = CostModel(LINES)
    now = 0.0
    for count in range(400):
        factor = 1.6 if count % 20 == 0 else 1.0
        seconds = factor * LINES["full"].seconds(8)
        now += seconds
        model.observe("full", 8, seconds, seconds, now)

    assert 1.3 < model.margin < 1.7


def test_the_margin_is_small_when_times_hardly_vary() -> None:
    model = CostModel(LINES)

    observe(model, "full", 1.0, 100)

    assert model.margin == pytest.approx(1.05)


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=100))
def test_predictions_stay_positive_and_finite_when_anything_is_observed(observed: list[float]) -> None:
    model = CostModel(LINES)
    for count, seconds in enumerate(observed):
        model.observe("full", 4, seconds, 0.5 * seconds, float(count))

    assert 0 < model.line("full", len(observed)).seconds(1) < 1e6
    assert 1.05 <= model.margin <= 3.0


def test_the_rate_is_that_of_the_arrivals_when_they_go_on() -> None:
    rate = Rate(1.0)
    for count in range(1000):
        rate.add(2, count / 100)

    assert rate.per_second(10.0) == pytest.approx(200, rel=0.02)
    assert rate.per_second(15.0) == pytest.approx(200 * 2.718**-5, rel=0.05)


def test_the_rate_is_zero_when_nothing_has_happened() -> None:
    assert Rate(1.0).per_second(5.0) == 0
