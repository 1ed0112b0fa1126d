"""Every setting of the rivals with a model of the server: few, the makers' first, and each runs within the bounds."""

import numpy as np
import pytest

from builders import CPU_FULL, CPU_INT8, NOW, capacity, placement, single_pool, workload
from modelscaler.domain import VariantOption
from modelscaler.replay.case import Case
from modelscaler.replay.load import Load
from modelscaler.replay.outcome import outcome_of
from modelscaler.replay.policies.autopilot import Autopilot
from modelscaler.replay.policies.dynamo import Dynamo
from modelscaler.replay.policies.grids_more import GRIDS_MORE
from modelscaler.replay.policies.infadapter import InfAdapter
from modelscaler.replay.policies.wva import Wva
from modelscaler.replay.run import replay
from modelscaler.replay.sight import PolicyKind

ONE = single_pool(min_replicas=2, max_replicas=12)
TWO = workload(
    variants=(VariantOption("full", 0.92), VariantOption("int8", 0.90)),
    placements=(placement("cpu"),),
    capacities=(capacity(CPU_FULL, 20.0), capacity(CPU_INT8, 10.0)),
    min_replicas=2,
    max_replicas=16,
)
ENDS = [kind for grid in GRIDS_MORE.values() for kind in (grid[0], grid[-1])]


def a_rise_and_a_fall(highest_rps: float) -> Load:
    """Return half an hour of a load that rises to its highest rate and falls again, Poisson."""
    slots = 30 * 240
    expected = highest_rps * (0.15 + 0.85 * np.sin(np.linspace(0.0, np.pi, slots)) ** 2)
    counts = np.random.default_rng(1).poisson(expected * 0.25).astype(np.int64)
    return Load("generated", NOW, 0.25, counts, expected)


def label(kind: PolicyKind) -> str:
    return f"{kind.name}-{'-'.join(f'{value}' for value in kind.settings.values())}"


@pytest.mark.parametrize("name", GRIDS_MORE)
def test_a_grid_is_small_and_begins_with_what_the_makers_ship(name: str) -> None:
    grid = GRIDS_MORE[name]

    assert 1 < len(grid) <= 16
    assert len({tuple(kind.settings.items()) for kind in grid}) == len(grid)
    assert {kind.name for kind in grid} == {name}
    assert grid[0] in (Dynamo(), Wva(), InfAdapter(), Autopilot())


@pytest.mark.parametrize("kind", ENDS, ids=label)
def test_replicas_stay_within_the_bounds_and_follow_the_load_when_there_is_one_pool(kind: PolicyKind) -> None:
    timeline = replay(Case(ONE, CPU_INT8, a_rise_and_a_fall(480.0)), kind, 2)

    asked = (timeline.ready + timeline.starting)[0]
    middle = len(asked) // 2
    assert asked.min() >= 2
    assert asked.max() <= 12
    assert asked[middle : middle + 60].max() > 4
    assert outcome_of(timeline).violating_share < 0.5


@pytest.mark.parametrize("kind", [Wva(), InfAdapter(alpha=0.3), InfAdapter()], ids=label)
def test_several_pools_stay_within_the_bounds_when_variants_share_the_load(kind: PolicyKind) -> None:
    timeline = replay(Case(TWO, CPU_FULL, a_rise_and_a_fall(700.0)), kind, 4)

    asked = (timeline.ready + timeline.starting).sum(axis=0)
    assert set(timeline.pools) == {CPU_FULL, CPU_INT8}
    assert asked.min() >= 2
    # While sizes are replaced, the old and the new ones run together.
    assert asked.max() <= (32 if kind.name == "infadapter" else 16)
    assert 0.90 <= outcome_of(timeline).mean_accuracy < 0.92
    assert timeline.served.sum() > 0.8 * timeline.offered.sum()
