"""What nodes, pods and quotas say about accelerators, as small summaries. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from kubernetes.utils import quantity

from modelscaler.api import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.summaries import Body, Entry
from modelscaler.domain import WorkloadKey
from modelscaler.planner.supply import NodeUnits, QuotaUnits

OUR_SCOPES: Final = frozenset({"NotTerminating", "NotBestEffort"})
"""Quotas with these scopes count our pods: they have no deadline, and they request something."""


def has_units(node: Body, resource: str) -> bool:
    """Tell whether a node has ever had units of a resource: a device plugin that is away leaves the name behind."""
    status = node.get("status") or {}
    return any(resource in (status.get(field) or {}) for field in ("capacity", "allocatable"))


def node_units(node: Body, pods: Iterable[Body], resource: str) -> NodeUnits:
    """Summarise a node and the pods on it, those that have ended left out."""
    taken: Counter[WorkloadKey | None] = Counter()
    for pod in pods:
        if units := pod_units(pod, resource):
            taken[_owner(pod)] += units
    allocatable = _units((node["status"].get("allocatable") or {}).get(resource, "0")) if _takes_pods(node) else 0
    return NodeUnits(resource, allocatable, dict(taken))


def pod_units(pod: Body, resource: str) -> int:
    """Return the units that a pod requests.

    Containers add up; so do init containers that go on running (sidecars); any other runs alone before them
    (https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers).
    """
    spec = pod["spec"]
    together = sum(_container_units(container, resource) for container in spec.get("containers") or ())
    most = 0
    for container in spec.get("initContainers") or ():
        units = _container_units(container, resource)
        if container.get("restartPolicy") == "Always":
            together += units
        else:
            most = max(most, units)
    return max(together, most)


def quota_units(quota: Body, resources: Iterable[str]) -> list[QuotaUnits]:
    """Summarise a ResourceQuota that counts our pods, for those of the resources that it limits."""
    spec, status = quota.get("spec") or {}, quota.get("status") or {}
    if spec.get("scopeSelector") or not OUR_SCOPES.issuperset(spec.get("scopes") or ()):
        return []
    hard = status.get("hard") or spec.get("hard") or {}
    used, namespace = status.get("used") or {}, quota["metadata"]["namespace"]
    names = {resource: f"requests.{resource}" for resource in resources}
    return [
        QuotaUnits(namespace, resource, _units(hard[name]), _units(used.get(name, "0")))
        for resource, name in names.items()
        if name in hard
    ]


def requested(entries: Iterable[Entry], mirror: Mirror) -> dict[tuple[WorkloadKey, str], int]:
    """Return the units that our pods request by their ModelDeployments' specs, those that are leaving included."""
    units: Counter[tuple[WorkloadKey, str]] = Counter()
    for entry in entries:
        placements = entry.resource.spec.placements if entry.resource else ()
        accelerators = {p.name: p.accelerator for p in placements if p.accelerator}
        for pod in mirror.pods(entry.key) if accelerators else ():
            if accelerator := accelerators.get(pod.pool.rpartition("-")[0]):
                units[entry.key, accelerator.resource_name] += accelerator.count
    return dict(units)


def _takes_pods(node: Body) -> bool:
    conditions = {c["type"]: c["status"] for c in node["status"].get("conditions") or ()}
    return conditions.get("Ready") == "True" and not (node.get("spec") or {}).get("unschedulable")


def _container_units(container: Mapping[str, Any], resource: str) -> int:
    resources = container.get("resources") or {}
    found = (resources.get("requests") or {}).get(resource) or (resources.get("limits") or {}).get(resource)
    return _units(found) if found else 0


def _owner(pod: Body) -> WorkloadKey | None:
    labels = pod["metadata"].get("labels") or {}
    name = labels.get(DEPLOYMENT_LABEL)
    return (
        WorkloadKey(pod["metadata"]["namespace"], name) if name and labels.get(MANAGED_BY_LABEL) == MANAGED_BY else None
    )


def _units(text: Any) -> int:
    parse: Callable[[Any], Decimal] = quantity.parse_quantity
    return int(parse(text))
