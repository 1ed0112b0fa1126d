"""The operator's own HTTPRoutes and Services through Traefik, a real gateway, in front of two servers that say who they are.

The API server is a real one. No controllers run, so the EndpointSlices of the rendered Services are written by hand.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from kubernetes import client

from gateway_api import all_crds
from kubectl import Kubectl, kubectl_for, until_established
from localcluster.cluster import Cluster
from localcluster.ports import LOOPBACK, free_ports
from localcluster.spec import ClusterSpec
from modelscaler.cluster.calls import Body, ClusterCalls
from modelscaler.cluster.connection import connect
from modelscaler.controller.loop import DEBOUNCE_SECONDS
from modelscaler.domain import RouteObservation, RouteTarget
from modelscaler.planner.beside import alone
from modelscaler.render import beside_name
from named_servers import Client, named_server, own_address
from routed import HOST, KEY, NAMESPACE, SIDE, apply, rendering, seen
from traefik import CONTROLLER, GATEWAY_API, traefik

pytestmark = pytest.mark.integration

GROUP = "gateway.networking.k8s.io"
GATEWAYS, EDGE = "gateways", "edge"
ANSWER_SECONDS = 20.0
"""So long a gateway may take for anything; it takes a fraction of a second, or the two between two of its changes."""
EFFECT_SECONDS = 3.0
"""Traefik says that it has taken up a change at once, but makes one every two seconds (`providersThrottleDuration`)."""
REQUESTS = 2000
DEVIATIONS = 4.0
"""How far a share may be off, in standard deviations of as many independent draws: one run in 16,000 would be."""


@dataclass(frozen=True)
class Edge:
    """A gateway before a ModelDeployment's two Services, the real API server behind it, and what the operator does there.

    Attributes:
        calls: The operator's.
        kubectl: The administrator's.
        gateway: The gateway's process.
        port: Of its entry point on loopback.
        slices: EndpointSlices with the server of either Service, ready, by the Service's name.
        parent: The Gateway, as `serving.gateway.parentRefs` names it.
    """

    calls: ClusterCalls
    kubectl: Kubectl
    gateway: psutil.Process
    port: int
    slices: dict[str, Body]
    parent: dict[str, Any]

    def client(self) -> Client:
        return Client((LOOPBACK, self.port), HOST)

    def route(self, target: RouteTarget) -> Body:
        """Apply what the operator renders for these weights; return the route as stored."""
        return apply(self.calls, rendering(target, self.parent))

    def routed(self, target: RouteTarget) -> None:
        """Do so, and wait until the operator believes it."""
        self.route(target)
        until(self.is_believed)

    def shared(self, target: RouteTarget) -> None:
        """Do so, and wait until requests follow."""
        self.routed(target)
        time.sleep(EFFECT_SECONDS)

    def is_believed(self) -> bool:
        now = self.seen()
        return now.accepted and now.current

    def seen(self) -> RouteObservation:
        found = seen(self.calls)
        assert found is not None
        return found

    def side_is(self, ready: bool) -> None:
        """Say of the side pool's only replica whether it is ready."""
        body = deepcopy(self.slices[beside_name(KEY.name)])
        body["endpoints"][0]["conditions"]["ready"] = ready
        self.apply(body)

    def apply(self, *documents: Body) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def delete_route(self) -> None:
        """Delete the route, if there is one, as the operator does once the gateway has left the spec."""
        for stored in self.calls.list("HTTPRoute").items:
            self.calls.delete_route(NAMESPACE, KEY.name, stored["metadata"]["uid"])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not after {ANSWER_SECONDS:g} s"
        time.sleep(0.05)


def gateway(name: str, port: int) -> Body:
    """Return a Gateway with one HTTP listener, which takes routes of all namespaces."""
    listener = {"name": "http", "protocol": "HTTP", "port": port, "allowedRoutes": {"namespaces": {"from": "All"}}}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": GATEWAYS},
        "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
    }


