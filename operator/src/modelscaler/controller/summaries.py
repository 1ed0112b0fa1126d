"""Small summaries of what the API server has, and what a pool looks like from them. Pure.

Only these are kept, never whole bodies: at 5,000 ModelDeployments that is the difference between 150 MB and 2 GB.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from modelscaler.api import ACTIVATOR, DEPLOYMENT_LABEL, POOL_LABEL
from modelscaler.api.v1alpha1 import ModelDeployment, ModelDeploymentStatus
from modelscaler.domain import PoolKey, PoolObservation, Rollout, RouteObservation, WorkloadKey
from modelscaler.planner.savings import MOST_OVERDRAFT
from modelscaler.planner.starts import usual_start
from modelscaler.render import OVERDRAFT_ANNOTATION, TEMPLATE_DIGEST_ANNOTATION, TEMPLATE_MANAGER
from modelscaler.workload import InvalidSpec, parse_resource, parse_status

Body: TypeAlias = Mapping[str, Any]

FAILING_WAITS = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
PROBE_SLACK_SECONDS = 30.0
"""After the start-up probe's last try the readiness probe has its turn, and kubelet writes times down by the second."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A ModelDeployment as last seen: its resource, or why it cannot be used; its status either way.

    `deleting`: it goes as soon as the last finalizer is gone, and what belongs to it with it.
    """

    key: WorkloadKey
    uid: str
    generation: int
    version: int
    resource: ModelDeployment | None
    error: InvalidSpec | None
    status: ModelDeploymentStatus
    paused: bool
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentSummary:
    """A child Deployment. `replicas` is what is asked for.

    `refused_since` is since when the API server lets none of its missing pods be made (a quota, admission); None when it
    does. `owned` is a digest of which of its fields are as we applied them. `overdraft` is by how much its pods may
    overdraw their budgets of accuracy, as their ladder says; None when it does not.
    """

    namespace: str
    name: str
    uid: str
    version: int
    owner: WorkloadKey
    pool: PoolKey
    replicas: int
    refused_since: datetime | None
    template_digest: str
    owned: str = ""
    overdraft: float | None = None
    rollout: Rollout = Rollout.DONE
    generation: int = 0
    observed_generation: int = 0
    template_generation: int = 0

    def after(self, old: "DeploymentSummary | None") -> "DeploymentSummary":
        """Return the same, with what only the one before tells: whether the newest template was acted on yet.

        Another number of replicas is another generation too, but no rollout.
        """
        if old is None:
            return self
        changed = old.template_digest != self.template_digest
        template = self.generation if changed else old.template_generation
        waits = self.rollout is Rollout.DONE and self.observed_generation < template
        return replace(self, template_generation=template, rollout=Rollout.UNDER_WAY if waits else self.rollout)


@dataclass(frozen=True, slots=True)
class ActivatorSummary:
    """The activator's Deployment; `owned` as of a pool's."""

    namespace: str
    name: str
    uid: str
    version: int
    owner: WorkloadKey
    template_digest: str
    owned: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSummary:
    """A child Service and the pool it selects, None when it selects none of ours; `owned` as of a Deployment.

    `held`: it selects the activator.
    """

    namespace: str
    name: str
    version: int
    owner: WorkloadKey
    selected_pool: PoolKey | None
    template_digest: str
    owned: str = ""
    held: bool = False


@dataclass(frozen=True, slots=True)
class RouteSummary:
    """A child HTTPRoute: weight per Service, and whether a gateway has taken it up, and with these weights."""

    namespace: str
    name: str
    uid: str
    version: int
    owner: WorkloadKey
    weights: tuple[tuple[str, int], ...]
    accepted: bool
    current: bool
    template_digest: str
    owned: str = ""


ENDED_PHASES: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class PodSummary:
    """A pod of a pool.

    `ready_at` None: not ready. `unready_since`: created, or since it lost its readiness. `waiting` is the first container's
    waiting reason, "" for none. `ready_before`: it was ready and lost it, so what it takes to get ready again is no start.
    `ended`: evicted, or refused by its node; its object stays, and another pod has been made in its place. `ip` "": none yet.
    """

    namespace: str
    name: str
    version: int
    owner: WorkloadKey
    pool: str
    created_at: datetime
    ready_at: datetime | None
    unready_since: datetime
    ready: bool
    unschedulable: bool
    waiting: str
    restarts: int
    deleting: bool
    ready_before: bool = False
    ended: bool = False
    ip: str = ""

    @property
    def failing(self) -> bool:
        """Whether the pod cannot start: it crashes, or its image or configuration cannot be had."""
        return self.waiting in FAILING_WAITS or (self.restarts > 1 and not self.ready)

    @property
    def start_seconds(self) -> float | None:
        """Seconds from created to ready; None before that, and for what is no cold start: after a restart, or ready again."""
        if self.ready_at is None or self.restarts or self.ready_before:
            return None
        return max((self.ready_at - self.created_at).total_seconds(), 0.0)


def entry_from(body: Body) -> Entry:
    """Summarise a ModelDeployment; an unusable spec becomes the entry's error, never an exception."""
    meta = body["metadata"]
    resource: ModelDeployment | None = None
    error: InvalidSpec | None = None
    try:
        resource = parse_resource(body)
    except InvalidSpec as invalid:
        error = invalid
    return Entry(
        key=WorkloadKey(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        generation=int(meta.get("generation") or 1),
        version=version_of(body),
        resource=resource,
        error=error,
        status=resource.status if resource else parse_status(body.get("status")),
        paused=resource.paused if resource else False,
        deleting=bool(meta.get("deletionTimestamp")),
    )


def deployment_from(body: Body) -> DeploymentSummary | ActivatorSummary | None:
    """Summarise a child Deployment, of a pool or the activator's; None when its labels are not ours."""
    meta = body["metadata"]
    owner, pool = _owner(meta), pool_of(meta)
    if owner is not None and (meta.get("labels") or {}).get(POOL_LABEL) == ACTIVATOR:
        digest = _annotation(meta, TEMPLATE_DIGEST_ANNOTATION) or ""
        return ActivatorSummary(
            meta["namespace"], meta["name"], meta["uid"], version_of(body), owner, digest, _owned(meta)
        )
    if owner is None or pool is None:
        return None
    return DeploymentSummary(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        version=version_of(body),
        owner=owner,
        pool=pool,
        replicas=int(body.get("spec", {}).get("replicas", 0)),
        refused_since=_refused_since(body.get("status") or {}),
        template_digest=_annotation(meta, TEMPLATE_DIGEST_ANNOTATION) or "",
        owned=_owned(meta),
        overdraft=_overdraft(_annotation(meta, OVERDRAFT_ANNOTATION)),
        rollout=_rollout(body.get("status") or {}),
        generation=int(meta.get("generation") or 0),
        observed_generation=int((body.get("status") or {}).get("observedGeneration") or 0),
    )


def _refused_since(status: Body) -> datetime | None:
    """Return since when pods are refused, as the Deployment controller passes it on from its ReplicaSets."""
    conditions = [c for c in status.get("conditions") or () if c["type"] == "ReplicaFailure" and _is_true(c)]
    return min((moment(c["lastTransitionTime"]) for c in conditions if c.get("lastTransitionTime")), default=None)


def _rollout(status: Body) -> Rollout:
    """Return how far the newest template has got: pods of an older one are there as long as they have not been replaced."""
    old_pods = int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))
    if old_pods <= 0:
        return Rollout.DONE
    stalled = any(c["type"] == "Progressing" and c.get("status") == "False" for c in status.get("conditions") or ())
    return Rollout.FAILED if stalled else Rollout.UNDER_WAY


