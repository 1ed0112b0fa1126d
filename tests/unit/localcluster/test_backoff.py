"""Kubelet's delays."""

import pytest

from localcluster.node.backoff import failures_after, pull_delay_seconds, restart_delay_seconds, spoken


def test_restart_delay_doubles_to_five_minutes_when_failures_repeat() -> None:
    assert [restart_delay_seconds(n, 10) for n in range(1, 9)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_pull_delay_begins_at_once() -> None:
    assert [pull_delay_seconds(n, 10) for n in (1, 2, 3, 50)] == [10, 20, 40, 300]


@pytest.mark.parametrize(("ran_seconds", "failures"), [(599, 5), (600, 1)])
def test_failures_are_forgotten_when_a_container_ran_ten_minutes(ran_seconds: float, failures: int) -> None:
    assert failures_after(4, ran_seconds, 10) == failures


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "500ms"), (10, "10s"), (160, "2m40s"), (300, "5m0s")])
def test_delay_is_spoken_as_go_does(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
