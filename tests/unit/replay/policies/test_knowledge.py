"""What every policy is told of a replica."""

import pytest

from builders import CPU_INT8, objective, single_pool
from modelscaler.capacity.latency import latency_seconds, sustainable_rps
from modelscaler.replay.policies.knowledge import carried_concurrency, carried_rps


def test_the_rate_carried_keeps_the_objective() -> None:
    workload = single_pool()
    (capacity,) = workload.capacities
    rps = carried_rps(workload, CPU_INT8)
    assert rps == sustainable_rps(capacity, workload.objective)
    assert latency_seconds(capacity, rps, 0.99) == pytest.approx(0.4, rel=0.02)


def test_a_pool_that_always_misses_the_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="cpu-int8: even an idle replica misses the objective"):
        carried_rps(single_pool(objective=objective(latency_seconds=0.001)), CPU_INT8)


def test_concurrency_is_rate_times_stay_when_a_replica_is_seldom_busy() -> None:
    # Little's law: nearly always alone, so one batch of one each.
    workload = single_pool()
    rps = 0.05 * carried_rps(workload, CPU_INT8)
    assert carried_concurrency(workload, CPU_INT8, 0.05) == pytest.approx(rps * 0.012, rel=0.1)


def test_concurrency_rises_faster_than_the_rate() -> None:
    half, nearly = (carried_concurrency(single_pool(), CPU_INT8, share) for share in (0.45, 0.9))
    assert nearly > 2.2 * half
