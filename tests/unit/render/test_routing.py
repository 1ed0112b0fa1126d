"""The route and the Services behind it, as they are rendered."""

from typing import Any

from builders import NOW
from modelscaler.domain import PolicyState, PoolKey, RouteTarget, Side, Step
from modelscaler.render import RenderDefaults, Rendering, render
from modelscaler.workload import workload_from
from resources import UID, model_deployment

CPU, GPU = PoolKey("cpu", "full"), PoolKey("gpu", "full")
GATEWAY = {
    "parentRefs": [{"name": "edge", "namespace": "gateways", "sectionName": "https"}],
    "hostnames": ["a.example"],
}


def rendering(
    target: RouteTarget | None, side: PoolKey | None = None, gateway: dict[str, Any] | None = None
) -> Rendering:
    changes: dict[str, Any] = {"spec.placements.1": {"name": "gpu", "hourlyCost": "1"}}
    resource = model_deployment(changes | ({"spec.serving.gateway": gateway} if gateway else {}))
    state = PolicyState(active=GPU, side=Side(side, NOW) if side else None)
    step = Step((), GPU, state, route=target)
    return render(resource, workload_from(resource, None), step, RenderDefaults("server"))


def test_route_shares_requests_between_both_services_when_two_pools_serve() -> None:
    route = rendering(RouteTarget(852, CPU, 148), CPU, GATEWAY).route
    assert route is not None
    assert (route["apiVersion"], route["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")
    assert (route["metadata"]["name"], route["metadata"]["ownerReferences"][0]["uid"]) == ("ranker", UID)
    assert route["spec"] == {
        "parentRefs": [{"name": "edge", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["a.example"],
        "rules": [
            {
                "backendRefs": [
                    {"name": "ranker", "port": 80, "weight": 852},
                    {"name": "ranker-beside", "port": 80, "weight": 148},
                ]
            }
        ],
    }


def test_route_names_only_the_serving_pool_s_service_when_it_serves_alone() -> None:
    route = rendering(RouteTarget(1000), gateway={"parentRefs": [{"name": "edge"}]}).route
    assert route is not None
    backends = [{"backendRefs": [{"name": "ranker", "port": 80, "weight": 1000}]}]
    assert route["spec"] == {"parentRefs": [{"name": "edge"}], "rules": backends}


def test_service_selects_the_pool_beside_when_it_gets_no_requests_yet() -> None:
    beside = rendering(RouteTarget(1000), CPU, GATEWAY).beside
    assert beside is not None
    assert beside["metadata"]["name"] == "ranker-beside"
    assert beside["spec"]["selector"]["modelscaler.dev/pool"] == "cpu-full"


def test_there_shall_be_no_route_when_no_gateway_is_asked_for() -> None:
    made = rendering(None)
    assert (made.route, made.beside, made.unrouted) == (None, None, True)


def test_route_is_left_as_it_is_when_there_can_be_none() -> None:
    made = rendering(None, CPU, GATEWAY)
    assert (made.route, made.beside, made.unrouted) == (None, None, False)
