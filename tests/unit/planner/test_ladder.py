from dataclasses import replace

import pytest

from builders import CPU_FULL, CPU_INT8, GPU_FULL, capacity, objective, workload
from modelscaler.domain import PoolKey, VariantOption, Workload
from modelscaler.planner.ladder import ladder_of

CPU_TINY = PoolKey("cpu", "tiny")
VARIANTS = (VariantOption("full", 0.92), VariantOption("int8", 0.91), VariantOption("tiny", 0.8))


def three(**overrides: object) -> Workload:
    """Return a workload whose CPUs run three variants, each faster than the one before, with the reflex on."""
    speeds = (capacity(CPU_FULL, 20.0), capacity(CPU_INT8, 10.0), capacity(CPU_TINY, 5.0), capacity(GPU_FULL, 4.0))
    return workload(**({"variants": VARIANTS, "capacities": speeds, "reflex": True} | overrides))


def test_ladder_goes_from_the_planned_variant_down_to_the_fastest() -> None:
    assert ladder_of(three(), CPU_FULL) == ("full", "int8", "tiny")
    assert ladder_of(three(), CPU_INT8) == ("int8", "tiny")


def test_planned_variant_is_alone_when_the_reflex_is_off_or_no_other_runs_there() -> None:
    assert ladder_of(three(reflex=False), CPU_FULL) == ("full",)
    assert ladder_of(three(), GPU_FULL) == ("full",)
    assert ladder_of(three(), CPU_TINY) == ("tiny",)


def test_variant_below_the_floor_is_no_rung() -> None:
    assert ladder_of(three(objective=objective(min_accuracy=0.85)), CPU_FULL) == ("full", "int8")


@pytest.mark.parametrize("per_request_ms", [20.0, 30.0])
def test_variant_is_no_rung_when_it_answers_worse_and_no_faster(per_request_ms: float) -> None:
    speeds = (capacity(CPU_FULL, 20.0), capacity(CPU_INT8, per_request_ms), capacity(CPU_TINY, 5.0))
    assert ladder_of(three(capacities=speeds), CPU_FULL) == ("full", "tiny")


def test_variant_that_answers_bursts_only_is_a_rung() -> None:
    speeds = (capacity(CPU_FULL, 20.0), replace(capacity(CPU_INT8, 10.0), reflex_only=True))
    assert ladder_of(three(capacities=speeds), CPU_FULL) == ("full", "int8")


def test_pool_that_left_the_spec_keeps_its_variant_alone() -> None:
    assert ladder_of(three(), PoolKey("cpu", "gone")) == ("gone",)
    assert ladder_of(three(), PoolKey("tpu", "full")) == ("full",)
