"""The recommender of percentiles on worked examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import CPU_INT8, single_pool
from meters import ToldMeter, sight
from modelscaler.replay.policies.autopilot import Autopilot, Histogram
from modelscaler.replay.policies.knowledge import carried_rps


@given(st.lists(st.floats(0.0, 3000.0), min_size=1, max_size=40))
def test_a_percentile_is_a_sample_rounded_up_by_a_bucket_when_nothing_is_forgotten(values: list[float]) -> None:
    usage = Histogram(1.0)
    for value in values:
        usage.add(value)

    highest = max(values)
    assert highest <= usage.percentile(1.0) * (1.0 + 1e-9) <= 1.06 * highest + 0.0101


def test_a_sample_weighs_half_when_the_half_life_is_over() -> None:
    usage = Histogram(0.5)
    for value in (100.0, 1.0, 1.0):
        usage.add(value)

    # Weights 1/4, 1/2 and 1: 1.5 of 1.75, 86 %, lie at 1.
    assert usage.percentile(0.85) == pytest.approx(1.0, rel=0.06)
    assert usage.percentile(0.87) == pytest.approx(100.0, rel=0.06)


def test_replicas_are_the_percentile_and_the_margin_when_loads_were_mixed() -> None:
    workload = single_pool(max_replicas=20)
    rps = carried_rps(workload, CPU_INT8)
    policy = Autopilot(percentile=0.9, margin=0.15).start(workload, CPU_INT8)

    wanted = [
        policy.decide(sight(ToldMeter((8.0 if minute in {3, 7} else 2.0) * rps), 4, seconds=60.0 * minute))
        for minute in range(1, 41)
    ]

    assert 8.0 * 1.15 <= wanted[9].replicas[CPU_INT8] <= 8.4 * 1.15 + 1  # 2 of 10 were at 8
    assert wanted[39].replicas == {CPU_INT8: 3}  # 2 of 40 were: the 90th percentile is 2, 2.3 with the margin


def test_nothing_changes_when_nothing_was_measured() -> None:
    policy = Autopilot().start(single_pool(), CPU_INT8)

    assert policy.decide(sight(ToldMeter(1.0), 4, seconds=0.0)).replicas == {CPU_INT8: 4}
