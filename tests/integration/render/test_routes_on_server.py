"""HTTPRoutes as the operator writes, lists and deletes them, on the real API server with Gateway API's own definition.

The gateway's answer, the condition Accepted, is written by hand; `test_routes_through_gateway` has a real one's.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from gateway_api import routes_crd
from kubectl import Kubectl, kubectl_for
from modelscaler.api.words import ConditionReason
from modelscaler.cluster.calls import ROUTES, Body, ClusterCalls
from modelscaler.cluster.connection import connect
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.routes import Routes
from modelscaler.domain import RouteObservation, RouteTarget
from routed import HOST, NAMESPACE, SIDE, apply, rendering, seen

pytestmark = pytest.mark.integration

PARENT = {"name": "edge", "namespace": "gateways", "sectionName": "https"}


@pytest.fixture(scope="module")
def kubectl(api_server: Path) -> Kubectl:
    return kubectl_for(api_server)


@pytest.fixture(scope="module")
def before_installation(api_server: Path) -> Routes:
    """What the operator finds while the cluster does not serve Gateway API yet."""
    routes = Routes(ClusterCalls(connect(str(api_server))), Mirror(lambda _: None), "")
    asyncio.run(routes.refresh())
    return routes


@pytest.fixture(scope="module")
def calls(api_server: Path, kubectl: Kubectl, before_installation: Routes) -> Iterator[ClusterCalls]:
    kubectl("apply", "--server-side", "-f", "-", stdin=routes_crd())
    await_served(Routes(ClusterCalls(connect(str(api_server))), Mirror(lambda _: None), ""))
    api = connect(str(api_server))
    core: Any = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    yield ClusterCalls(api)
    core.delete_namespace(NAMESPACE)
    kubectl("delete", "crd", "httproutes.gateway.networking.k8s.io")


def await_served(routes: Routes) -> None:
    """Look until the API server serves HTTPRoutes, as the operator does at every tick."""
    deadline = time.monotonic() + 30.0
    while routes.trouble is not None:
        assert time.monotonic() < deadline, routes.trouble.message
        time.sleep(0.1)
        asyncio.run(routes.refresh())


def accept(api_server: Path, route: Body) -> None:
    """Answer as a gateway's controller does."""
    group, version, plural = ROUTES
    condition = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": route["metadata"]["generation"],
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    parent = {"parentRef": PARENT, "controllerName": "example.com/gateway", "conditions": [condition]}
    custom: Any = client.CustomObjectsApi(connect(str(api_server)))
    body = {"status": {"parents": [parent]}}
    custom.patch_namespaced_custom_object_status(group, version, NAMESPACE, plural, route["metadata"]["name"], body)


def test_missing_gateway_api_is_told_when_the_cluster_does_not_serve_it(before_installation: Routes) -> None:
    assert before_installation.trouble is not None
    assert before_installation.trouble.reason is ConditionReason.ROUTES_NOT_SERVED


def test_route_and_its_weights_are_taken_whole_when_applied(calls: ClusterCalls) -> None:
    stored = apply(calls, rendering(RouteTarget(852, SIDE, 148), PARENT))

    assert stored["spec"]["parentRefs"] == [{"group": "gateway.networking.k8s.io", "kind": "Gateway", **PARENT}]
    assert stored["spec"]["hostnames"] == [HOST]
    (rule,) = stored["spec"]["rules"]
    backends = [(b["kind"], b["name"], b["port"], b["weight"]) for b in rule["backendRefs"]]
    assert backends == [("Service", "ranker", 80, 852), ("Service", "ranker-beside", 80, 148)]


def test_share_is_believed_only_when_a_gateway_has_taken_up_these_weights(
    calls: ClusterCalls, api_server: Path
) -> None:
    before = apply(calls, rendering(RouteTarget(750, SIDE, 250), PARENT))
    unanswered = seen(calls)
    accept(api_server, before)
    accepted = seen(calls)
    apply(calls, rendering(RouteTarget(500, SIDE, 500), PARENT))

    assert unanswered == RouteObservation(accepted=False, side=SIDE, side_share=0.25)
    assert accepted == RouteObservation(accepted=True, side=SIDE, side_share=0.25)
    assert seen(calls) == RouteObservation(accepted=True, side=SIDE, side_share=0.5, current=False)


def test_nothing_changes_when_the_same_route_is_applied_twice(calls: ClusterCalls) -> None:
    first, second = (apply(calls, rendering(RouteTarget(1000), PARENT)) for _ in range(2))

    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_route_is_gone_when_it_is_deleted_and_deleting_it_again_is_no_error(calls: ClusterCalls) -> None:
    stored = apply(calls, rendering(RouteTarget(1000), PARENT))
    for _ in range(2):
        calls.delete_route(NAMESPACE, "ranker", stored["metadata"]["uid"])

    assert calls.list("HTTPRoute").items == ()
