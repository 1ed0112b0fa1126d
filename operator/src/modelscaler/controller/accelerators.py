"""Shared accelerators: counted now and then, off the event loop, and shared out once a tick.

Nothing here takes anything away for want of knowledge: without a count, everybody keeps what it has and nobody gets more.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from modelscaler.cluster.calls import ClusterCalls
from modelscaler.controller.counting import has_units, node_units, quota_units, requested
from modelscaler.controller.decide import names_accelerators, shares_accelerators
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.summaries import ENDED_PHASES, Body, Entry
from modelscaler.controller.telemetry import Telemetry
from modelscaler.domain import Allowance, WorkloadKey
from modelscaler.planner.claims import Allowances, Bidder, holding, share_out
from modelscaler.planner.supply import Census, NodeUnits

log = logging.getLogger(__name__)

COUNT_SECONDS = 30.0
"""Between counts."""

TRUSTED_SECONDS = 600.0
"""A count that is older says nothing any more."""

PATIENCE_SECONDS = 2.0
"""A tick waits no longer for a count; what it brings is there for the next one."""

LIMIT_SECONDS = 1.0
"""For the exact solution of who gets what."""

ALIVE = ",".join(f"status.phase!={phase}" for phase in ENDED_PHASES)


class NodeSupply(StrEnum):
    """Which nodes there are accelerators on: those that exist, or whatever an autoscaler adds, so that none are counted."""

    EXISTING = "Existing"
    ON_DEMAND = "OnDemand"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to count: which resources, and what our pods requested of them when the count began."""

    resources: frozenset[str]
    requested: Mapping[tuple[WorkloadKey, str], int]


class Accelerators:
    """The last count, and what every ModelDeployment may have by it."""

    def __init__(
        self,
        calls: ClusterCalls,
        mirror: Mirror,
        telemetry: Telemetry,
        counts_nodes: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._mirror = mirror
        self._telemetry = telemetry
        self._counts_nodes = counts_nodes
        self._monotonic = monotonic
        self._census: Census | None = None
        self._counted_at = self._tried_at = float("-inf")
        self._counting: asyncio.Task[Census] | None = None
        self._nodes: set[str] = set()
        self._named: dict[WorkloadKey, Entry] = {}
        self._allowances: Allowances = {}

    def allowances(self, key: WorkloadKey) -> tuple[Allowance, ...]:
        """Return what a ModelDeployment may have by the last sharing; nothing is limited of one that took no part."""
        return self._allowances.get(key, ())

    def unshared(self, entries: Iterable[Entry]) -> bool:
        """Tell whether one of these has a placement on an accelerator that the last sharing knew nothing of."""
        return any(
            placement.accelerator and placement.name not in {a.placement for a in self.allowances(entry.key)}
            for entry in entries
            if entry.resource and shares_accelerators(entry.resource)
            for placement in entry.resource.spec.placements
        )

    async def count(self, entries: Sequence[Entry]) -> None:
        """Count when it is time to, and wait a little for it; when nobody names an accelerator, nothing is read."""
        named = [entry for entry in entries if entry.resource and names_accelerators(entry.resource)]
        self._named = self._left_behind(entries) | {entry.key: entry for entry in named}
        resources = frozenset(
            placement.accelerator.resource_name
            for entry in named
            if entry.resource
            for placement in entry.resource.spec.placements
            if placement.accelerator
        )
        if not resources:
            return
        if self._counting is None and self._due(resources):
            self._tried_at = self._monotonic()
            wanted = _Wanted(resources, requested(self._named.values(), self._mirror))
            self._counting = asyncio.create_task(asyncio.to_thread(self._read, wanted), name="accelerators")
        if self._counting is not None:
            await asyncio.wait({self._counting}, timeout=PATIENCE_SECONDS)
            self._take_in()

    async def share(self, bidders: Sequence[Bidder]) -> None:
        """Share out what was counted last; should that fail, everybody keeps what it has."""
        if self._monotonic() - self._counted_at > TRUSTED_SECONDS:
            self._census = None
        census = self._census and replace(self._census, apart=self._apart(bidders))
        try:
            self._allowances = await asyncio.to_thread(share_out, bidders, census, LIMIT_SECONDS)
        except Exception:
            self._telemetry.errors.labels("accelerators").inc()
            log.exception("accelerators are not shared out: everybody keeps what it has")
            self._allowances = {bidder.key: holding(bidder) for bidder in bidders}

    def _left_behind(self, entries: Sequence[Entry]) -> dict[WorkloadKey, Entry]:
        """Return ModelDeployments as they last were that are deleted, or refused by now, while pods of theirs are left."""
        valid = {entry.key for entry in entries if entry.resource}
        return {key: entry for key, entry in self._named.items() if key not in valid and self._mirror.pods(key)}

    def _apart(self, bidders: Sequence[Bidder]) -> dict[tuple[WorkloadKey, str], int]:
        """Return what pods request whose ModelDeployments take no part: a count knows nothing of those that came after it."""
        sharing = {bidder.key for bidder in bidders}
        return requested((entry for key, entry in self._named.items() if key not in sharing), self._mirror)

    def _due(self, resources: frozenset[str]) -> bool:
        if self._census is not None and not resources <= self._census.resources:
            return self._monotonic() - self._tried_at >= PATIENCE_SECONDS
        return self._monotonic() - self._tried_at >= COUNT_SECONDS

    def _take_in(self) -> None:
        """Take over what a count that has ended brought."""
        if self._counting is None or not self._counting.done():
            return
        done, self._counting = self._counting, None
        try:
            self._census = done.result()
        except Exception as error:  # whatever a node, a pod or a quota holds
            self._telemetry.errors.labels("accelerators").inc()
            log.warning(
                "accelerators cannot be counted, keeping the last count for %g s: %s: %s",
                TRUSTED_SECONDS,
                type(error).__name__,
                error,
            )
        else:
            self._counted_at = self._tried_at

    def _read(self, wanted: _Wanted) -> Census:
        """Count; blocking."""
        quotas = self._calls.list("ResourceQuota").items
        return Census(
            resources=wanted.resources,
            nodes=self._on_nodes(wanted.resources) if self._counts_nodes else None,
            quotas=tuple(units for quota in quotas for units in quota_units(quota, wanted.resources)),
            requested=wanted.requested,
        )

    def _on_nodes(self, resources: frozenset[str]) -> tuple[NodeUnits, ...]:
        nodes = [node for node in self._calls.list("Node").items if self._matters(node, resources)]
        self._nodes = {node["metadata"]["name"] for node in nodes}
        return tuple(units for node in nodes for units in self._on_node(node, resources))

    def _matters(self, node: Body, resources: frozenset[str]) -> bool:
        """Tell whether a node has accelerators, or had some when it was counted last: our pods may still use them."""
        return node["metadata"]["name"] in self._nodes or any(has_units(node, resource) for resource in resources)

    def _on_node(self, node: Body, resources: frozenset[str]) -> list[NodeUnits]:
        """Return what one node has; only its own pods are read, so that the others' bodies never are."""
        pods = self._calls.list("Pod", field_selector=f"spec.nodeName={node['metadata']['name']},{ALIVE}").items
        return [node_units(node, pods, resource) for resource in sorted(resources)]
