from dataclasses import replace

import pytest

from modelscaler.api.words import ConditionReason
from modelscaler.forecast.health import LEAST_COVERAGE, Learning, Standing, judged

WELL = Standing(served=True, wanted=True, able=True, learned=True, failing=False, coverage=0.9)
READY = Learning(has_network=True, trouble=None, failure=None)
NO_NETWORK = Learning(has_network=False, trouble="weights: cannot be read", failure=None)
FAILED = Learning(has_network=True, trouble=None, failure="out of memory")


@pytest.mark.parametrize(
    ("standing", "learning", "expected", "said"),
    [
        (WELL, READY, (True, ConditionReason.LEARNED), "network serves"),
        (None, READY, (False, ConditionReason.NO_HISTORY), "no known load"),
        (replace(WELL, served=False), READY, (False, ConditionReason.NO_HISTORY), "no known load"),
        (replace(WELL, coverage=LEAST_COVERAGE - 0.01), READY, (False, ConditionReason.COVERAGE_LOST), "too often"),
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
