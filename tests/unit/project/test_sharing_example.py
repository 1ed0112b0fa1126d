"""The table in examples/06-shared-accelerators/README.md is what the operator plans."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from builders import observation
from modelscaler.domain import PolicyState, Workload, WorkloadKey
from modelscaler.planner.claims import Bidder, share_out
from modelscaler.planner.plan import plan, sized_options
from modelscaler.planner.supply import Census, NodeUnits
from modelscaler.workload import parse_resource, workload_from

EXAMPLE = Path(__file__).parents[3] / "examples" / "06-shared-accelerators"
GPU = "nvidia.com/gpu"
RATES = {"shop-search": 70.0, "partner-search": 35.0}


def spec(name: str) -> Workload:
    return workload_from(parse_resource(yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())), None)


def planned(units: int) -> tuple[str, ...]:
    """Return what is planned for both when that many GPUs are there and nothing runs yet."""
    bidders = []
    for name, rps in RATES.items():
        made, seen, state = spec(name), observation(rps), PolicyState()
        bidders.append(Bidder(made, seen, state, sized_options(made, seen, None, state, 15.0)))
    shared = share_out(bidders, Census(frozenset({GPU}), (NodeUnits(GPU, units),)))
    plans = [
        plan(b.workload, replace(b.observation, allowances=shared[b.key]), None, b.state, 15.0)[0] for b in bidders
    ]
    return tuple(f"{made.target.replicas} × {made.target.pool.placement}" for made in plans)


TABLE = re.findall(r"^\| (\d) \| (.+?) \| (.+?) \|$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)


def test_table_has_a_row_for_every_number_of_accelerators() -> None:
    assert [units for units, _, _ in TABLE] == ["3", "2", "1", "0"]


@pytest.mark.parametrize(("units", "shop", "partner"), TABLE)
def test_plan_is_that_of_the_table(units: str, shop: str, partner: str) -> None:
    assert planned(int(units)) == (shop, partner)


def test_priorities_are_those_of_the_readme() -> None:
    assert {name: spec(name).priority for name in RATES} == {"shop-search": 10, "partner-search": 0}
    assert spec("shop-search").key == WorkloadKey("shop", "shop-search")
