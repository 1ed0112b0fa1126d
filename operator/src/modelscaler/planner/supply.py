"""How many accelerators there are for ModelDeployments to share, from a count of nodes and quotas. Pure.

What our own replicas hold on a node is there, whatever the node says of itself: a device plugin that restarts reports none for
a while, and a node that is cordoned or silent still runs its pods. So a bad count takes nothing away.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from modelscaler.domain import WorkloadKey
from modelscaler.planner.arbitration import Account, Supply

Requested: TypeAlias = Mapping[tuple[WorkloadKey, str], int]
"""Units per (ModelDeployment, resource)."""


@dataclass(frozen=True, slots=True)
class NodeUnits:
    """Units of one resource on one node.

    Attributes:
        resource: The extended resource's name.
        allocatable: Units for pods; 0 when the node takes no new ones (not ready, or cordoned).
        taken: Units that pods request, per ModelDeployment; None for pods that are not ours.
    """

    resource: str
    allocatable: int
    taken: Mapping[WorkloadKey | None, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QuotaUnits:
    """A ResourceQuota of one resource: at most `hard` units in a namespace, of which `used` are requested by its pods."""

    namespace: str
    resource: str
    hard: int
    used: int


@dataclass(frozen=True, slots=True)
class Census:
    """What was counted, of which resources.

    Attributes:
        resources: What was looked for.
        nodes: What nodes have; None when they are not counted by design, so that only quotas limit.
        quotas: What quotas allow.
        requested: Units that our pods requested when the quotas were read.
        apart: Units that our pods request now whose ModelDeployments do not share: just deleted, paused, refused. What was not
            counted of them yet, because they came later, is gone as well.
    """

    resources: frozenset[str]
    nodes: tuple[NodeUnits, ...] | None
    quotas: tuple[QuotaUnits, ...] = ()
    requested: Requested = field(default_factory=dict)
    apart: Requested = field(default_factory=dict)

    def counted(self, resource: str) -> int | None:
        """Return the units of all nodes that take pods; None when nobody counted them."""
        if self.nodes is None or resource not in self.resources:
            return None
        return sum(node.allocatable for node in self.nodes if node.resource == resource)


def supply_of(census: Census | None, bidders: Collection[WorkloadKey], wanted: Mapping[str, int]) -> Supply:
    """Return what these ModelDeployments may share.

    Args:
        census: What was counted; None when nothing is known.
        bidders: Who shares; what any other pod requests is gone.
        wanted: Units that they want or hold, per resource: so many there are where nodes are not counted by design.
    """
    if census is None:
        return Supply({})
    known = {resource: units for resource, units in wanted.items() if resource in census.resources}
    units = known if census.nodes is None else {name: _on_nodes(census, census.nodes, name, bidders) for name in known}
    return Supply(units, _within_quotas(census, bidders))


def _on_nodes(census: Census, nodes: Iterable[NodeUnits], resource: str, bidders: Collection[WorkloadKey]) -> int:
    having = [node for node in nodes if node.resource == resource]
    ours: Counter[WorkloadKey | None] = Counter()
    for node in having:
        ours.update(node.taken)
    uncounted = sum(
        max(units - ours[key], 0)
        for (key, name), units in census.apart.items()
        if name == resource and key not in bidders
    )
    held = sum(units for owner, units in ours.items() if owner in bidders)
    return max(sum(_on_node(node, bidders) for node in having) - uncounted, held)


def _on_node(node: NodeUnits, bidders: Collection[WorkloadKey]) -> int:
    ours = sum(units for owner, units in node.taken.items() if owner in bidders)
    others = sum(node.taken.values()) - ours
    return max(node.allocatable - others, ours)


def _within_quotas(census: Census, bidders: Collection[WorkloadKey]) -> dict[Account, int]:
    """Return what the tightest quota of each namespace leaves to the bidders in it."""
    ours: Counter[Account] = Counter()
    uncounted: Counter[Account] = Counter()
    for (key, resource), units in census.requested.items():
        if key in bidders:
            ours[key.namespace, resource] += units
    for (key, resource), units in census.apart.items():
        if key not in bidders:
            uncounted[key.namespace, resource] += max(units - census.requested.get((key, resource), 0), 0)
    least: dict[Account, int] = {}
    for quota in census.quotas:
        account = (quota.namespace, quota.resource)
        left = quota.hard - max(quota.used - ours[account], 0) - uncounted[account]
        least[account] = min(left, least.get(account, left))
    return least
