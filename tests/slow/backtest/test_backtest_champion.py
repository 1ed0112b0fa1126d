"""Our own method over recorded load: it never looks ahead, and finds nothing where there is nothing to find."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.backtest.cases import Case, case_of
from modelscaler.backtest.champion import Champion, Tuner, learner_from
from modelscaler.backtest.method import silent
from modelscaler.backtest.naive import Naive
from modelscaler.backtest.targets import targets
from modelscaler.backtest.trace import Trace
from modelscaler.forecast.base import QUANTILES, pinball
from modelscaler.forecast.network import Network
from modelscaler.forecast.networks import shipped_network
from modelscaler.forecast.own import Own
from modelscaler.forecast.panel import Panel

STEP_SECONDS = 600.0
DAY = 144
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
LEVELS = [0.5, 0.9, 0.99]


def shipped() -> Network:
    network = shipped_network()
    assert network is not None
    return network


class Recording:
    """A tuner that learns nothing, says the shipped network, and writes down how far it was let see."""

    def __init__(self) -> None:
        self.cutoffs: list[Sequence[int]] = []
        self.grown_until: list[tuple[int, int, int]] = []

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        self.cutoffs.append(cutoffs)
        return shipped()

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        self.grown_until.append((panel.columns, cutoff, ahead))
        return ()


class Diligent:
    """Learns as the backtest does, and fails where nothing is learned: then there would be nothing to be honest about."""

    def __init__(self) -> None:
        self._learner = learner_from(shipped())

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        network = self._learner.tuned(panels, cutoffs, aheads)
        assert network is not None
        return network

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        trees = self._learner.grown(panel, cutoff, ahead)
        assert len(trees) == panel.series
        return trees


@pytest.fixture(params=[None, Diligent], ids=["as shipped", "tuned, with trees of its own"])
def champion(request: pytest.FixtureRequest) -> Champion:
    tuner: Tuner | None = request.param() if request.param else None
    return Champion("ours", shipped(), tuner)


def case(rps: np.ndarray) -> Case:
    return case_of(Trace("made", STEP_SECONDS, MONDAY, rps))


def walk(days: int = 12) -> np.ndarray:
    return 500.0 + np.cumsum(np.random.default_rng(4).normal(size=days * DAY))


def losses(asked: Case, said: np.ndarray) -> np.ndarray:
    """Return mean losses of the value, (horizons, LEVELS), of forecasts (horizons, targets, origins, quantiles)."""
    levels = [QUANTILES.index(level) for level in LEVELS]
    came = [targets(asked.trace.rps, ahead)[0, asked.origins] for ahead in asked.horizons]
    missed = [pinball(values, quantiles[0])[:, levels] for values, quantiles in zip(came, said, strict=True)]
    return np.array([np.nanmean(of_horizon, axis=0) for of_horizon in missed])


def test_forecasts_do_not_change_when_the_future_does(champion: Champion) -> None:
    rps = walk(8)
    changed = rps.copy()
    late = len(rps) - DAY
    changed[late + 1 :] = 9e5
    before, after = (champion.forecast([case(values)], silent)[0] for values in (rps, changed))
    origins = case(rps).origins
    tolerance = 1e-5 if champion.tuner else 0.0  # how fast a fit begins follows from the clock, in its last digits
    np.testing.assert_allclose(before[:, :, origins <= late], after[:, :, origins <= late], rtol=tolerance)
    assert (before[:, :, origins > late] != after[:, :, origins > late]).any()


def test_tuner_sees_each_trace_only_up_to_where_what_it_learned_serves() -> None:
    tuner, lengths = Recording(), (8 * DAY, 6 * DAY)
    cases = [case(walk(8)), case(walk(6))]
    Champion("ours", shipped(), tuner).forecast(cases, silent)
    assert tuner.cutoffs == [[int(share * length) - 1 for length in lengths] for share in (0.6, 0.7, 0.8, 0.9)]
    assert sorted(tuner.grown_until) == sorted(
        (length, int(share * length) - 1, ahead)
        for length in lengths
        for share in (0.6, 0.7, 0.8, 0.9)
        for ahead in cases[0].horizons
    )


def test_random_walk_is_forecast_like_its_last_value(champion: Champion) -> None:
    asked = case(walk())
    ours = losses(asked, champion.forecast([asked], silent)[0])
    last = losses(asked, Naive("last", "additive").forecast([asked], silent)[0])
    assert (ours / last > [0.98, 0.98, 0.95]).all(), ours / last
    assert (ours / last < [1.04, 1.04, 1.1]).all(), ours / last


def test_independent_noise_gives_no_gain_against_its_own_distribution(champion: Champion) -> None:
    asked = case(50.0 + 5.0 * np.random.default_rng(5).normal(size=14 * DAY))
    said = champion.forecast([asked], silent)[0]
    known = np.broadcast_to(50.0 + 5.0 * np.array([-1.2816, 0.0, 1.2816, 1.6449, 2.3263]), said.shape)
    ratio = losses(asked, said) / losses(asked, known)
    assert (ratio > [0.98, 0.98, 0.95]).all(), ratio
    assert (ratio < [1.04, 1.06, 1.12]).all(), ratio


@pytest.mark.parametrize(
    "rps",
    [
        np.zeros(900),
        np.full(900, 2.0),
        np.where(np.arange(900) % 50 == 0, 3.0, 0.0),
        np.r_[np.full(450, np.nan), walk(4)[:450]],
    ],
    ids=["zero", "constant", "sparse", "young"],
)
def test_forecasts_are_finite_and_do_not_cross_when_the_load_is_odd(rps: np.ndarray) -> None:
    ours = Champion("ours", shipped(), None).forecast([case(rps)], silent)[0]
    assert np.isfinite(ours).all()
    assert (ours >= 0.0).all()
    assert (np.diff(ours, axis=-1) >= 0.0).all()
