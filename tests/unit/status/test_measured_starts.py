"""How long replicas took to start, in status and back."""

from dataclasses import replace
from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest

import builders
from builders import CPU_INT8, NOW
from modelscaler.api.v1alpha1 import CapacityStatus, ModelDeploymentStatus
from modelscaler.domain import LONGEST_START_SECONDS
from modelscaler.status import next_status, settle, starts_from
from modelscaler.status.starts import starts_status
from status_scenes import rejected, scene


def told(seconds: Any) -> list[CapacityStatus]:
    """Return what status says of a pool that starts in so many seconds; None: nothing was measured."""
    entry = CapacityStatus(placement="cpu", variant="int8", sustainable_rps="81.2", source="Spec")
    return [entry.model_copy(update={"measured_start_seconds": seconds})]


def following(previous: ModelDeploymentStatus | None, start_seconds: float | None) -> ModelDeploymentStatus:
    """Return the next status where a pool's replicas were seen to start in so many seconds, a minute later."""
    now = NOW + timedelta(minutes=1)
    inputs = scene(previous, now)
    pool = builders.pool(CPU_INT8, replicas=2, start_seconds=start_seconds)
    assert inputs.observation is not None
    return next_status(replace(inputs, observation=replace(inputs.observation, pools=(pool,))))


def test_start_comes_back_when_the_operator_starts_again() -> None:
    written = following(None, 84.4)
    assert written.capacity[0].measured_start_seconds == 84
    assert starts_from(written.capacity) == {CPU_INT8: 84}


def test_start_is_kept_when_nothing_is_seen_of_the_pool_any_more() -> None:
    assert following(following(None, 84.4), None).capacity[0].measured_start_seconds == 84


def test_start_is_kept_when_the_spec_is_broken_for_a_while() -> None:
    assert starts_from(next_status(rejected(following(None, 84.4))).capacity) == {CPU_INT8: 84}


def test_nothing_is_told_of_a_pool_that_nobody_saw_start() -> None:
    assert following(None, None).capacity[0].measured_start_seconds is None


@pytest.mark.parametrize(
    ("before", "seconds", "written"),
    [
        (100, 109.9, 100),
        (100, 90.1, 100),
        (100, 112.4, 112),
        (100, 88.0, 88),
        (3, 3.9, 3),
        (3, 4.2, 4),
        (None, 0.2, 1),
        (None, 9000.0, 3600),
    ],
)
def test_start_is_written_again_only_when_it_moved_by_a_tenth_and_a_second(
    before: int | None, seconds: float, written: int
) -> None:
    assert starts_status(told(before), {CPU_INT8: seconds}) == {CPU_INT8: written}


@pytest.mark.parametrize(("seconds", "writes"), [(84.4, False), (91.0, False), (120.0, True)])
def test_status_is_written_at_once_only_when_the_start_moved_noticeably(seconds: float, writes: bool) -> None:
    before = following(None, 84.4)
    assert (settle(before, following(before, seconds), NOW + timedelta(minutes=1), 3600.0) is not None) is writes


@pytest.mark.parametrize("edited", [0, -5, inf, -inf, nan, 2 * LONGEST_START_SECONDS])
def test_start_is_forgotten_when_a_status_was_edited_by_hand(edited: float) -> None:
    assert starts_from(told(edited)) == {}
    assert starts_status(told(edited), {}) == {}
    assert starts_status(told(edited), {CPU_INT8: 50.0}) == {CPU_INT8: 50}
