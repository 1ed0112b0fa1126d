"""Turn a resource and the next step of its plan into child objects, ready for server-side apply. Pure.

Templates and replicas have field managers of their own, so applying the one never drops the other. Every manifest carries
a digest of itself, so that after a restart the operator sees that it need not apply again.
"""

from modelscaler.render.activator import STATUS_PORT, activator_name
from modelscaler.render.children import (
    OVERDRAFT_ANNOTATION,
    TEMPLATE_DIGEST_ANNOTATION,
    TEMPLATE_MANAGER,
    RenderDefaults,
    Rendering,
    Scale,
    digest,
    digest_of,
    pool_name,
    pool_names,
    render,
)
from modelscaler.render.routing import GATEWAY_GROUP, GATEWAY_VERSION, ROUTE_KIND, beside_name

__all__ = [
    "GATEWAY_GROUP",
    "GATEWAY_VERSION",
    "OVERDRAFT_ANNOTATION",
    "ROUTE_KIND",
    "STATUS_PORT",
    "TEMPLATE_DIGEST_ANNOTATION",
    "TEMPLATE_MANAGER",
    "RenderDefaults",
    "Rendering",
    "Scale",
    "activator_name",
    "beside_name",
    "digest",
    "digest_of",
    "pool_name",
    "pool_names",
    "render",
]