def parent(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": GATEWAYS, "sectionName": "http"}


def endpoint_slice(service: str, address: str, port: int) -> Body:
    """Return the EndpointSlice of a Service with one ready pod, as the EndpointSlice controller writes it."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def install(kubectl: Kubectl, kubeconfig: Path, port: int) -> None:
    """Install Gateway API, the namespaces, and a Gateway of Traefik's class."""
    definitions = all_crds(GATEWAY_API)
    kubectl("apply", "--server-side", "-f", "-", stdin=definitions)
    for definition in yaml.safe_load_all(definitions):
        until_established(kubectl, definition["metadata"]["name"])
    core: Any = client.CoreV1Api(connect(str(kubeconfig)))
    for name in (NAMESPACE, GATEWAYS):
        core.create_namespace({"metadata": {"name": name}})
    made = {"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": {"name": "traefik"}}
    gateways = [made | {"spec": {"controllerName": CONTROLLER}}, gateway(EDGE, port)]
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(gateways))


@pytest.fixture(scope="module")
def gateway_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Traefik on an API server of its own: Gateway API is for nobody else to see."""
    folder, address, (port,) = tmp_path_factory.mktemp("gateway"), own_address(), free_ports(1)
    with (
        Cluster.start(ClusterSpec("gateway", folder / "state", api_only=True)) as cluster,
        named_server("base", address) as base,
        named_server("side", address) as side,
    ):
        kubectl = kubectl_for(cluster.kubeconfig)
        install(kubectl, cluster.kubeconfig, port)
        calls = ClusterCalls(connect(str(cluster.kubeconfig)))
        servers = ((KEY.name, base), (beside_name(KEY.name), side))
        slices = {service: endpoint_slice(service, address, own_port) for service, own_port in servers}
        with traefik(cluster.kubeconfig, port, folder) as process:
            yield Edge(calls, kubectl, process, port, slices, parent(EDGE))


@pytest.fixture
def edge(gateway_process: Edge) -> Iterator[Edge]:
    """Both Services with a server each, and no route yet."""
    gateway_process.apply(*gateway_process.slices.values())
    yield gateway_process
    gateway_process.delete_route()


@contextmanager
def suspended(process: psutil.Process) -> Iterator[None]:
    """Stop a process for a while, so that it answers nothing meanwhile."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def bounds(share: float, requests: int) -> tuple[float, float]:
    """Return between how many of the requests a share is, if each were drawn by itself (binomial distribution)."""
    mean, deviation = share * requests, math.sqrt(requests * share * (1.0 - share))
    return mean - DEVIATIONS * deviation, mean + DEVIATIONS * deviation


def has_share(answers: Counter[str], target: RouteTarget) -> bool:
    """Tell whether all requests were answered, and by the side pool as many as the weights say."""
    total = answers.total()
    least, most = bounds(target.side_share, total)
    return set(answers) <= {"base", "side"} and least <= answers["side"] <= most


def test_route_is_believed_when_the_gateway_that_it_names_takes_it_up(edge: Edge) -> None:
    late = replace(edge, parent=parent("late"))
    applied = late.route(RouteTarget(852, SIDE, 148))
    time.sleep(1.0)
    before = late.seen()
    late.apply(gateway("late", edge.port))
    until(late.is_believed)

    assert before == RouteObservation(accepted=False, side=SIDE, side_share=0.148)
    assert late.seen() == RouteObservation(accepted=True, side=SIDE, side_share=0.148)
    (stored,) = edge.calls.list("HTTPRoute").items
    (answer,) = stored["status"]["parents"]
    assert stored["spec"] == applied["spec"]
    assert answer["controllerName"] == CONTROLLER
    assert answer["parentRef"] == {"group": GROUP, "kind": "Gateway", **late.parent}
    assert {c["type"]: (c["status"], c["observedGeneration"]) for c in answer["conditions"]} == {
        "Accepted": ("True", stored["metadata"]["generation"]),
        "ResolvedRefs": ("True", stored["metadata"]["generation"]),
    }
    late.kubectl("delete", "gateway", "late", "-n", GATEWAYS)


def test_new_weights_are_believed_only_when_the_gateway_has_read_them(edge: Edge) -> None:
    edge.routed(RouteTarget(750, SIDE, 250))
    with suspended(edge.gateway):
        edge.route(RouteTarget(500, SIDE, 500))
        time.sleep(1.0)
        unread = edge.seen()
    until(edge.is_believed)

    assert unread == RouteObservation(accepted=True, side=SIDE, side_share=0.5, current=False)
    assert edge.seen() == RouteObservation(accepted=True, side=SIDE, side_share=0.5)


