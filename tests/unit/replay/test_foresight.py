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


def test_everything_is_learned_from_what_lies_before_the_replay() -> None:
    learner, past = Learner(), history(3.5)
    known = learned(past, learner, HORIZON_SECONDS)

    assert known is not None
    assert learner.cutoffs == [past.first - 1]
    assert (
        learner.grown_for
        == [(past.first - 1, ahead) for ahead in known.trees]
        == [(past.first - 1, 1), (past.first - 1, 3)]
    )


def test_nothing_is_learned_from_less_than_three_days() -> None:
    learner = Learner()

    assert learned(history(2.9), learner, HORIZON_SECONDS) is None
    assert not learner.cutoffs


@pytest.mark.parametrize("shipped", [shipped_network(), None], ids=["with the shipped network", "by rules alone"])
def test_what_was_learned_serves_from_the_beginning_of_the_replay_on(shipped: Network | None) -> None:
    past, network = history(0.5), shipped_network()
    assert network is not None
    without = foresee(past, HORIZON_SECONDS, shipped)
    with_it = foresee(past, HORIZON_SECONDS, shipped, Learned(network, {1: NONE, 3: NONE}))

    assert with_it.quantiles.shape == without.quantiles.shape == (2, 61, 3, without.quantiles.shape[-1])
    before = with_it.quantiles[:, 0], without.quantiles[:, 0]  # made a minute before it begins
    np.testing.assert_allclose(*before, rtol=1e-6)
    assert not np.allclose(with_it.quantiles[:, 1:], without.quantiles[:, 1:], rtol=1e-4)
    assert np.isfinite(with_it.quantiles).all()
