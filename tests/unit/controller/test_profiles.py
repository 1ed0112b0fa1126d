"""Stored profiles: the last good one counts, what is wrong with a newer one is told, and nothing outlives its use."""

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from manifests import model_deployment
from modelscaler.controller.profiles import CONCURRENCY, REFRESH_SECONDS, Profiles
from modelscaler.controller.summaries import Entry, entry_from

GOOD = json.dumps({"entries": [{"placement": "cpu", "variant": "full", "perRequestMilliseconds": "5"}]})


class FakeConfigMaps:
    def __init__(self) -> None:
        self.content: str | None = GOOD
        self.asked: list[str] = []
        self.on_ask: Callable[[], None] = lambda: None

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        self.asked.append(name)
        self.on_ask()
        return None if self.content is None else {"profile.json": self.content}


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def entry(config_map: str = "speeds") -> Entry:
    changes: dict[str, Any] = {"spec.capacity": [], "spec.capacityProfile": {"configMapName": config_map}}
    return entry_from(model_deployment({"metadata.uid": "u", **changes}))


def refresh(profiles: Profiles, *entries: Entry) -> None:
    profiles.refresh(profiles.due(list(entries)))


def test_last_good_profile_counts_and_what_is_wrong_is_told_once_when_a_newer_one_cannot_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls, clock = FakeConfigMaps(), Clock()
    given: Any = calls
    profiles = Profiles(given, clock)
    refresh(profiles, entry())
    good = profiles.of(entry())
    assert good[0] is not None
    calls.content = "{"
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        clock.seconds += REFRESH_SECONDS
        refresh(profiles, entry())
    assert profiles.of(entry()) == good
    assert len(caplog.records) == 1
    assert "'speeds'" in caplog.records[0].getMessage()


def test_profile_is_read_again_when_it_was_out_of_use() -> None:
    calls: Any = FakeConfigMaps()
    profiles = Profiles(calls, Clock())
    refresh(profiles, entry("speeds"))
    profiles.keep([entry("others")])
    assert profiles.of(entry("speeds"))[0] is None
    assert profiles.due([entry("speeds")]) == [("default", "speeds")]


def test_profile_is_kept_when_it_is_in_use() -> None:
    calls: Any = FakeConfigMaps()
    profiles = Profiles(calls, Clock())
    refresh(profiles, entry("speeds"))
    profiles.keep([entry("speeds"), entry("others")])
    assert profiles.of(entry("speeds"))[0] is not None
    assert profiles.due([entry("speeds")]) == []


def test_a_tick_waits_no_longer_than_a_while_for_reads_that_hang_and_takes_them_in_when_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelscaler.controller.profiles.BUDGET_SECONDS", 0.05)
    calls, go_on = FakeConfigMaps(), threading.Event()

    def hang() -> None:
        go_on.wait(5)

    calls.on_ask = hang
    given: Any = calls
    profiles, all_of_them = Profiles(given, Clock()), [entry(f"speeds-{number:02}") for number in range(20)]
    begun = time.monotonic()
    refresh(profiles, *all_of_them)
    refresh(profiles, *all_of_them)
    assert time.monotonic() - begun < 2.0
    assert len(calls.asked) == CONCURRENCY, "none is asked for twice"
    assert all(profiles.awaited(each) for each in all_of_them)
    go_on.set()
    monkeypatch.setattr("modelscaler.controller.profiles.BUDGET_SECONDS", 5.0)
    while any(profiles.awaited(each) for each in all_of_them):
        assert time.monotonic() - begun < 5.0
        profiles.refresh([])
    assert len(calls.asked) == 20
    profiles.close()


def test_profile_that_was_never_asked_for_is_awaited_and_one_that_cannot_be_had_is_told_of() -> None:
    calls: Any = FakeConfigMaps()
    profiles = Profiles(calls, Clock())
    assert profiles.awaited(entry())
    calls.content = None
    refresh(profiles, entry())
    assert not profiles.awaited(entry())
    assert profiles.of(entry())[1] is not None