def test_route_is_believed_when_it_moved_away_from_a_gateway_that_is_gone(edge: Edge) -> None:
    gone = replace(edge, parent=parent("gone"))
    gone.apply(gateway("gone", edge.port))
    gone.routed(RouteTarget(750, SIDE, 250))
    gone.kubectl("delete", "gateway", "gone", "-n", GATEWAYS)
    edge.routed(RouteTarget(500, SIDE, 500))

    (stored,) = edge.calls.list("HTTPRoute").items
    answers = {answer["parentRef"]["name"] for answer in stored["status"]["parents"]}
    assert answers == {EDGE, "gone"}, "Traefik leaves its old answer there, which says that it took up older weights"
    assert edge.seen() == RouteObservation(accepted=True, side=SIDE, side_share=0.5)


@pytest.mark.parametrize(
    "target",
    [RouteTarget(852, SIDE, 148), alone(), RouteTarget(0, SIDE, 1000)],
    ids=lambda target: f"{target.base_weight}-{target.side_weight}",
)
def test_requests_are_shared_as_the_weights_say(edge: Edge, target: RouteTarget) -> None:
    edge.shared(target)

    assert has_share(answers := edge.client().ask(REQUESTS), target), answers


def test_no_request_is_lost_when_the_weights_change(edge: Edge) -> None:
    targets = [RouteTarget(500, SIDE, 500), alone(), RouteTarget(0, SIDE, 1000), RouteTarget(800, SIDE, 200)]
    client = edge.client()
    edge.shared(RouteTarget(800, SIDE, 200))
    with client.keeps_asking():
        shares = []
        for target in targets:
            edge.shared(target)
            since = time.monotonic()
            time.sleep(1.0)
            shares.append(client.said_since(since))

    assert client.said_since(0.0).keys() == {"base", "side"}
    assert all(map(has_share, shares, targets)), shares


def test_no_request_is_lost_when_weights_change_faster_than_the_gateway_follows(edge: Edge) -> None:
    client = edge.client()
    edge.shared(RouteTarget(800, SIDE, 200))
    with client.keeps_asking():
        for weight in range(100, 1000, 50):
            edge.route(RouteTarget(1000 - weight, SIDE, weight))
            time.sleep(0.1)
        edge.shared(RouteTarget(500, SIDE, 500))
        since = time.monotonic()
        time.sleep(1.0)

    assert client.said_since(0.0).keys() == {"base", "side"}
    assert has_share(client.said_since(since), RouteTarget(500, SIDE, 500))


def test_no_request_is_lost_when_a_pool_comes_and_goes_in_the_order_of_the_operator(edge: Edge) -> None:
    client = edge.client()
    edge.side_is(ready=False)
    edge.shared(alone())
    with client.keeps_asking():
        edge.side_is(ready=True)
        time.sleep(DEBOUNCE_SECONDS)
        edge.shared(RouteTarget(800, SIDE, 200))
        edge.routed(RouteTarget(500, SIDE, 500))
        edge.routed(alone())
        edge.side_is(ready=False)
        time.sleep(EFFECT_SECONDS)
        since = time.monotonic()
        time.sleep(0.5)

    assert client.said_since(0.0).keys() == {"base", "side"}
    assert client.said_since(since).keys() == {"base"}


def test_share_of_a_pool_is_lost_while_none_of_its_replicas_is_ready(edge: Edge) -> None:
    edge.side_is(ready=False)
    edge.shared(RouteTarget(800, SIDE, 200))

    assert edge.is_believed()
    assert edge.client().ask(100) == {"base": 80, "503": 20}


def test_nothing_comes_through_the_gateway_when_the_route_is_deleted_and_it_comes_back_with_it(edge: Edge) -> None:
    edge.shared(RouteTarget(800, SIDE, 200))
    edge.delete_route()
    time.sleep(EFFECT_SECONDS)
    without = edge.client().ask(20)
    edge.shared(alone())

    assert without == {"404": 20}
    assert edge.client().ask(20) == {"base": 20}
