"""Turn an outcome into writes, and only into those that change something."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from modelscaler.api.words import ConditionReason
from modelscaler.cluster.calls import Body, ClusterCalls
from modelscaler.cluster.errors import ApiCallError, NotOursError
from modelscaler.cluster.writes import NAME, Priority, Result, Slot, Write
from modelscaler.controller.decide import Trouble
from modelscaler.controller.drift import Child, Drift
from modelscaler.controller.mirror import Mirror, MirroredKind
from modelscaler.controller.summaries import SUMMARISE, Entry, pool_of
from modelscaler.domain import PoolKey, WorkloadKey
from modelscaler.render import TEMPLATE_MANAGER, Rendering, Scale, digest_of

STATUS_MANAGER = "modelscaler-status"
SCALE_MANAGER = "modelscaler-scale"


REWORDED_SECONDS: Final = 60.0
"""What the API server says may differ with every try, by an identifier of the request say; it is no news so soon."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write of ours that was given up: the API server does not take it, or it would take over what is not ours.

    `pool` None: it is of no pool. `is_final`: trying again does not help, as long as nobody changes anything. `at`: when it was
    put in these words.
    """

    name: str
    pool: PoolKey | None
    trouble: Trouble
    is_final: bool
    at: float


class Applier:
    """Compares what is wanted with the mirror and makes the writes; their answers go back into the mirror.

    Args:
        calls: The API server.
        mirror: What is known to be there.
        on_refusal: Is told of what is refused of a ModelDeployment, once as long as the same is wanted and refused.
        on_drift: Is told of a child that somebody else has changed, and in what words to say so.
        monotonic: A clock.
    """

    def __init__(
        self,
        calls: ClusterCalls,
        mirror: Mirror,
        on_refusal: Callable[[WorkloadKey, Trouble], None],
        on_drift: Callable[[WorkloadKey, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._monotonic = monotonic
        self._drift = Drift(self._drifted, monotonic)
        self._mirror = mirror
        self._on_refusal = on_refusal
        self._on_drift = on_drift
        self._refusals: dict[WorkloadKey, dict[Slot, Refusal]] = {}

    def children(self, key: WorkloadKey, rendering: Rendering) -> list[Write]:
        """Return the writes that bring the children of a ModelDeployment in line."""
        live = {d.name: d for d in self._mirror.deployments(key)}
        writes = []
        for manifest, ladder in zip(rendering.templates, rendering.ladders, strict=True):
            deployment = live.get(manifest["metadata"]["name"])
            if self._differs(manifest, deployment):
                writes.append(self._apply(key, manifest, is_new=deployment is None, before=ladder))
        for scale in rendering.scales:
            # A Deployment that is just being created is scaled by the pass that its creation triggers.
            if scale.name in live and live[scale.name].replicas != scale.replicas:
                writes.append(self._scale(key, scale))
        writes += self._activating(key, rendering)
        for service, there in (
            (rendering.service, self._mirror.service(key)),
            (rendering.beside, self._mirror.beside(key)),
        ):
            if service and self._differs(service, there):
                writes.append(self._apply(key, service, is_new=there is None))
        writes += self._routing(key, rendering)
        writes += [self._delete(key, live[name].name, live[name].uid) for name in rendering.deletions if name in live]
        self._keep_refusals(key, {write.slot for write in writes})
        return writes

    def refused(self, key: WorkloadKey) -> Trouble | None:
        """Return what is refused of what a ModelDeployment should have; None when nothing is."""
        return next((refusal.trouble for refusal in self._refusals.get(key, {}).values()), None)

    def unmakeable(self, key: WorkloadKey) -> tuple[PoolKey, ...]:
        """Return the pools that cannot be made, since their Deployments are refused."""
        there = {deployment.name for deployment in self._mirror.deployments(key)}
        final = [refusal for refusal in self._refusals.get(key, {}).values() if refusal.is_final]
        return tuple(refusal.pool for refusal in final if refusal.pool and refusal.name not in there)

    def let_be(self, key: WorkloadKey) -> None:
        """Nothing is written for a ModelDeployment now, so nothing is refused."""
        self._refusals.pop(key, None)

    def forget(self, key: WorkloadKey) -> None:
        """Drop what is known of the children of a ModelDeployment that is gone."""
        self.let_be(key)
        self._drift.forget(key)

    def _differs(self, manifest: Body, live: Child | None) -> bool:
        """Tell whether a child is not there, is of another manifest, or is not as that was applied any more."""
        return live is None or live.template_digest != digest_of(manifest) or self._drift.found(live)

    def _drifted(self, child: Child) -> None:
        kind = type(child).__name__.removesuffix("Summary")
        what = f"somebody changed a field of {kind} {child.name} that is the operator's; it is applied anew"
        self._on_drift(child.owner, what)

    def _activating(self, key: WorkloadKey, rendering: Rendering) -> list[Write]:
        """Return the write of the activator's Deployment, if any."""
        there = self._mirror.activator(key)
        if rendering.activator is None:
            return [self._delete(key, there.name, there.uid)] if there else []
        differs = self._differs(rendering.activator, there)
        return [self._apply(key, rendering.activator, is_new=there is None)] if differs else []

    def _routing(self, key: WorkloadKey, rendering: Rendering) -> list[Write]:
        """Return the write of the HTTPRoute, if any; a Service that it names for the first time is there before it."""
        route = self._mirror.route(key)
        if rendering.route and self._differs(rendering.route, route):
            before = rendering.beside if self._mirror.beside(key) is None else None
            return [self._apply(key, rendering.route, is_new=route is None, before=before)]
        return [self._unroute(key, route.name, route.uid)] if rendering.unrouted and route else []

    def status(self, entry: Entry, body: Body, settled: Callable[[], None]) -> Write:
        """Return the write of a status; `settled` is called when it has been made or given up."""
        key = entry.key
        return Write(
            slot=("ModelDeployment", key.namespace, key.name, STATUS_MANAGER),
            priority=Priority.STATUS,
            call=partial(self._calls.apply_status, key.namespace, key.name, body, STATUS_MANAGER),
            done=self._absorb("ModelDeployment"),
            settled=settled,
        )

    def event(self, key: WorkloadKey, body: Body) -> Write:
        """Return the write of an event."""
        return Write(
            slot=("Event", key.namespace, body["metadata"]["name"]),
            priority=Priority.EVENT,
            call=partial(self._calls.post_event, body),
        )

    def _apply(self, key: WorkloadKey, manifest: Body, is_new: bool, before: Body | None = None) -> Write:
        """Return the write of a manifest, and of what must be there before it: its digest vouches for both."""
        apply = self._calls.apply_new if is_new else self._calls.apply

        def in_turn() -> Result:
            if before is not None:  # whether that is there is not known
                self._calls.apply_new(before, TEMPLATE_MANAGER)
            return apply(manifest, TEMPLATE_MANAGER)

        return self._write(key, manifest, TEMPLATE_MANAGER, Priority.CREATE, in_turn)

    def _scale(self, key: WorkloadKey, scale: Scale) -> Write:
        manifest = scale.manifest(key.namespace)
        call = partial(self._calls.apply, manifest, SCALE_MANAGER)
        return self._write(key, manifest, SCALE_MANAGER, Priority.SCALE, call)

    def _write(
        self, key: WorkloadKey, manifest: Body, manager: str, priority: Priority, call: Callable[[], Result]
    ) -> Write:
        kind, meta = manifest["kind"], manifest["metadata"]
        done = self._applied(kind) if manager == TEMPLATE_MANAGER else self._absorb(kind)
        pool = pool_of(meta) if kind == "Deployment" else None
        return self._child(key, (kind, meta["namespace"], meta["name"], manager), priority, call, done, pool)

    def _child(
        self,
        key: WorkloadKey,
        slot: Slot,
        priority: Priority,
        call: Callable[[], Result],
        done: Callable[[Result], None] = lambda _: None,
        pool: PoolKey | None = None,
    ) -> Write:
        """Return a write of a child; `pool` is of what it makes, None where that is of none."""
        return Write(slot, priority, call, done, given_up=partial(self._refuse, key, slot, pool), owner=key)

    def _refuse(self, key: WorkloadKey, slot: Slot, pool: PoolKey | None, error: ApiCallError) -> None:
        if self._mirror.entry(key) is None:
            return
        reason = ConditionReason.WORKLOAD_CONFLICT if isinstance(error, NotOursError) else ConditionReason.WRITE_REFUSED
        now, known = self._monotonic(), self._refusals.setdefault(key, {})
        refusal = Refusal(slot[NAME], pool, Trouble(reason, str(error)), not error.transient, now)
        before = known.get(slot)
        if before is None or (before.trouble.reason, before.is_final) != (reason, refusal.is_final):
            known[slot] = refusal
            self._on_refusal(key, refusal.trouble)
        elif now - before.at >= REWORDED_SECONDS:
            known[slot] = refusal

    def _keep_refusals(self, key: WorkloadKey, slots: set[Slot]) -> None:
        """Forget what was refused and is not wanted any more, or is there by now."""
        kept = {slot: refusal for slot, refusal in self._refusals.get(key, {}).items() if slot in slots}
        self._refusals.pop(key, None)
        if kept:
            self._refusals[key] = kept

    def _delete(self, key: WorkloadKey, name: str, uid: str) -> Write:
        slot = ("Deployment", key.namespace, name, "delete")
        return self._child(key, slot, Priority.DELETE, partial(self._calls.delete_deployment, key.namespace, name, uid))

    def _unroute(self, key: WorkloadKey, name: str, uid: str) -> Write:
        gone = {"metadata": {"namespace": key.namespace, "name": name, "resourceVersion": "0"}}
        slot = ("HTTPRoute", key.namespace, name, "delete")
        call = partial(self._calls.delete_route, key.namespace, name, uid)
        return self._child(key, slot, Priority.DELETE, call, lambda _: self._mirror.drop("HTTPRoute", gone))

    def _applied(self, kind: MirroredKind) -> Callable[[Result], None]:
        absorb = self._absorb(kind)

        def applied(result: Result) -> None:
            if result is not None and (child := SUMMARISE[kind](result)) is not None:
                self._drift.applied(child)
            absorb(result)

        return applied

    def _absorb(self, kind: MirroredKind) -> Callable[[Result], None]:
        def absorb(result: Result) -> None:
            if result is not None:
                self._mirror.absorb(kind, result)

        return absorb
