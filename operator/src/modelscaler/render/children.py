"""The child objects of a ModelDeployment: a Deployment per pool with a ConfigMap for its ladder, Services and a route."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from modelscaler.api import ACTIVATOR, DEPLOYMENT_LABEL, GROUP, KIND, MANAGED_BY, MANAGED_BY_LABEL, POOL_LABEL
from modelscaler.api.v1alpha1 import ModelDeployment
from modelscaler.domain import PoolKey, PoolTarget, RouteTarget, Step, Workload
from modelscaler.render.activator import activator_name, activator_spec
from modelscaler.render.ladder import LADDER_KEY, ladder_text
from modelscaler.render.pod import SERVER_PORT_NAME, Image, pod_spec, scrape_annotations
from modelscaler.render.routing import GATEWAY_GROUP, GATEWAY_VERSION, ROUTE_KIND, beside_name, route_spec, service_spec

Manifest: TypeAlias = dict[str, Any]

TEMPLATE_MANAGER = "modelscaler"
TEMPLATE_DIGEST_ANNOTATION = f"{GROUP}/template-digest"
LADDER_DIGEST_ANNOTATION = f"{GROUP}/ladder-digest"
OVERDRAFT_ANNOTATION = f"{GROUP}/overdraft"
REVISIONS_KEPT = 2


@dataclass(frozen=True, slots=True)
class RenderDefaults:
    """What the operator adds where a ModelDeployment says nothing.

    `activator_image` is the operator's own; `service_url` is where pods reach the Service of that name in that namespace.
    """

    server_image: str
    activator_image: str = "modelscaler/operator"
    service_url: str = "http://{name}.{namespace}.svc"
    image_pull_policy: str = "IfNotPresent"


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas a Deployment shall have."""

    name: str
    replicas: int

    def manifest(self, namespace: str) -> Manifest:
        """Return the smallest document that owns `spec.replicas` and nothing else."""
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": namespace},
            "spec": {"replicas": self.replicas},
        }


@dataclass(frozen=True, slots=True)
class Rendering:
    """The children a step wants.

    `templates` are Deployments without `spec.replicas`; `ladders` are the ConfigMaps that their pods read, one each in the same
    order, to be applied before them; `service` None: leave the Service as it is; `deletions` are names of Deployments.
    `activator` is its Deployment, None: there shall be none. `beside` and `route` are the Service of the pool beside the
    serving one and the HTTPRoute, None: leave them as they are; `unrouted`: there shall be no HTTPRoute.
    """

    templates: tuple[Manifest, ...] = ()
    ladders: tuple[Manifest, ...] = ()
    scales: tuple[Scale, ...] = ()
    service: Manifest | None = None
    deletions: tuple[str, ...] = ()
    beside: Manifest | None = None
    route: Manifest | None = None
    unrouted: bool = True
    activator: Manifest | None = None


def render(resource: ModelDeployment, workload: Workload, step: Step, defaults: RenderDefaults) -> Rendering:
    """Return the children that a step wants.

    A pool whose placement or variant has left the spec gets no template: it keeps running as it is until it is drained.
    """
    kept = [target for target in step.pools if not target.delete]
    known = [target for target in kept if _in_spec(resource, target.pool)]
    ladders = [_ladder(resource, workload, target) for target in known]
    return Rendering(
        templates=tuple(_deployment(resource, t, defaults, m) for t, m in zip(known, ladders, strict=True)),
        ladders=tuple(ladders),
        scales=tuple(Scale(pool_name(resource, t.pool), t.replicas) for t in kept),
        service=_serving_service(resource, step) if step.serving else None,
        deletions=tuple(pool_name(resource, t.pool) for t in step.pools if t.delete),
        beside=_beside(resource, step),
        route=_route(resource, step.route) if step.route else None,
        unrouted=resource.spec.serving.gateway is None,
        activator=_activator(resource, defaults) if step.activator else None,
    )


def pool_name(resource: ModelDeployment, pool: PoolKey) -> str:
    """Return the name of a pool's Deployment."""
    return f"{resource.metadata.name}-{pool}"


def pool_names(resource: ModelDeployment) -> tuple[str, ...]:
    """Return the names of all Deployments that this spec may create."""
    spec = resource.spec
    return tuple(pool_name(resource, PoolKey(p.name, v.name)) for p in spec.placements for v in spec.variants)


def digest(manifest: Mapping[str, Any]) -> str:
    """Return a short digest of a manifest; equal manifests have equal digests, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Return the digest that `render` wrote into a manifest."""
    return str(manifest["metadata"]["annotations"][TEMPLATE_DIGEST_ANNOTATION])


def _in_spec(resource: ModelDeployment, pool: PoolKey) -> bool:
    spec = resource.spec
    return any(p.name == pool.placement for p in spec.placements) and any(v.name == pool.variant for v in spec.variants)


def _ladder(resource: ModelDeployment, workload: Workload, target: PoolTarget) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(
            resource, f"{pool_name(resource, target.pool)}-ladder", _labels(resource, str(target.pool))
        ),
        "data": {LADDER_KEY: ladder_text(resource, workload, target.pool, target.overdraft)},
    }


