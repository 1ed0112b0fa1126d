"""Dynamo's planner on worked examples of its two loops."""

import numpy as np
import pytest

from builders import CPU_INT8, capacity, single_pool
from meters import ToldMeter, sight
from modelscaler.replay.batching import Speed
from modelscaler.replay.policies.dynamo import Dynamo, Engine
from modelscaler.replay.policies.filters import LocalLinear
from modelscaler.replay.policies.knowledge import carried_rps

ENGINE = Engine(Speed.of(capacity(per_request_ms=10.0, overhead_seconds=0.04, max_batch=16)), 60.0, 0.5, 0.8)


@pytest.mark.parametrize(("engines_worth", "expected"), [(0.3, 1), (2.0, 2), (2.1, 3), (99.0, 10)])
def test_replicas_are_the_forecast_over_the_rate_of_one_when_an_interval_is_over(
    engines_worth: float, expected: int
) -> None:
    workload = single_pool()
    rps = engines_worth * carried_rps(workload, CPU_INT8) * (1.0 - 1e-9)
    policy = Dynamo(predictor="constant").start(workload, CPU_INT8)

    assert policy.decide(sight(ToldMeter(rps), 4, seconds=180.0)).replicas == {CPU_INT8: expected}


def test_nothing_changes_when_the_first_interval_is_not_over() -> None:
    policy = Dynamo().start(single_pool(), CPU_INT8)

    assert policy.decide(sight(ToldMeter(1.0), 4, seconds=0.0)).replicas == {CPU_INT8: 4}


def test_a_tighter_latency_asks_for_more_replicas_when_the_load_is_the_same() -> None:
    workload = single_pool()
    meter = ToldMeter(3.0 * carried_rps(workload, CPU_INT8))

    wanted = [
        Dynamo("constant", objective_share=share).start(workload, CPU_INT8).decide(sight(meter, 4)).replicas[CPU_INT8]
        for share in (1.0, 0.5, 0.25)
    ]

    assert wanted == sorted(wanted)
    assert wanted[0] < wanted[-1]


@pytest.mark.parametrize(
    ("waiting", "engines", "expected"),
    [
        (0.0, 1, 0),  # the last one stays
        (0.0, 4, -1),
        (20.0, 4, -1),  # 26.7 at each of three: 0.2 + 0.157 s, 0.307 s more than alone, of 0.8 x (0.5 - 0.05) s
        (28.0, 2, 0),  # 56 at one: three full batches and 9 more, 0.73 s
        (60.0, 4, 1),  # three full batches and 13 more, 0.77 s
    ],
)
def test_the_fast_loop_moves_by_one_when_the_queue_says_so(waiting: float, engines: int, expected: int) -> None:
    assert ENGINE.step(waiting, engines) == expected


def test_a_new_request_waits_for_full_batches_and_its_own_when_others_are_before_it() -> None:
    assert ENGINE.answer_seconds(0.0) == pytest.approx(0.05)
    assert ENGINE.answer_seconds(60.0) == pytest.approx(3 * 0.2 + 0.04 + 0.13)


@pytest.mark.parametrize(("replicas", "ready"), [(3, 3), (4, 3)])
def test_the_fast_loop_never_goes_below_the_slow_one_nor_acts_while_replicas_start(replicas: int, ready: int) -> None:
    workload = single_pool()
    policy = Dynamo("constant", load_scaling=True).start(workload, CPU_INT8)
    meter = ToldMeter(3.0 * carried_rps(workload, CPU_INT8) * (1.0 - 1e-9))

    assert policy.decide(sight(meter, replicas, ready, seconds=180.0)).replicas == {CPU_INT8: replicas}


def test_the_filter_follows_a_line_when_measurements_lie_on_one() -> None:
    level = LocalLinear(1.0, 0.1, 10.0)

    forecasts = [level.forecast_after(100.0 + 5.0 * step) for step in range(60)]

    assert forecasts[-1] == pytest.approx(100.0 + 5.0 * 60, abs=0.5)


def test_the_filter_is_the_matrix_recursion_of_its_source() -> None:
    moves, noise = np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([1.0, 0.1])
    state, spread = np.array([7.0, 0.0]), 1000.0 * np.eye(2)
    level = LocalLinear(1.0, 0.1, 10.0)
    measured = [7.0, 9.0, 4.0, 30.0, 28.0]
    for step, value in enumerate(measured):
        if step:
            gain = spread[:, 0] / (spread[0, 0] + 10.0)
            state = state + gain * (value - state[0])
            spread = spread - np.outer(gain, spread[0])
        state, spread = moves @ state, moves @ spread @ moves.T + noise

        assert level.forecast_after(value) == pytest.approx(state[0])


def test_the_filter_waits_when_the_load_has_not_begun() -> None:
    level = LocalLinear(1.0, 0.1, 10.0)

    assert [level.forecast_after(value) for value in (0.0, 0.0, 50.0)] == [0.0, 0.0, 50.0]
