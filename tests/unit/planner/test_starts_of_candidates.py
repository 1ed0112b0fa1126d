"""How long a replica is expected to take: as it did, as its neighbours did, or as the spec says."""

import pytest

from builders import CPU_INT8, GPU_FULL, GPU_INT8, observation, outage, pool, workload
from modelscaler.domain import Observation, PolicyState, PoolKey
from modelscaler.planner.candidates import candidate_of, candidates

SERVING = PolicyState(active=CPU_INT8)
STATED = {"cpu": 20.0, "gpu": 60.0}


def starts(seen: Observation, state: PolicyState = SERVING) -> dict[str, float]:
    """Return how long each candidate takes to start, which one alone tells likewise."""
    found = {c.pool: c.start_seconds for c in candidates(workload(), seen, state)}
    alone = {key: candidate_of(workload(), seen, state, key) for key in found}
    assert {key: c.start_seconds for key, c in alone.items() if c} == found
    return {str(key): seconds for key, seconds in found.items()}


def remembering(*known: tuple[PoolKey, float]) -> Observation:
    """Return an observation of the serving pool, of which no start was seen, and of what the status has."""
    return observation(50.0, pool(CPU_INT8, 1), remembered_starts=known)


def test_start_is_as_stated_when_none_was_measured() -> None:
    assert starts(remembering()) == {"cpu-full": 20.0, "cpu-int8": 20.0, "gpu-full": 60.0, "gpu-int8": 60.0}


def test_start_of_a_pool_that_is_gone_is_as_the_status_remembers_it() -> None:
    assert starts(remembering((GPU_FULL, 240.0)))["gpu-full"] == 240.0


def test_start_that_is_seen_counts_when_the_status_remembers_another() -> None:
    seen = observation(50.0, pool(CPU_INT8, 1, start_seconds=35.0), remembered_starts=((CPU_INT8, 90.0),))
    assert starts(seen)["cpu-int8"] == 35.0


def test_start_is_the_placement_s_longest_when_only_other_variants_were_measured() -> None:
    spare = PoolKey("gpu", "distilled")
    found = starts(remembering((GPU_FULL, 240.0), (spare, 90.0)))
    assert found["gpu-int8"] == 240.0
    assert found["gpu-full"] == 240.0, "its own"
    assert found["cpu-full"] == STATED["cpu"], "another placement says nothing"


def test_own_start_counts_when_another_variant_of_the_placement_takes_longer() -> None:
    assert starts(remembering((GPU_FULL, 240.0), (GPU_INT8, 30.0)))["gpu-int8"] == 30.0


@pytest.mark.parametrize("state", [SERVING, PolicyState(active=GPU_INT8)])
def test_start_is_as_measured_when_a_pool_is_out(state: PolicyState) -> None:
    seen = remembering((GPU_FULL, 240.0))
    out = PolicyState(active=state.active, outages=(outage(GPU_FULL, seen.now),))
    assert starts(seen, out)["gpu-full"] == 240.0
