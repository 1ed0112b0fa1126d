from dataclasses import replace

import pytest

from builders import CPU_FULL, CPU_INT8, capacity, observation, single_pool, workload
from modelscaler.domain import PolicyState
from modelscaler.planner.candidates import NoCandidateError, candidates

FULL, BURSTS = capacity(CPU_FULL, 20.0), replace(capacity(CPU_INT8, 10.0), reflex_only=True)


def test_pair_is_never_planned_when_it_answers_bursts_only() -> None:
    spec = workload(capacities=(FULL, BURSTS))
    found = candidates(spec, observation(500.0), PolicyState())
    assert [candidate.pool for candidate in found] == [CPU_FULL]


def test_nothing_can_be_planned_when_all_pairs_answer_bursts_only() -> None:
    with pytest.raises(NoCandidateError):
        candidates(single_pool(capacities=(BURSTS,)), observation(1.0), PolicyState())