def service_from(body: Body) -> ServiceSummary | None:
    """Summarise a child Service; None when its labels are not ours."""
    meta = body["metadata"]
    owner = _owner(meta)
    if owner is None:
        return None
    selected = (body.get("spec", {}).get("selector") or {}).get(POOL_LABEL, "")
    return ServiceSummary(
        namespace=meta["namespace"],
        name=meta["name"],
        version=version_of(body),
        owner=owner,
        selected_pool=_pool_named(selected),
        template_digest=_annotation(meta, TEMPLATE_DIGEST_ANNOTATION) or "",
        owned=_owned(meta),
        held=selected == ACTIVATOR,
    )


def route_from(body: Body) -> RouteSummary | None:
    """Summarise a child HTTPRoute; None when its labels are not ours."""
    meta = body["metadata"]
    owner = _owner(meta)
    if owner is None:
        return None
    accepting = list(_acceptances(body))
    generation = int(meta.get("generation") or 1)
    return RouteSummary(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        version=version_of(body),
        owner=owner,
        weights=tuple(
            (backend["name"], int(backend.get("weight", 1)))
            for rule in body.get("spec", {}).get("rules") or ()
            for backend in rule.get("backendRefs") or ()
        ),
        accepted=bool(accepting),
        current=all(int(condition.get("observedGeneration") or 0) >= generation for condition in accepting),
        template_digest=_annotation(meta, TEMPLATE_DIGEST_ANNOTATION) or "",
        owned=_owned(meta),
    )


