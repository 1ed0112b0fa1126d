"""Every setting that is tried: few, the makers' first, and each runs within the bounds."""

import numpy as np
import pytest

from builders import CPU_INT8, NOW, single_pool
from modelscaler.replay.case import Case
from modelscaler.replay.load import Load
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.policies.grids import GRIDS, static_sizes
from modelscaler.replay.policies.hpa import Hpa
from modelscaler.replay.policies.keda import Keda
from modelscaler.replay.policies.knative import Knative
from modelscaler.replay.policies.oracle import Oracle, clairvoyant_hourly_cost, fewest_replicas
from modelscaler.replay.policies.predictive_hpa import PredictiveHpa
from modelscaler.replay.policies.ray_serve import RayServe
from modelscaler.replay.run import replay
from modelscaler.replay.sight import PolicyKind

WORKLOAD = single_pool(min_replicas=2, max_replicas=12)
ENDS = [kind for grid in GRIDS.values() for kind in (grid[0], grid[-1])]


def a_rise_and_a_fall(minutes: int = 24) -> Load:
    """Return a load that rises eightfold and falls again, Poisson."""
    slots = minutes * 240
    expected = 60.0 + 420.0 * np.sin(np.linspace(0.0, np.pi, slots)) ** 4
    counts = np.random.default_rng(1).poisson(expected * 0.25).astype(np.int64)
    return Load("generated", NOW, 0.25, counts, expected)


LOAD = a_rise_and_a_fall()
CASE = Case(WORKLOAD, CPU_INT8, LOAD)


def label(kind: PolicyKind) -> str:
    return f"{kind.name}-{'-'.join(f'{value}' for value in kind.settings.values())}"


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_is_small_and_begins_with_what_the_makers_ship(name: str) -> None:
    grid, shipped = GRIDS[name], (Hpa(), Keda(), Knative(), RayServe(), PredictiveHpa())
    assert 1 < len(grid) <= 16
    assert len({tuple(kind.settings.items()) for kind in grid}) == len(grid)
    assert {kind.name for kind in grid} == {name}
    assert name == "hpa-busy" or grid[0] in shipped
    assert all(kind.start(WORKLOAD, CPU_INT8).interval_seconds > 0.0 for kind in grid)


@pytest.mark.parametrize("kind", ENDS, ids=label)
def test_replicas_stay_within_the_bounds_and_follow_the_load(kind: PolicyKind) -> None:
    timeline = replay(CASE, kind, 2)
    asked = (timeline.ready + timeline.starting)[0]
    assert asked.min() >= 2
    assert asked.max() <= 12
    middle = len(asked) // 2
    assert asked[middle : middle + 40].max() > 4


def test_no_rival_is_cheaper_than_the_clairvoyant_when_it_serves_everybody_in_time() -> None:
    unit = clairvoyant_hourly_cost(LOAD, WORKLOAD, CPU_INT8)
    told = outcome_of(replay(CASE, Oracle(LOAD), 2))
    assert told.violating_share < 0.01
    assert unit <= told.mean_hourly_cost < 1.3 * unit
    for kind in (Hpa(target=0.5), Keda(threshold=0.5), Knative(metric="rps", utilization=0.5)):
        outcome = outcome_of(replay(CASE, kind, 2))
        assert outcome.mean_hourly_cost > told.mean_hourly_cost


def test_fixed_sizes_are_around_the_peak() -> None:
    fewest = fewest_replicas(LOAD, WORKLOAD, CPU_INT8)
    sizes = [kind.replicas for kind in static_sizes(fewest)]
    assert sizes[0] == fewest.max()
    assert len(set(sizes)) == len(sizes)
    assert min(sizes) < sizes[0] < max(sizes)
