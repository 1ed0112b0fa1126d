"""Turn an outcome into writes, and only into those that change something."""

from collections.abc import Callable
from functools import partial
from typing import Any

from modelscaler.cluster.calls import Body, ClusterCalls
from modelscaler.cluster.writes import Priority, Result, Write
from modelscaler.controller.mirror import Mirror, MirroredKind
from modelscaler.controller.summaries import Entry
from modelscaler.domain import WorkloadKey
from modelscaler.render import TEMPLATE_DIGEST_ANNOTATION, TEMPLATE_MANAGER, Rendering, Scale

STATUS_MANAGER = "modelscaler-status"
SCALE_MANAGER = "modelscaler-scale"


class Applier:
    """Compares what is wanted with the mirror and makes the writes; their answers go back into the mirror."""

    def __init__(self, calls: ClusterCalls, mirror: Mirror) -> None:
        self._calls = calls
        self._mirror = mirror

    def children(self, key: WorkloadKey, rendering: Rendering) -> list[Write]:
        """Return the writes that bring the children of a ModelDeployment in line."""
        live = {d.name: d for d in self._mirror.deployments(key)}
        writes = []
        for manifest, ladder in zip(rendering.templates, rendering.ladders, strict=True):
            name = manifest["metadata"]["name"]
            if name not in live or live[name].template_digest != digest_of(manifest):
                writes.append(self._apply(manifest, TEMPLATE_MANAGER, Priority.CREATE, before=(ladder,)))
        for scale in rendering.scales:
            # A Deployment that is just being created is scaled by the pass that its creation triggers.
            if scale.name in live and live[scale.name].replicas != scale.replicas:
                writes.append(self._scale(key, scale))
        service = self._mirror.service(key)
        if rendering.service and (service is None or service.template_digest != digest_of(rendering.service)):
            writes.append(self._apply(rendering.service, TEMPLATE_MANAGER, Priority.CREATE))
        beside = self._mirror.beside(key)
        if rendering.beside and (beside is None or beside.template_digest != digest_of(rendering.beside)):
            writes.append(self._apply(rendering.beside, TEMPLATE_MANAGER, Priority.CREATE))
        writes += self._routing(key, rendering)
        writes += [self._delete(key, live[name].name, live[name].uid) for name in rendering.deletions if name in live]
        return writes

    def _routing(self, key: WorkloadKey, rendering: Rendering) -> list[Write]:
        """Return the write of the HTTPRoute, if any; a Service that it names for the first time is there before it."""
        route = self._mirror.route(key)
        if rendering.route and (route is None or route.template_digest != digest_of(rendering.route)):
            before = (rendering.beside,) if rendering.beside and self._mirror.beside(key) is None else ()
            return [self._apply(rendering.route, TEMPLATE_MANAGER, Priority.CREATE, before=before)]
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

    def _apply(self, manifest: Body, manager: str, priority: Priority, before: tuple[Body, ...] = ()) -> Write:
        """Return the write of a manifest, and of what must be there before it: its digest vouches for both."""

        def in_turn() -> Result:
            for needed in before:
                self._calls.apply(needed, manager)
            return self._calls.apply(manifest, manager)

        meta = manifest["metadata"]
        return Write(
            slot=(manifest["kind"], meta["namespace"], meta["name"], manager),
            priority=priority,
            call=in_turn,
            done=self._absorb(manifest["kind"]),
        )

    def _scale(self, key: WorkloadKey, scale: Scale) -> Write:
        return self._apply(scale.manifest(key.namespace), SCALE_MANAGER, Priority.SCALE)

    def _delete(self, key: WorkloadKey, name: str, uid: str) -> Write:
        return Write(
            slot=("Deployment", key.namespace, name, "delete"),
            priority=Priority.DELETE,
            call=partial(self._calls.delete_deployment, key.namespace, name, uid),
        )

    def _unroute(self, key: WorkloadKey, name: str, uid: str) -> Write:
        gone = {"metadata": {"namespace": key.namespace, "name": name, "resourceVersion": "0"}}
        return Write(
            slot=("HTTPRoute", key.namespace, name, "delete"),
            priority=Priority.DELETE,
            call=partial(self._calls.delete_route, key.namespace, name, uid),
            done=lambda _: self._mirror.drop("HTTPRoute", gone),
        )

    def _absorb(self, kind: MirroredKind) -> Callable[[Result], None]:
        def absorb(result: Result) -> None:
            if result is not None:
                self._mirror.absorb(kind, result)

        return absorb


def digest_of(manifest: dict[str, Any]) -> str:
    """Return the digest that render wrote into a manifest."""
    return str(manifest["metadata"]["annotations"][TEMPLATE_DIGEST_ANNOTATION])