def _acceptances(route: Body) -> Iterator[Body]:
    """Yield the conditions by which Gateways take an HTTPRoute up.

    What one says that the route does not name any more is left out: its controller may leave that there for good.
    """
    namespace = route["metadata"]["namespace"]
    named = {_gateway_of(ref, namespace) for ref in route.get("spec", {}).get("parentRefs") or ()}
    for parent in (route.get("status") or {}).get("parents") or ():
        if _gateway_of(parent["parentRef"], namespace) in named:
            yield from (c for c in parent.get("conditions") or () if c.get("type") == "Accepted" and _is_true(c))


def _gateway_of(ref: Body, namespace: str) -> tuple[str, str]:
    """Return namespace and name of the Gateway that a parentRef of a route in a namespace names."""
    return ref.get("namespace") or namespace, ref["name"]


def observe_route(
    route: RouteSummary | None, beside: ServiceSummary | None, beside_service: str
) -> RouteObservation | None:
    """Say how requests are shared; None when there is no route.

    Args:
        route: The HTTPRoute.
        beside: The Service of the pool beside the serving one.
        beside_service: Its name, whether it is there or not.
    """
    if route is None:
        return None
    weights = dict(route.weights)
    total = sum(weights.values())
    share = weights.get(beside_service, 0) / total if total else 0.0
    side = beside.selected_pool if beside else None
    return RouteObservation(route.accepted, side, share if side else 0.0, route.current)


def pod_from(body: Body) -> PodSummary | None:
    """Summarise a pod of a pool; None when its labels are not ours."""
    meta, status = body["metadata"], body.get("status") or {}
    owner, pool = _owner(meta), (meta.get("labels") or {}).get(POOL_LABEL)
    if owner is None or pool is None:
        return None
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    containers = status.get("containerStatuses") or ()
    ready = conditions.get("Ready", {})
    turned_at = moment(ready["lastTransitionTime"]) if ready.get("lastTransitionTime") else None
    ready_at = turned_at if _is_true(ready) else None
    created_at = moment(meta["creationTimestamp"])
    scheduled = conditions.get("PodScheduled", {})
    return PodSummary(
        namespace=meta["namespace"],
        name=meta["name"],
        version=version_of(body),
        owner=owner,
        pool=pool,
        created_at=created_at,
        ready_at=ready_at,
        unready_since=created_at if turned_at is None or _is_true(ready) else max(turned_at, created_at),
        ready=_is_true(ready) and not meta.get("deletionTimestamp"),
        unschedulable=scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable",
        waiting=next((w for c in containers if (w := (c.get("state", {}).get("waiting") or {}).get("reason"))), ""),
        restarts=max((int(c.get("restartCount", 0)) for c in containers), default=0),
        deleting=bool(meta.get("deletionTimestamp")),
        ready_before=ready_at is not None and _starts_no_longer(body, ready_at),
        ended=status.get("phase") in ENDED_PHASES,
        ip=status.get("podIP") or "",
    )


SUMMARISE: Final[Mapping[str, Callable[[Body], Any]]] = {
    "Deployment": deployment_from,
    "Service": service_from,
    "HTTPRoute": route_from,
    "Pod": pod_from,
}
"""How each kind of child is summarised; None where one is not ours."""


