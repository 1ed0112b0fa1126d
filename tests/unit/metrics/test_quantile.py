import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscaler.metrics.quantile import bucket_quantile

INF = math.inf
# promqltest/testdata/histograms.test of prometheus/prometheus, `testhistogram`.
POSITIVE = [(0.1, 5.0), (0.2, 7.0), (1.0, 11.0), (INF, 12.0)]
NEGATIVE = [(-0.2, 1.0), (-0.1, 2.0), (0.3, 2.0), (INF, 3.0)]


@pytest.mark.parametrize(
    ("quantile", "buckets", "expected"),
    [
        (0.2, POSITIVE, 0.048),
        (0.5, POSITIVE, 0.15),
        (0.8, POSITIVE, 0.72),
        (0.2, NEGATIVE, -0.2),
        (0.5, NEGATIVE, -0.15),
        (0.8, NEGATIVE, 0.3),
    ],
)
def test_quantile_is_prometheus_s_own_when_buckets_are_its_worked_examples(
    quantile: float, buckets: list[tuple[float, float]], expected: float
) -> None:
    assert bucket_quantile(quantile, buckets) == pytest.approx(expected)


def test_quantile_is_the_highest_finite_bound_when_it_falls_into_the_infinite_bucket() -> None:
    assert bucket_quantile(0.99, [(0.1, 1.0), (0.5, 2.0), (INF, 100.0)]) == 0.5


def test_quantile_is_none_when_nothing_was_observed() -> None:
    assert bucket_quantile(0.99, [(0.1, 0.0), (INF, 0.0)]) is None


def test_sinking_counts_are_lifted_when_a_bucket_lags_behind() -> None:
    assert bucket_quantile(0.5, [(0.1, 4.0), (0.2, 3.0), (INF, 4.0)]) == pytest.approx(0.05)


@pytest.mark.parametrize("buckets", [[], [(INF, 3.0)], [(0.1, 3.0), (0.2, 4.0)]])
def test_quantile_is_refused_when_the_buckets_make_no_histogram(buckets: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match=r"expected a finite bound at least, and \+Inf"):
        bucket_quantile(0.5, buckets)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, math.nan])
def test_quantile_is_refused_when_out_of_range(quantile: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0 and less than 1"):
        bucket_quantile(quantile, POSITIVE)


BOUNDS = st.lists(st.floats(0.001, 100.0), min_size=1, max_size=12, unique=True).map(sorted)
COUNTS = st.lists(st.floats(0.0, 1e6), min_size=13, max_size=13)


@given(BOUNDS, COUNTS, st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_quantile_rises_with_its_share_and_stays_within_the_bounds_when_buckets_are_any(
    bounds: list[float], counts: list[float], one: float, other: float
) -> None:
    cumulative = [sum(counts[: index + 1]) for index in range(len(bounds) + 1)]
    buckets = list(zip([*bounds, INF], cumulative, strict=True))
    low, high = bucket_quantile(min(one, other), buckets), bucket_quantile(max(one, other), buckets)
    if cumulative[-1] == 0.0:
        assert low is high is None
    else:
        assert low is not None
        assert high is not None
        assert 0.0 <= low <= high + 1e-9
        assert high <= bounds[-1]
