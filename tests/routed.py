"""A ModelDeployment behind a gateway on a real API server: its route as the operator renders, applies and sees it."""

import asyncio
from typing import Any

from builders import NOW
from modelscaler.cluster.calls import Body, ClusterCalls
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.routes import Routes
from modelscaler.controller.summaries import observe_route
from modelscaler.domain import PolicyState, PoolKey, RouteObservation, RouteTarget, Side, Step, WorkloadKey
from modelscaler.render import TEMPLATE_MANAGER, RenderDefaults, Rendering, beside_name, render
from modelscaler.workload import workload_from
from resources import model_deployment

NAMESPACE = "routed"
KEY = WorkloadKey(NAMESPACE, "ranker")
HOST = "ranker.example"
BASE, SIDE = PoolKey("gpu", "full"), PoolKey("cpu", "full")


def rendering(target: RouteTarget, parent: dict[str, Any]) -> Rendering:
    """Return what the operator renders where two pools share requests, which come through that Gateway."""
    resource = model_deployment(
        {
            "metadata.namespace": NAMESPACE,
            "spec.placements.1": {"name": "gpu", "hourlyCost": "1"},
            "spec.serving.gateway": {"parentRefs": [parent], "hostnames": [HOST]},
        }
    )
    state = PolicyState(active=BASE, side=Side(SIDE, NOW))
    return render(resource, workload_from(resource, None), Step((), BASE, state, route=target), RenderDefaults("x"))


def apply(calls: ClusterCalls, made: Rendering) -> Body:
    """Apply the Services and then the route, as the operator does; return the route as stored."""
    assert made.service is not None
    assert made.beside is not None
    assert made.route is not None
    for service in (made.service, made.beside):
        calls.apply(service, TEMPLATE_MANAGER)
    return calls.apply(made.route, TEMPLATE_MANAGER)


def seen(calls: ClusterCalls) -> RouteObservation | None:
    """Return what the operator sees of the route after a listing."""
    mirror = Mirror(lambda _: None)
    routes = Routes(calls, mirror, "")
    asyncio.run(routes.refresh())
    assert routes.trouble is None
    mirror.replace("Service", calls.list("Service").items, 10**9)
    return observe_route(mirror.route(KEY), mirror.beside(KEY), beside_name(KEY.name))