def observe_pool(
    deployment: DeploymentSummary,
    pods: Iterable[PodSummary],
    starts_seconds: Iterable[float],
    now: datetime,
    budgets: float | None = None,
) -> PoolObservation:
    """Say what a pool looks like.

    Args:
        deployment: The pool's Deployment.
        pods: Its pods.
        starts_seconds: Measured starts of this pool's pods, in seconds, the newest few.
        now: The time.
        budgets: How full its replicas' budgets of accuracy are, added up; None when that is not known.
    """
    mine = [pod for pod in pods if pod.pool == str(deployment.pool)]
    alive = [pod for pod in mine if not pod.deleting]
    unready = [pod for pod in alive if not pod.ready]
    stuck = [pod for pod in unready if pod.unschedulable]
    failing = [pod for pod in unready if pod.failing]
    starting = [pod for pod in unready if not pod.unschedulable and not pod.failing]
    since = deployment.refused_since
    refused = max(deployment.replicas - len(alive), 0) if since else 0
    return PoolObservation(
        pool=deployment.pool,
        replicas=deployment.replicas,
        ready=sum(pod.ready for pod in alive),
        starting=len(starting),
        unschedulable=len(stuck),
        failing=len(failing),
        refused=refused,
        refused_seconds=(now - since).total_seconds() if since else 0.0,
        failure=_failure(stuck, refused, failing),
        start_seconds=usual_start(starts_seconds),
        terminating=len(mine) - len(alive),
        unready_seconds=max(((now - pod.unready_since).total_seconds() for pod in unready), default=0.0),
        starting_ages=tuple((now - pod.created_at).total_seconds() for pod in starting),
        budgets=budgets,
        overdraft=deployment.overdraft,
        rollout=deployment.rollout,
        template_digest=deployment.template_digest,
    )


def _failure(stuck: list[PodSummary], refused: int, failing: list[PodSummary]) -> str | None:
    if stuck:
        return "Unschedulable"
    if refused:
        return "FailedCreate"
    return failing[0].waiting or "Restarting" if failing else None


def pool_of(meta: Body) -> PoolKey | None:
    """Return the pool that an object is of, by its label; None when it is of none of ours."""
    return _pool_named((meta.get("labels") or {}).get(POOL_LABEL, ""))


def version_of(body: Body) -> int:
    """Return metadata.resourceVersion as the ordered integer that it is (KEP-5504); 0 when absent."""
    text = body["metadata"].get("resourceVersion") or "0"
    return int(text) if str(text).isdigit() else 0


def moment(text: str) -> datetime:
    """Parse an RFC 3339 time as the API server writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _overdraft(text: str | None) -> float | None:
    """Read an overdraft; None when it is none (edited by hand)."""
    try:
        times = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return times if 0.0 <= times <= MOST_OVERDRAFT else None


def _annotation(meta: Body, name: str) -> str | None:
    text: str | None = (meta.get("annotations") or {}).get(name)
    return text


def _owner(meta: Body) -> WorkloadKey | None:
    name = (meta.get("labels") or {}).get(DEPLOYMENT_LABEL)
    return WorkloadKey(meta["namespace"], name) if name else None


def _owned(meta: Body) -> str:
    """Return a digest of the fields that our templates own: who changes one of them takes it from us."""
    ours = [
        entry.get("fieldsV1")
        for entry in meta.get("managedFields") or ()
        if entry.get("manager") == TEMPLATE_MANAGER and entry.get("operation") == "Apply"
    ]
    return hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()[:16] if ours else ""


def _pool_named(label: str) -> PoolKey | None:
    placement, _, variant = label.rpartition("-")
    return PoolKey(placement, variant) if placement and variant else None


def _starts_no_longer(pod: Body, at: datetime) -> bool:
    """Tell whether a pod's start was over by then: its start-up probe would have had it restarted."""
    probes = [probe for c in (pod.get("spec") or {}).get("containers") or () if (probe := c.get("startupProbe"))]
    longest = max((p.get("failureThreshold", 3) * p.get("periodSeconds", 10) for p in probes), default=None)
    running = [c.get("state", {}).get("running") or {} for c in pod["status"].get("containerStatuses") or ()]
    since = [moment(state["startedAt"]) for state in running if state.get("startedAt")]
    return longest is not None and bool(since) and (at - max(since)).total_seconds() > longest + PROBE_SLACK_SECONDS


def _is_true(condition: Body) -> bool:
    return condition.get("status") == "True"
