"""Our own caches of ModelDeployments and their children, fed by watches, by lists and by the answers to our writes.

A list-diff drops what a watch lost (after 410 Gone, Kopf relists but never drops what was deleted in the gap). Versions
decide what is newer, so the feeds may arrive in any order.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, TypeAlias

from modelscaler.api import ACTIVATOR
from modelscaler.controller.summaries import (
    SUMMARISE,
    ActivatorSummary,
    Body,
    DeploymentSummary,
    Entry,
    PodSummary,
    RouteSummary,
    ServiceSummary,
    entry_from,
    version_of,
)
from modelscaler.domain import LONGEST_START_SECONDS, PoolKey, WorkloadKey
from modelscaler.planner.starts import STARTS_KEPT
from modelscaler.render import activator_name, beside_name

MirroredKind: TypeAlias = Literal["ModelDeployment", "Deployment", "Service", "Pod", "HTTPRoute"]
ObjectName: TypeAlias = tuple[str, str]
TOMBSTONES_KEPT = 10_000
MOST_ACTIVATORS = 2
"""Of a ModelDeployment: one, and while it is replaced the next one."""


class Mirror:
    """What we believe the API server has. `on_change` is told of every ModelDeployment that something changed for."""

    def __init__(self, on_change: Callable[[WorkloadKey], None]) -> None:
        self._on_change = on_change
        self._entries: dict[ObjectName, Entry] = {}
        self._deployments: dict[WorkloadKey, dict[str, DeploymentSummary | ActivatorSummary]] = defaultdict(dict)
        self._services: dict[WorkloadKey, dict[str, ServiceSummary]] = defaultdict(dict)
        self._routes: dict[WorkloadKey, dict[str, RouteSummary]] = defaultdict(dict)
        self._pods: dict[WorkloadKey, dict[str, PodSummary]] = defaultdict(dict)
        self._starts: dict[tuple[WorkloadKey, str], deque[float]] = defaultdict(lambda: deque(maxlen=STARTS_KEPT))
        self._dropped: dict[tuple[str, str, str], int] = {}

    # --- reading

    def keys(self) -> list[WorkloadKey]:
        """Return every ModelDeployment's key."""
        return [entry.key for entry in self._entries.values()]

    def entry(self, key: WorkloadKey) -> Entry | None:
        """Return a ModelDeployment; None when there is none."""
        return self._entries.get((key.namespace, key.name))

    def deployments(self, key: WorkloadKey) -> list[DeploymentSummary]:
        """Return the Deployments of a ModelDeployment's pools."""
        return [child for child in self._deployments.get(key, {}).values() if isinstance(child, DeploymentSummary)]

    def activator(self, key: WorkloadKey) -> ActivatorSummary | None:
        """Return the Deployment of a ModelDeployment's activator; None when there is none."""
        found = self._deployments.get(key, {}).get(activator_name(key.name))
        return found if isinstance(found, ActivatorSummary) else None

    def service(self, key: WorkloadKey) -> ServiceSummary | None:
        """Return the Service of a ModelDeployment's serving pool; None when there is none."""
        return self._services.get(key, {}).get(key.name)

    def beside(self, key: WorkloadKey) -> ServiceSummary | None:
        """Return the Service of the pool beside the serving one; None when there is none."""
        return self._services.get(key, {}).get(beside_name(key.name))

    def route(self, key: WorkloadKey) -> RouteSummary | None:
        """Return the HTTPRoute of a ModelDeployment; None when there is none."""
        return self._routes.get(key, {}).get(key.name)

    def pods(self, key: WorkloadKey) -> list[PodSummary]:
        """Return the pods of a ModelDeployment that have not ended: objects of evicted ones may stay for ever."""
        return [pod for pod in self._pods.get(key, {}).values() if not pod.ended]

    def holders(self) -> Iterator[tuple[WorkloadKey, str]]:
        """Return the addresses of the activators that take requests, and whose they are."""
        for key in self._services:
            service = self.service(key)
            if service is not None and service.held and self.entry(key) is not None:
                ready = (pod.ip for pod in self.pods(key) if pod.pool == ACTIVATOR and pod.ready and pod.ip)
                yield from ((key, address) for address in islice(ready, MOST_ACTIVATORS))

    def starts_seconds(self, key: WorkloadKey, pool: PoolKey) -> list[float]:
        """Return the newest measured starts of a pool's pods, in seconds."""
        return list(self._starts.get((key, str(pool)), ()))

    # --- feeding

    def absorb(self, kind: MirroredKind, body: Body) -> None:
        """Take in an object as the API server has it, unless a newer one, or its deletion, is known."""
        meta = body["metadata"]
        name = (meta["namespace"], meta["name"])
        if version_of(body) <= self._dropped.get((kind, *name), -1):
            return
        if kind == "ModelDeployment":
            self._absorb_entry(name, entry_from(body))
        elif summary := SUMMARISE[kind](body):
            self._absorb_child(self._table(kind)[summary.owner], meta["name"], summary)

    def drop(self, kind: MirroredKind, body: Body) -> None:
        """Forget an object that was deleted."""
        meta = body["metadata"]
        self._dropped[kind, meta["namespace"], meta["name"]] = version_of(body)
        while len(self._dropped) > TOMBSTONES_KEPT:
            self._dropped.pop(next(iter(self._dropped)))
        self._forget(kind, (meta["namespace"], meta["name"]))

    def newest_version(self, kind: MirroredKind) -> int:
        """Return the newest version that is known of a kind; 0 where none is."""
        return max((version for _, version in self._known(kind)), default=0)

    def replace(self, kind: MirroredKind, items: Iterable[Body], list_version: int, known_before: int = 0) -> int:
        """Bring a kind in line with a full list; return how many objects had to be dropped.

        Args:
            kind: Of what.
            items: The whole list.
            list_version: The version it was taken at.
            known_before: The newest version that was known when the list was asked for. A list that is older than that is of a
                restored API server: it counts, and nothing that was known does.
        """
        if 0 < list_version < known_before:
            for name in [name for name, _ in self._known(kind)]:
                self._forget(kind, name)
            self._dropped = {key: version for key, version in self._dropped.items() if key[0] != kind}
        kept = set()
        for body in items:
            kept.add((body["metadata"]["namespace"], body["metadata"]["name"]))
            self.absorb(kind, body)
        ghosts = [name for name, version in self._known(kind) if name not in kept and version <= list_version]
        for name in ghosts:
            self._forget(kind, name)
        return len(ghosts)

    def _absorb_entry(self, name: ObjectName, new: Entry) -> None:
        old = self._entries.get(name)
        if old is not None and old.uid == new.uid and old.version >= new.version:
            return
        self._entries[name] = new
        if old is None or _asked_for(old) != _asked_for(new):
            self._on_change(new.key)

    def _absorb_child(self, siblings: dict[str, Any], name: str, new: Any) -> None:
        old = siblings.get(name)
        if old is not None and old.version >= new.version:
            return
        if isinstance(new, PodSummary):
            new = replace(new, ready_before=new.ready_before or _was_ready_before(old, new))
            self._note_start(old, new)
        if isinstance(new, DeploymentSummary):
            new = new.after(old)
        siblings[name] = new
        if old is None or _content(old) != _content(new):
            self._on_change(new.owner)

    def _note_start(self, old: PodSummary | None, new: PodSummary) -> None:
        if new.start_seconds is not None and (old is None or old.start_seconds is None):
            self._starts[new.owner, new.pool].append(min(new.start_seconds, LONGEST_START_SECONDS))

    def _forget(self, kind: MirroredKind, name: ObjectName) -> None:
        if kind == "ModelDeployment":
            entry = self._entries.pop(name, None)
            if entry:
                self._forget_starts(entry.key)
                self._on_change(entry.key)
            return
        table = self._table(kind)
        owners = [owner for owner, siblings in table.items() if owner.namespace == name[0] and name[1] in siblings]
        for owner in owners:
            del table[owner][name[1]]
            if not table[owner]:
                del table[owner]
            if self.entry(owner) is None:
                self._forget_starts(owner)
            self._on_change(owner)

    def _forget_starts(self, owner: WorkloadKey) -> None:
        for pool in [key for key in self._starts if key[0] == owner]:
            del self._starts[pool]

    def _known(self, kind: MirroredKind) -> Iterator[tuple[ObjectName, int]]:
        if kind == "ModelDeployment":
            yield from [(name, entry.version) for name, entry in self._entries.items()]
            return
        for siblings in self._table(kind).values():
            yield from [((child.namespace, child.name), child.version) for child in siblings.values()]

    def _table(self, kind: MirroredKind) -> dict[WorkloadKey, dict[str, Any]]:
        tables: dict[str, Any] = {
            "Deployment": self._deployments,
            "Service": self._services,
            "Pod": self._pods,
            "HTTPRoute": self._routes,
        }
        table: dict[WorkloadKey, dict[str, Any]] = tables[kind]
        return table


def _asked_for(entry: Entry) -> tuple[object, ...]:
    return entry.uid, entry.generation, entry.paused, entry.deleting


def _content(child: Any) -> Any:
    """Return a child without what changes with every write to it."""
    if isinstance(child, DeploymentSummary):
        return replace(child, version=0, generation=0, observed_generation=0, template_generation=0)
    return replace(child, version=0)


def _was_ready_before(old: PodSummary | None, new: PodSummary) -> bool:
    """Tell whether a pod that we knew has lost its readiness since it was first ready."""
    return old is not None and (old.ready_before or (old.ready_at is not None and old.ready_at != new.ready_at))
