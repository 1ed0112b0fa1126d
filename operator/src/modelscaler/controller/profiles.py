"""Stored capacity profiles: ConfigMaps read by name, now and then, off the event loop."""

import logging
import time
from collections.abc import Callable

from modelscaler.api.v1alpha1 import CapacityEntry
from modelscaler.api.words import ConditionReason
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.errors import ApiCallError
from modelscaler.controller.decide import Trouble
from modelscaler.controller.summaries import Entry
from modelscaler.workload import InvalidSpec, parse_profile
from modelscaler.workload.files import PROFILE_KEY

log = logging.getLogger(__name__)

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 5.0


class Profiles:
    """The last good profile of each ModelDeployment that names one; a read that fails keeps it."""

    def __init__(self, calls: ClusterCalls, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._monotonic = monotonic
        self._read: dict[tuple[str, str], tuple[CapacityEntry, ...]] = {}
        self._trouble: dict[tuple[str, str], Trouble] = {}
        self._due_at: dict[tuple[str, str], float] = {}

    def due(self, entries: list[Entry]) -> list[tuple[str, str]]:
        """Return the (namespace, ConfigMap name) pairs that should be read now."""
        now = self._monotonic()
        wanted = {name for entry in entries if (name := _config_map(entry))}
        return sorted(name for name in wanted if self._due_at.get(name, 0.0) <= now)

    def refresh(self, names: list[tuple[str, str]]) -> None:
        """Read these ConfigMaps; blocking."""
        for name in names:
            trouble = self._refresh_one(name)
            if trouble is None:
                self._trouble.pop(name, None)
            else:
                if name in self._read and self._trouble.get(name) != trouble:
                    log.warning("%s; the last good one counts", trouble.message)
                self._trouble[name] = trouble
            self._due_at[name] = self._monotonic() + (RETRY_SECONDS if trouble else REFRESH_SECONDS)

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
        waiting = Trouble(ConditionReason.PROFILE_UNAVAILABLE, f"ConfigMap {name[1]!r} has not been read yet")
        return None, self._trouble.get(name, waiting)

    def _refresh_one(self, name: tuple[str, str]) -> Trouble | None:
        try:
            data = self._calls.config_map(*name)
            if data is None or PROFILE_KEY not in data:
                return _unavailable(
                    name, "expected a ConfigMap with that key; create it with `modelscaler profile … --apply`"
                )
            self._read[name] = parse_profile(data[PROFILE_KEY])
        except (ApiCallError, InvalidSpec) as error:
            return _unavailable(name, str(error))
        return None


def _unavailable(name: tuple[str, str], why: str) -> Trouble:
    field = f"spec.capacityProfile.configMapName {name[1]!r}, key {PROFILE_KEY!r}, in namespace {name[0]!r}"
    return Trouble(ConditionReason.PROFILE_UNAVAILABLE, f"{field}: {why}")


def _config_map(entry: Entry) -> tuple[str, str] | None:
    profile = entry.resource.spec.capacity_profile if entry.resource else None
    return (entry.key.namespace, profile.config_map_name) if profile else None
