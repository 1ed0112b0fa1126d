"""What was measured of replicas, in status and back."""

from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from builders import CPU_FULL, CPU_INT8, NOW, capacity, workload
from modelscaler.capacity.measured import Measured, Measurement, carried, factor_of, statement
from modelscaler.capacity.refine import DROPPED_WEIGHT, Refinement
from modelscaler.status import measured_from
from modelscaler.status.capacity import capacity_status

STATED = capacity(CPU_INT8, 10.0)
OWN = Measurement(CPU_INT8, statement(STATED), Refinement(0.83, 9.0, -0.19, 0.1), -9, 0.034, NOW)


def test_factor_and_uncertainty_come_back_when_the_operator_starts_again() -> None:
    written = capacity_status(carried(workload(), Measured((OWN,))), {})
    read = measured_from(written)
    assert [(m.pool, m.against, m.step, m.at) for m in read.pools] == [(CPU_INT8, OWN.against, -9, NOW)]
    assert read.pools[0].known.factor == pytest.approx(factor_of(-9), rel=0.005)
    assert read.pools[0].known.uncertainty == pytest.approx(0.03)
    assert capacity_status(carried(workload(), read), {}) == written


@pytest.mark.parametrize("is_brief", [True, False])
def test_what_hardly_more_than_one_window_said_is_told_from_what_a_day_said_after_a_restart(is_brief: bool) -> None:
    known = Refinement(0.83, DROPPED_WEIGHT if is_brief else 9.0, -0.19, 0.1)
    written = capacity_status(carried(workload(), Measured((replace(OWN, known=known),))), {})
    assert [entry.seen_briefly for entry in written if entry.measured_against] == [is_brief or None]
    read = measured_from(written)
    assert read.pools[0].known.is_brief == is_brief
    assert capacity_status(carried(workload(), read), {}) == written


def test_status_says_what_is_measured_and_what_was_stated() -> None:
    entries = {(e.placement, e.variant): e for e in capacity_status(carried(workload(), Measured((OWN,))), {})}
    own, sibling, other = entries["cpu", "int8"], entries["cpu", "full"], entries["gpu", "int8"]
    assert (own.source, own.speed_factor, own.speed_uncertainty) == ("Measured", "0.837", "0.03")
    assert own.stated_rps is not None
    assert float(own.sustainable_rps) < float(own.stated_rps)
    assert (sibling.source, sibling.speed_factor, sibling.speed_uncertainty) == ("Measured", "0.837", None)
    assert (other.source, other.speed_factor, other.stated_rps) == ("Spec", None, None)


def test_doubt_that_was_stated_is_written_until_replicas_show_their_speed() -> None:
    stated, sibling = replace(STATED, relative_error=0.0625), capacity(CPU_FULL, 20.0, relative_error=0.1)
    seen = workload(capacities=(stated, sibling))
    before, after = (capacity_status(carried(seen, known), {}) for known in (Measured(), Measured((OWN,))))
    assert [(e.source, e.speed_uncertainty) for e in before] == [("Spec", "0.0625"), ("Spec", "0.1")]
    assert [(e.source, e.speed_uncertainty) for e in after] == [("Measured", "0.03"), ("Measured", None)]
    assert measured_from(before) == Measured()


def test_nothing_is_written_of_a_measurement_that_says_nothing_yet() -> None:
    early = Measurement(CPU_INT8, statement(STATED), Refinement(), 0, inf, NOW + timedelta(minutes=1))
    nothing = capacity_status(carried(workload(), Measured()), {})
    assert capacity_status(carried(workload(), Measured((early,))), {}) == nothing


@pytest.mark.parametrize(
    "edited",
    [
        {"speed_factor": "fast"},
        {"speed_factor": "nan"},
        {"speed_factor": "40"},
        {"speed_factor": "0"},
        {"speed_uncertainty": "-1"},
        {"speed_uncertainty": None},
        {"measured_time": "yesterday"},
        {"measured_against": None},
    ],
)
def test_measurement_is_forgotten_when_a_status_was_edited_by_hand(edited: dict[str, Any]) -> None:
    written = capacity_status(carried(workload(), Measured((OWN,))), {})
    assert measured_from([entry.model_copy(update=edited) for entry in written]) == Measured()


def test_speed_of_another_statement_is_not_corrected_after_a_restart() -> None:
    read = measured_from(capacity_status(carried(workload(), Measured((OWN,))), {}))
    changed = workload(capacities=(capacity(CPU_INT8, 9.0), capacity(CPU_FULL, 20.0)))
    assert {each.step for each in carried(changed, read)} == {None}
