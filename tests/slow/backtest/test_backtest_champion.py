"""Our own method over recorded load: it never looks ahead, and finds nothing where there is nothing to find."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from modelscaler.backtest.cases import Case, case_of
from modelscaler.backtest.champion import Champion
from modelscaler.backtest.method import silent
from modelscaler.backtest.naive import Naive
from modelscaler.backtest.targets import targets
from modelscaler.backtest.trace import Trace
from modelscaler.forecast.base import QUANTILES, pinball
from modelscaler.forecast.network import Network
from modelscaler.forecast.networks import Networks
from modelscaler.forecast.own import Own
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.pipeline import PRETRAINED

STEP_SECONDS = 600.0
DAY = 144
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


class Recording:
    """A tuner that learns nothing and writes down how far it was let see."""

    def __init__(self) -> None:
        self.cutoffs: list[Sequence[int]] = []
        self.grown_until: set[int] = set()

    def tuned(self, panels: Sequence[Panel], cutoffs: Sequence[int], aheads: Sequence[Sequence[int]]) -> Network | None:
        self.cutoffs.append(cutoffs)
        return None

    def grown(self, panel: Panel, cutoff: int, ahead: int) -> Own:
        self.grown_until.add(cutoff)
        return ()


def shipped() -> Network:
    return Networks(None, None).known(boosted=False)[PRETRAINED]


def case(rps: np.ndarray) -> Case:
    return case_of(Trace("made", STEP_SECONDS, MONDAY, rps))


def walk(days: int = 12) -> np.ndarray:
    return 500.0 + np.cumsum(np.random.default_rng(4).normal(size=days * DAY))


def loss(asked: Case, said: np.ndarray, horizon: int, level: float) -> float:
    came = targets(asked.trace.rps, asked.horizons[horizon])[0, asked.origins]
    return float(np.nanmean(pinball(came, said[horizon, 0])[:, QUANTILES.index(level)]))


def test_forecasts_do_not_change_when_the_future_does() -> None:
    rps = walk(8)
    changed = rps.copy()
    late = len(rps) - DAY
    changed[late + 1 :] = 9e5
    champion = Champion("ours", shipped(), None)
    before, after = (champion.forecast([case(values)], silent)[0] for values in (rps, changed))
    origins = case(rps).origins
    np.testing.assert_array_equal(before[:, :, origins <= late], after[:, :, origins <= late])
    assert (before[:, :, origins > late] != after[:, :, origins > late]).any()


def test_tuner_sees_each_trace_only_up_to_its_own_split() -> None:
    tuner = Recording()
    Champion("ours", shipped(), tuner).forecast([case(walk(8)), case(walk(6))], silent)
    assert tuner.cutoffs[0] == [int(0.6 * 8 * DAY) - 1, int(0.6 * 6 * DAY) - 1]
    assert len(tuner.cutoffs) == 4
    assert tuner.grown_until <= {int(share * days * DAY) - 1 for share in (0.6, 0.7, 0.8, 0.9) for days in (8, 6)}


def test_random_walk_is_forecast_like_its_last_value() -> None:
    asked = case(walk())
    ours = Champion("ours", shipped(), None).forecast([asked], silent)[0]
    last = Naive("last", "additive").forecast([asked], silent)[0]
    ratio = loss(asked, ours, 0, 0.9) / loss(asked, last, 0, 0.9)
    assert 0.97 < ratio < 1.08


def test_independent_noise_gives_no_gain_against_its_own_distribution() -> None:
    rps = 50.0 + 5.0 * np.random.default_rng(5).normal(size=14 * DAY)
    asked = case(rps)
    ours = Champion("ours", shipped(), None).forecast([asked], silent)[0]
    known = np.broadcast_to(50.0 + 5.0 * np.array([-1.2816, 0.0, 1.2816, 1.6449, 2.3263]), ours[0, 0].shape)
    ideal = loss(asked, known[None, None], 0, 0.9)
    assert 0.98 < loss(asked, ours, 0, 0.9) / ideal < 1.1


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