def _deployment(resource: ModelDeployment, target: PoolTarget, defaults: RenderDefaults, ladder: Manifest) -> Manifest:
    placement = next(p for p in resource.spec.placements if p.name == target.pool.placement)
    variant = next(v for v in resource.spec.variants if v.name == target.pool.variant)
    labels, selector = _labels(resource, str(target.pool)), _selector(resource, str(target.pool))
    serving = resource.spec.serving
    image = Image(serving.image or defaults.server_image, defaults.image_pull_policy)
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(resource, pool_name(resource, target.pool), labels),
        "spec": {
            "selector": {"matchLabels": selector},
            "minReadySeconds": 0,
            "progressDeadlineSeconds": serving.start_deadline_seconds,
            "revisionHistoryLimit": REVISIONS_KEPT,
            "strategy": _strategy(accelerated=placement.accelerator is not None, replicas=target.replicas),
            "template": {
                "metadata": {
                    "labels": {**serving.pod_labels, **labels},
                    "annotations": {**serving.pod_annotations, **scrape_annotations()},
                },
                "spec": pod_spec(resource, placement, variant, image, selector, ladder["metadata"]["name"]),
            },
        },
    }
    # Not in the pods' template, so that another ladder makes the operator write and the Deployment roll nothing.
    noted = {LADDER_DIGEST_ANNOTATION: digest(ladder["data"]), OVERDRAFT_ANNOTATION: f"{target.overdraft:g}"}
    return _digested(manifest, noted)


def _activator(resource: ModelDeployment, defaults: RenderDefaults) -> Manifest:
    meta = resource.metadata
    own = {**_labels(resource, ACTIVATOR), "app.kubernetes.io/name": "modelscaler-activator"}
    labels = {**resource.spec.serving.pod_labels, **own}
    upstream = defaults.service_url.format(name=meta.name, namespace=meta.namespace)
    image = Image(defaults.activator_image, defaults.image_pull_policy)
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(resource, activator_name(meta.name), own),
        "spec": activator_spec(resource, image, upstream, labels, _selector(resource, ACTIVATOR)),
    }
    return _digested(manifest, {})


def _serving_service(resource: ModelDeployment, step: Step) -> Manifest:
    return _service(resource, resource.metadata.name, ACTIVATOR if step.held else str(step.serving))


def _service(resource: ModelDeployment, name: str, pool: str) -> Manifest:
    manifest = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(resource, name, _labels(resource, None)),
        "spec": service_spec(_selector(resource, pool), SERVER_PORT_NAME),
    }
    return _digested(manifest, {})


def _beside(resource: ModelDeployment, step: Step) -> Manifest | None:
    """Return the Service of the pool beside the serving one, before the route sends anything to it."""
    side = step.state.side
    return _service(resource, beside_name(resource.metadata.name), str(side.pool)) if step.route and side else None


def _route(resource: ModelDeployment, target: RouteTarget) -> Manifest | None:
    asked = resource.spec.serving.gateway
    if asked is None:
        return None
    manifest = {
        "apiVersion": f"{GATEWAY_GROUP}/{GATEWAY_VERSION}",
        "kind": ROUTE_KIND,
        "metadata": _metadata(resource, resource.metadata.name, _labels(resource, None)),
        "spec": route_spec(asked, resource.metadata.name, target),
    }
    return _digested(manifest, {})


def _strategy(*, accelerated: bool, replicas: int) -> Manifest:
    """Say how a changed template is rolled out.

    A surge replica needs a spare accelerator, and where all are in use the rollout would wait for one for ever. So a pool
    of several replicas on an accelerator gives one up first: the others carry on. A lone replica is never given up: its
    rollout waits for a spare unit, because waiting loses no request and stopping the only server does.
    """
    in_place = accelerated and replicas >= 2
    surge, unavailable = (0, 1) if in_place else (1, 0)
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def _metadata(resource: ModelDeployment, name: str, labels: Mapping[str, str]) -> Manifest:
    return {
        "name": name,
        "namespace": resource.metadata.namespace,
        "labels": dict(labels),
        "ownerReferences": [
            {
                "apiVersion": f"{GROUP}/v1alpha1",
                "kind": KIND,
                "name": resource.metadata.name,
                "uid": resource.metadata.uid,
                "controller": True,
                # True needs update on modeldeployments/finalizers where OwnerReferencesPermissionEnforcement is on,
                # and only foreground deletion would gain by it.
                "blockOwnerDeletion": False,
            }
        ],
    }


def _selector(resource: ModelDeployment, pool: str) -> dict[str, str]:
    return {DEPLOYMENT_LABEL: resource.metadata.name, POOL_LABEL: pool}


def _labels(resource: ModelDeployment, pool: str | None) -> dict[str, str]:
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        "app.kubernetes.io/name": "modelserver",
        "app.kubernetes.io/instance": resource.metadata.name,
        DEPLOYMENT_LABEL: resource.metadata.name,
        **({POOL_LABEL: pool} if pool else {}),
    }


def _digested(manifest: Manifest, annotations: Mapping[str, str]) -> Manifest:
    noted = {**manifest, "metadata": {**manifest["metadata"], "annotations": dict(annotations)}}
    stamped = {**annotations, TEMPLATE_DIGEST_ANNOTATION: digest(noted)}
    return {**noted, "metadata": {**manifest["metadata"], "annotations": stamped}}
