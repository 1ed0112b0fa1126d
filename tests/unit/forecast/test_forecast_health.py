from dataclasses import replace

import numpy as np
import pytest

from loads import KEY
from modelscaler.api.words import ConditionReason
from modelscaler.forecast.batch import FAILING_LOSS, FAILING_RATIO, failing
from modelscaler.forecast.cohort import Cohort
from modelscaler.forecast.health import Learning, Standing, judged, note_standing, standings
from modelscaler.forecast.online import Online
from modelscaler.forecast.pipeline import LEARNED, RUNGS

WELL = Standing(served=True, wanted=True, able=True, learned=True, failing=False, uncovered=False)
READY = Learning(has_network=True, trouble=None, failure=None)
NO_NETWORK = Learning(has_network=False, trouble="weights: cannot be read", failure=None)
FAILED = Learning(has_network=True, trouble=None, failure="out of memory")


@pytest.mark.parametrize(
    ("standing", "learning", "expected", "said"),
    [
        (WELL, READY, (True, ConditionReason.LEARNED), "network serves"),
        (None, READY, (False, ConditionReason.NO_HISTORY), "no known load"),
        (replace(WELL, served=False), READY, (False, ConditionReason.NO_HISTORY), "no known load"),
        (replace(WELL, uncovered=True), READY, (False, ConditionReason.COVERAGE_LOST), "too often"),
        (replace(WELL, wanted=False), NO_NETWORK, (True, ConditionReason.BASELINE), "forecast.model asks"),
        (WELL, NO_NETWORK, (False, ConditionReason.BASELINE), "weights: cannot be read"),
        (replace(WELL, able=False), READY, (False, ConditionReason.SHORT_HISTORY), "too little known load"),
        (replace(WELL, failing=True), READY, (False, ConditionReason.DEMOTED), "far worse"),
        (replace(WELL, learned=False), READY, (True, ConditionReason.BASELINE), "smaller losses"),
        (WELL, FAILED, (False, ConditionReason.LEARNED), "out of memory"),
    ],
)
def test_the_most_pressing_thing_is_said(
    standing: Standing | None, learning: Learning, expected: tuple[bool, ConditionReason], said: str
) -> None:
    healthy, reason, message = judged(standing, learning)

    assert (healthy, reason) == expected
    assert said in message


def followed(coverages: list[float], shares: list[float]) -> list[Standing]:
    """Return where a series stands after each tick, with such coverage and shares of the networks."""
    cohort = Cohort(60.0, 86_400.0, RUNGS, boosted=False, expected=1)
    cohort.add(KEY)
    found = []
    for coverage, share in zip(coverages, shares, strict=True):
        cohort.table["recent"][0, 0] = coverage
        note_standing(cohort, slice(0, 1), np.array([share]), np.array([True]), np.array([False]))
        found += standings(cohort, slice(0, 1))
    return found


def test_lost_coverage_is_said_until_it_has_clearly_come_back() -> None:
    coverages = [0.61, 0.59, 0.61, 0.59, 0.69, 0.71, 0.61]
    said = [standing.uncovered for standing in followed(coverages, [0.5] * len(coverages))]

    assert said == [False, True, True, True, True, False, False]


def test_the_network_is_said_to_serve_until_its_share_has_clearly_gone() -> None:
    shares = [0.04, 0.06, 0.04, 0.06, 0.03, 0.02, 0.04]
    said = [standing.learned for standing in followed([0.9] * len(shares), shares)]

    assert said == [False, True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("times", "before", "expected"),
    [(0.9, False, False), (1.1, False, True), (0.9, True, True), (0.6, True, False)],
)
def test_a_network_has_failed_until_it_is_clearly_better(times: float, before: bool, expected: bool) -> None:
    online = Online.of(1, 1, 100)
    online.mixture.counts += 100.0
    online.mixture.fast[:] = FAILING_LOSS
    online.mixture.fast[:, :, : len(LEARNED)] = times * FAILING_RATIO * FAILING_LOSS

    assert failing(online, 1, np.array([True]), np.array([before])).tolist() == [expected]
