"""Generated loads as a whole: which kinds there are, and how what they do is spread."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.forecast.learning.generated import GeneratedPanel, generate
from modelscaler.forecast.learning.generated.kinds import KINDS, PAIRED_SHARES
from modelscaler_benchmarks.generated_load.statistics import STATISTICS

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
TEN_MINUTES = 600.0
FORTNIGHT = 2016
UNFORESEEABLE = ("random walk", "noise")


@pytest.fixture(scope="module")
def many() -> GeneratedPanel:
    """So many series that every kind is among them."""
    return generate(np.random.default_rng(1), 900, TEN_MINUTES, FORTNIGHT, MONDAY)


def test_every_kind_occurs_about_as_often_as_its_share_when_there_are_many(many: GeneratedPanel) -> None:
    shares = {name: recipe.share for name, recipe in KINDS.items()} | dict(PAIRED_SHARES)
    found = Counter(many.kinds)

    for name, share in shares.items():
        expected = len(many.kinds) * share / sum(shares.values())
        assert 0.0 < found[name] < 2.0 * expected + 5.0, name
        assert found[name] > 0.4 * expected - 3.0, name


def test_some_loads_have_gaps_and_most_have_not_when_there_are_many(many: GeneratedPanel) -> None:
    missing = np.isnan(many.rps)

    assert 0.4 < (~missing.any(axis=1)).mean() < 0.8
    assert not missing.all(axis=1).any()
    known = (~missing).sum(axis=1)
    young = (known < FORTNIGHT) & (np.cumsum(missing, axis=1).argmax(axis=1) == FORTNIGHT - known - 1)
    assert 0.03 < young.mean() < 0.25


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("mean, rps", (0.0, 0.01), (800.0, 10_000.0)),
        ("peak / mean", (1.0, 1.8), (30.0, 400.0)),
        ("autocorrelation, 1 day", (-0.3, 0.05), (0.8, 1.0)),
        ("autocorrelation, 1 week", (-0.6, 0.05), (0.85, 1.0)),
        ("steps that are zero", (0.0, 0.0), (0.5, 1.0)),
        ("change per step / mean", (0.0, 0.05), (1.0, 2.0)),
        ("change in 10 min / mean", (0.0, 0.05), (1.0, 2.0)),
        ("steps missing", (0.0, 0.0), (0.5, 1.0)),
    ],
)
def test_statistics_span_what_real_loads_do_when_there_are_many(
    many: GeneratedPanel, name: str, low: tuple[float, float], high: tuple[float, float]
) -> None:
    values = np.array([STATISTICS[name](rps, TEN_MINUTES) for rps in many.rps])
    fifth, ninety_fifth = np.nanpercentile(values, [5, 95])

    assert low[0] <= fifth <= low[1]
    assert high[0] <= ninety_fifth <= high[1]


@pytest.mark.parametrize("kind", UNFORESEEABLE)
def test_a_load_without_structure_is_about_a_twentieth_of_all(many: GeneratedPanel, kind: str) -> None:
    assert 0.02 < np.mean([name == kind for name in many.kinds]) < 0.08
