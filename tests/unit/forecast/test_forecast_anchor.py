"""The adaptive anchor: what it mixes, how it judges, and that it never looks ahead."""

import numpy as np
import pytest

from modelscaler.forecast.anchor import Judgements, anchored, excess_shares, judge_stride, judged
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.rules import RULES, guesses

STEP_SECONDS = 600.0
DAY = 144
AHEAD = 3


def daily(days: int, noise: float, seed: int = 0) -> np.ndarray:
    at = np.arange(days * DAY)
    shape = 10.0 + 5.0 * np.sin(2.0 * np.pi * at / DAY)
    return shape + noise * np.random.default_rng(seed).normal(size=len(at))


def record_of(panel: Panel, ahead: int = AHEAD) -> Judgements:
    return judged(panel, ahead, np.arange(0, panel.columns, judge_stride(panel.step_seconds)), None)


def distance_to(panel: Panel, rps: np.ndarray, name: str) -> float:
    """Return how close the anchor is to one rule, as a share of the distance between the extremes of all guesses."""
    origins = np.arange(len(rps) - DAY, len(rps) - AHEAD)
    made = guesses(panel, origins, AHEAD)
    anchor = anchored(panel, made, origins, record_of(panel))
    off = np.abs(anchor.point[0, 0] - made.points[0, RULES.index(name), 0])
    extremes = np.nanmax(made.points[0, :, 0], axis=0) - np.nanmin(made.points[0, :, 0], axis=0)
    return float(np.median(off) / np.median(extremes))


def test_anchor_follows_yesterday_when_the_load_repeats_daily() -> None:
    rps = daily(10, 0.0)
    assert distance_to(Panel.of(rps[None], STEP_SECONDS, 1), rps, "day") < 0.02


def test_anchor_follows_the_last_value_when_the_load_is_a_random_walk() -> None:
    rps = 1_000.0 + np.cumsum(np.random.default_rng(1).normal(size=10 * DAY))
    panel = Panel.of(rps[None], STEP_SECONDS, 1)
    assert distance_to(panel, rps, "last") < distance_to(panel, rps, "day")


def test_anchor_does_not_change_when_the_future_does() -> None:
    rps = daily(9, 1.0)
    cutoff = 8 * DAY
    changed = rps.copy()
    changed[cutoff + 1 :] = 1e6
    origins = np.arange(cutoff - 20, cutoff + 1)
    points = []
    for values in (rps, changed):
        panel = Panel.of(values[None], STEP_SECONDS, 1)
        anchor = anchored(panel, guesses(panel, origins, AHEAD), origins, record_of(panel))
        points.append((anchor.point, anchor.scale, anchor.errors))
    for one, other in zip(*points, strict=True):
        np.testing.assert_array_equal(one, other)


def test_judging_in_parts_equals_judging_at_once() -> None:
    panel = Panel.of(daily(6, 2.0)[None], STEP_SECONDS, 1)
    columns = np.arange(0, panel.columns, judge_stride(STEP_SECONDS))
    whole = judged(panel, AHEAD, columns, None)
    part = judged(panel, AHEAD, columns[:400], None)
    rest = judged(panel, AHEAD, columns[400:], part.last())

    np.testing.assert_allclose(rest.errors[..., -1], whole.errors[..., -1], rtol=1e-4)
    np.testing.assert_allclose(rest.excess[..., -1], whole.excess[..., -1], rtol=1e-4, atol=1e-6)


def test_distances_come_back_as_loads() -> None:
    panel = Panel.of(daily(3, 1.0)[None], STEP_SECONDS, 1)
    origins = np.arange(2 * DAY, 2 * DAY + 5)
    anchor = anchored(panel, guesses(panel, origins, AHEAD), origins, record_of(panel))
    came = np.abs(np.random.default_rng(0).normal(10.0, 3.0, anchor.point.shape)).astype(np.float32)
    np.testing.assert_allclose(anchor.absolute(anchor.relative(came)), came, rtol=1e-3)


def test_shares_of_residuals_fall_with_the_threshold_and_count_what_is_known() -> None:
    panel = Panel.of(daily(8, 2.0)[None], STEP_SECONDS, 1)
    shares, weight = excess_shares(record_of(panel), np.array([panel.columns - 1]))
    assert (np.diff(shares[:, :, :, 0, 0], axis=2) <= 1e-6).all()
    assert (weight > 0.5).all()


@pytest.mark.parametrize(
    "rps",
    [
        np.zeros(500),
        np.full(500, 3.0),
        np.full(500, np.nan),
        np.r_[np.full(499, np.nan), 2.0],
        np.where(np.arange(500) % 97 == 0, 5.0, 0.0),
    ],
    ids=["zero", "constant", "unknown", "one point", "sparse"],
)
def test_anchor_is_finite_when_the_load_is_odd(rps: np.ndarray) -> None:
    panel = Panel.of(rps[None], STEP_SECONDS, 1)
    origins = np.array([499])
    anchor = anchored(panel, guesses(panel, origins, AHEAD), origins, record_of(panel))
    assert np.isfinite(anchor.point).all()
    assert (anchor.scale > 0).all()
