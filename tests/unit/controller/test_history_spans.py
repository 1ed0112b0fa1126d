from datetime import timedelta
from itertools import pairwise

import pytest

from builders import NOW
from modelscaler.controller.fleet import MOST_SAMPLES_AT_ONCE, spans

STEP = timedelta(seconds=60)


@pytest.mark.parametrize("series", [1, 5_000, 100_000])
def test_spans_are_the_whole_grid_in_stretches_that_fit_in_memory(series: int) -> None:
    start = NOW - timedelta(days=14)

    found = list(spans(start, NOW, STEP.total_seconds(), series))

    points = [(end - first) // STEP + 1 for first, end in found]
    assert found[0][1] == NOW
    assert found[-1][0] == start
    assert all(later[0] - earlier[1] == STEP for later, earlier in pairwise(found))
    assert sum(points) == 14 * 1440 + 1
    assert max(points) * series <= MOST_SAMPLES_AT_ONCE
