"""The forecasts of a replay: what is learned for it is learned from the days before it alone."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.forecast.network import Network
from modelscaler.forecast.networks import shipped_network
from modelscaler.forecast.own import NONE, Own
from modelscaler.forecast.panel import Panel
from modelscaler.replay.foresight import History, Learned, foresee, learned

HORIZON_SECONDS = 165.0
DAY_STEPS = 1440


class Learner:
    """Remembers what it was asked to learn from."""

    def __init__(self) -> None:
        self.cutoffs: list[int] = []
        self.grown_for: list[tuple[int, int]] = []

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        self.cutoffs += cutoffs
        return None

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        self.grown_for.append((cutoff, ahead))
        return NONE


def history(days_before: float, rps: float = 20.0) -> History:
    """Return so many days of minutes, and a replayed hour after them."""
    first = round(days_before * DAY_STEPS)
    noise = np.random.default_rng(0).poisson(rps * 60.0, first + 60) / 60.0
    return History(datetime(2026, 3, 2, tzinfo=UTC), 60.0, noise, first)


def test_everything_is_learned_from_what_lies_before_it_serves() -> None:
    learner, past = Learner(), history(4.5)
    known = learned(past, learner, HORIZON_SECONDS)

    assert [each.since for each in known] == [past.first - DAY_STEPS, past.first]
    assert learner.cutoffs == [each.since - 1 for each in known]
    assert learner.grown_for == [(each.since - 1, ahead) for each in known for ahead in (1, 3)]
    assert [tuple(each.trees) for each in known] == [(1, 3)] * 2


@pytest.mark.parametrize(("days", "times"), [(2.9, 0), (3.0, 1), (3.9, 1), (4.0, 2)])
def test_nothing_is_learned_from_less_than_three_days(days: float, times: int) -> None:
    learner = Learner()

    assert len(learned(history(days), learner, HORIZON_SECONDS)) == len(learner.cutoffs) == times


@pytest.mark.parametrize("shipped", [shipped_network(), None], ids=["with the shipped network", "by rules alone"])
def test_what_was_learned_serves_from_its_column_on(shipped: Network | None) -> None:
    past, network = history(0.5), shipped_network()
    assert network is not None
    without = foresee(past, HORIZON_SECONDS, shipped)
    with_it = foresee(past, HORIZON_SECONDS, shipped, [Learned(past.first, network, {1: NONE, 3: NONE})])

    assert with_it.quantiles.shape == without.quantiles.shape == (2, 61, 3, without.quantiles.shape[-1])
    before = with_it.quantiles[:, 0], without.quantiles[:, 0]  # made a minute before it begins
    np.testing.assert_allclose(*before, rtol=1e-6)
    assert not np.allclose(with_it.quantiles[:, 1:], without.quantiles[:, 1:], rtol=1e-4)
