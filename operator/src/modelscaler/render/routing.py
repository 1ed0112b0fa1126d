"""How requests reach the pools: a Service for the serving one, a Service for the one beside it, and the route. Pure.

The route's first backend is the ModelDeployment's own Service, whatever pool that selects, so switching pools needs no other
route. The second is there only while it gets requests.
"""

from typing import Any, Final, TypeAlias

from modelscaler.api.v1alpha1 import GatewayRoute, ParentRef
from modelscaler.domain import RouteTarget

Fields: TypeAlias = dict[str, Any]

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
GATEWAY_VERSION: Final = "v1"
ROUTE_KIND: Final = "HTTPRoute"
SERVICE_PORT: Final = 80
BESIDE: Final = "beside"


def beside_name(name: str) -> str:
    """Return the name of the Service of the pool beside the serving one."""
    return f"{name}-{BESIDE}"


def service_spec(selector: dict[str, str], target_port: str) -> Fields:
    """Return the spec of a Service for one pool."""
    return {
        "type": "ClusterIP",
        "selector": selector,
        "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": target_port, "protocol": "TCP"}],
    }


def route_spec(asked: GatewayRoute, name: str, target: RouteTarget) -> Fields:
    """Return the spec of the HTTPRoute of a ModelDeployment with that name."""
    backends = [_backend(name, target.base_weight)]
    if target.side is not None:
        backends.append(_backend(beside_name(name), target.side_weight))
    hosts: Fields = {"hostnames": list(asked.hostnames)} if asked.hostnames else {}
    return {"parentRefs": [_parent(ref) for ref in asked.parent_refs], **hosts, "rules": [{"backendRefs": backends}]}


def _backend(service: str, weight: int) -> Fields:
    return {"name": service, "port": SERVICE_PORT, "weight": weight}


def _parent(ref: ParentRef) -> Fields:
    return ref.model_dump(by_alias=True, exclude_none=True)
