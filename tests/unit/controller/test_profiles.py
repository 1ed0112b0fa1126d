"""Stored profiles: the last good one counts, what is wrong with a newer one is told, and nothing outlives its use."""

import json
import logging
from typing import Any

import pytest

from manifests import model_deployment
from modelscaler.controller.profiles import REFRESH_SECONDS, Profiles
from modelscaler.controller.summaries import Entry, entry_from

GOOD = json.dumps({"entries": [{"placement": "cpu", "variant": "full", "perRequestMilliseconds": "5"}]})


class FakeConfigMaps:
    def __init__(self) -> None:
        self.content: str | None = GOOD

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
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
