"""Stored capacity profiles: ConfigMaps read by name, now and then, off the event loop."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, TypeAlias

from modelscaler.api.v1alpha1 import CapacityEntry
from modelscaler.api.words import ConditionReason
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.errors import ApiCallError
from modelscaler.controller.decide import Trouble
from modelscaler.controller.summaries import Entry
from modelscaler.workload import InvalidSpec, parse_profile
from modelscaler.workload.files import PROFILE_KEY

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 5.0
CONCURRENCY: Final = 4
BUDGET_SECONDS: Final = 3.0
"""A tick does not wait longer for them, however many there are and however slow the API server is."""

NEVER: Final = float("-inf")

Name: TypeAlias = tuple[str, str]
"""Of a ConfigMap: its namespace, and its name."""

Answer: TypeAlias = tuple[CapacityEntry, ...] | Trouble
"""A profile, or why it cannot be had."""


class Profiles:
    """The last good profile of each ModelDeployment that names one; a read that fails keeps it."""

    def __init__(self, calls: ClusterCalls, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._monotonic = monotonic
        self._read: dict[Name, tuple[CapacityEntry, ...]] = {}
        self._trouble: dict[Name, Trouble] = {}
        self._due_at: dict[Name, float] = {}
        self._asked: dict[Name, Future[Answer]] = {}
        self._readers = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="profiles")

    def due(self, entries: list[Entry]) -> list[Name]:
        """Return which should be read now, those first that wait longest."""
        now = self._monotonic()
        wanted = {name for entry in entries if (name := _config_map(entry))}
        due = [name for name in wanted if self._due_at.get(name, NEVER) <= now]
        return sorted(due, key=lambda name: (self._due_at.get(name, NEVER), name))

    def refresh(self, names: list[Name]) -> None:
        """Read these ConfigMaps, a few at a time; blocking, but only for a while: the next call takes in what comes later."""
        new = {name: self._readers.submit(self._answer, name) for name in names if name not in self._asked}
        self._asked |= new
        wait(new.values(), timeout=BUDGET_SECONDS)
        for name, asked in list(self._asked.items()):
            if asked.done():
                self._take(name, self._asked.pop(name).result())

    def close(self) -> None:
        """Ask for nothing more."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def keep(self, entries: list[Entry]) -> None:
        """Forget what none of all ModelDeployments names any more."""
        named = {_config_map(entry) for entry in entries}
        for gone in [name for name in self._due_at if name not in named]:
            for known in (self._read, self._trouble, self._due_at):
                known.pop(gone, None)

    def of(self, entry: Entry) -> tuple[tuple[CapacityEntry, ...] | None, Trouble | None]:
        """Return an entry's profile (None: it names none) and why it cannot be had (None: it can)."""
        name = _config_map(entry)
        if name is None:
            return None, None
        if name in self._read:
            return self._read[name], None
        return None, self._trouble.get(name, _unavailable(name, "it has not been read yet"))

    def awaited(self, entry: Entry) -> bool:
        """Tell whether an entry's profile was never asked for yet: nothing can be said of it before."""
        name = _config_map(entry)
        return name is not None and name not in self._due_at

    def _answer(self, name: Name) -> Answer:
        """Return a profile, or why it cannot be had."""
        try:
            data = self._calls.config_map(*name)
            if data is None or PROFILE_KEY not in data:
                return _unavailable(
                    name, "expected a ConfigMap with that key; create it with `modelscaler profile … --apply`"
                )
            return parse_profile(data[PROFILE_KEY])
        except (ApiCallError, InvalidSpec) as error:
            return _unavailable(name, str(error))

    def _take(self, name: Name, answer: Answer) -> None:
        if isinstance(answer, Trouble):
            if name in self._read and self._trouble.get(name) != answer:
                log.warning("%s; the last good one counts", answer.message)
            self._trouble[name] = answer
            self._due_at[name] = self._monotonic() + RETRY_SECONDS
        else:
            self._read[name] = answer
            self._trouble.pop(name, None)
            self._due_at[name] = self._monotonic() + REFRESH_SECONDS


def _unavailable(name: Name, why: str) -> Trouble:
    field = f"spec.capacityProfile.configMapName {name[1]!r}, key {PROFILE_KEY!r}, in namespace {name[0]!r}"
    return Trouble(ConditionReason.PROFILE_UNAVAILABLE, f"{field}: {why}")


def _config_map(entry: Entry) -> Name | None:
    profile = entry.resource.spec.capacity_profile if entry.resource else None
    return (entry.key.namespace, profile.config_map_name) if profile else None
