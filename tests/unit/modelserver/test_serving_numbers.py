from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modelserver.errors import BuildError, LoadError
from modelserver.search_ranker.features import KIND_COUNT, SEQUENCE_LENGTH, Pairs
from modelserver.search_ranker.gate import GateFigures, batch_drift, cosine, outlier_drift, refuse_unfit
from modelserver.search_ranker.recipe import Recipe
from modelserver.serving.health import Facts, why_not_accepting, why_not_live, why_not_ready
from modelserver.serving.metrics import DURATION_BUCKETS, parse_labels
from modelserver.timing import batch_cap, fit_linear_cost

GOOD = {"accuracy": 0.94, "accuracy_of_full": 0.94, "cosine": 0.9999, "batch_drift": 0.0, "outlier_drift": 0.0}


def make_pairs(count: int) -> Pairs:
    rng = np.random.default_rng(0)
    shape = (count, SEQUENCE_LENGTH)
    return Pairs(rng.integers(1, 4096, size=shape), rng.integers(1, KIND_COUNT, size=shape))


def independent_scorer(pairs: Pairs) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = pairs.tokens.sum(axis=1).astype(np.float32)
    return scores


def per_tensor_dynamic_scorer(pairs: Pairs) -> NDArray[np.float32]:
    """Quantize with a range taken from the whole batch, as dynamic int8 per tensor does."""
    exact = pairs.tokens.sum(axis=1).astype(np.float32)
    step = np.abs(exact).max() / 127
    scores: NDArray[np.float32] = np.round(exact / step) * step
    return scores


def test_gate_passes_a_variant_when_every_figure_is_good() -> None:
    refuse_unfit("int8", GateFigures(**GOOD), Recipe())


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"accuracy": 0.85, "accuracy_of_full": 0.85}, "accuracy 0.85"),
        ({"accuracy": 0.92}, "accuracy lost 0.02"),
        ({"cosine": 0.99}, "cosine to full"),
        ({"batch_drift": 0.01}, "drift over batch sizes"),
        ({"outlier_drift": 0.01}, "drift beside outliers"),
        ({"cosine": float("nan")}, "cosine to full nan"),
    ],
)
def test_gate_refuses_a_variant_and_names_the_figure_when_one_is_bad(change: dict[str, float], names: str) -> None:
    with pytest.raises(BuildError, match="'int8' refused") as refused:
        refuse_unfit("int8", GateFigures(**{**GOOD, **change}), Recipe())
    assert names in str(refused.value)


def test_rows_that_leak_into_each_other_are_found_by_the_drifts() -> None:
    pairs, rng = make_pairs(40), np.random.default_rng(1)
    assert batch_drift(independent_scorer, pairs) == 0.0
    assert outlier_drift(independent_scorer, pairs, 4096, rng) == 0.0
    bound = 2e-3
    assert batch_drift(per_tensor_dynamic_scorer, pairs) > bound
    assert outlier_drift(per_tensor_dynamic_scorer, pairs, 4096, np.random.default_rng(1)) > bound


def test_cosine_ignores_a_shift_and_sees_a_reversal() -> None:
    scores = np.array([1.0, 2.0, 4.0])
    assert cosine(scores, scores + 7) == pytest.approx(1.0)
    assert cosine(scores, -scores) == pytest.approx(-1.0)


def test_line_is_found_when_batches_cost_one() -> None:
    cost = fit_linear_cost({size: 0.004 * size + 0.002 for size in (1, 2, 4, 8)})
    assert cost.per_request_seconds == pytest.approx(0.004)
    assert cost.overhead_seconds == pytest.approx(0.002)
    assert cost.r2 == pytest.approx(1.0)


def test_overhead_is_never_negative_when_large_batches_get_dearer() -> None:
    cost = fit_linear_cost({1: 0.010, 2: 0.021, 4: 0.046, 8: 0.100})
    assert cost.overhead_seconds == 0.0
    assert 0.010 <= cost.per_request_seconds <= 0.0125


def test_cap_is_the_smallest_batch_of_nearly_the_best_rate() -> None:
    assert batch_cap({1: 0.010, 2: 0.016, 4: 0.0305, 8: 0.060}) == 4
    assert batch_cap({1: 0.010, 2: 0.021, 4: 0.044}) == 1


def test_duration_buckets_step_by_12_percent_where_objectives_lie() -> None:
    fine = [bound for bound in DURATION_BUCKETS if 0.02 <= bound <= 5.0]
    assert fine[0] == 0.02
    assert all(1.10 <= after / before <= 1.13 for before, after in pairwise(fine))
    assert list(DURATION_BUCKETS) == sorted(set(DURATION_BUCKETS))


def test_labels_are_read_when_well_formed() -> None:
    assert parse_labels("") == {}
    assert parse_labels("a=1,b_c=x.y-z,d=") == {"a": "1", "b_c": "x.y-z", "d": ""}


@pytest.mark.parametrize("text", ["a", "1a=2", "a-b=2", "variant=full", "__name__=x", "a=1,b"])
def test_labels_are_refused_when_malformed_or_taken(text: str) -> None:
    with pytest.raises(LoadError, match="MODELSERVER_METRIC_LABELS"):
        parse_labels(text)


def make_facts(**changes: Any) -> Facts:
    return Facts(
        **{
            "phase": "serving",
            "loaded": True,
            "thread_alive": True,
            "failure": None,
            "busy_seconds": 0.0,
            "wedged_after_seconds": 30.0,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("changes", "live", "ready", "accepting"),
    [
        ({}, True, True, True),
        ({"loaded": False}, True, False, False),
        ({"phase": "lame duck"}, True, False, True),
        ({"phase": "draining"}, True, False, False),
        ({"thread_alive": False}, False, False, False),
        ({"failure": ValueError("x"), "thread_alive": False}, False, False, False),
        ({"busy_seconds": 29.0}, True, True, True),
        ({"busy_seconds": 31.0}, False, False, False),
    ],
)
def test_health_tells_the_truth(changes: dict[str, Any], live: bool, ready: bool, accepting: bool) -> None:
    facts = make_facts(**changes)
    assert (why_not_live(facts) is None, why_not_ready(facts) is None, why_not_accepting(facts) is None) == (
        live,
        ready,
        accepting,
    )
