"""Kopf's part: thin event handlers that feed the mirror.

No change handlers (their persistence patches every object), no index (its start is quadratic), no timers or daemons
(finalizers that hang deletes while the operator is down).
"""

from collections.abc import Callable
from typing import Any

import kopf

from modelscaler.api import GROUP, MANAGED_BY, MANAGED_BY_LABEL, PLURAL
from modelscaler.cluster.connection import Credentials
from modelscaler.controller.mirror import Mirror, MirroredKind

CHILD_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGED_BY}"


def settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: server-side selectors, bounded waits, nothing posted and nothing persisted."""
    chosen = kopf.OperatorSettings()
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 10
    chosen.watching.chunk_size = 500
    for child in ("deployments.apps", "services", "pods"):
        chosen.watching.label_selectors[child] = CHILD_SELECTOR
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = (0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4)
    chosen.queueing.idle_timeout = 1
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    return chosen


def registry(mirror: Mirror, login_with: Callable[[], Credentials]) -> kopf.OperatorRegistry:
    """Return the handlers: every watched kind goes to the mirror, and nowhere else.

    Args:
        mirror: What is fed.
        login_with: Returns the credentials of now; asked at the start and whenever the server refuses the old ones.
    """
    handlers = kopf.OperatorRegistry()

    def feed(kind: MirroredKind, event: Any) -> None:
        if event["type"] == "DELETED":
            mirror.drop(kind, event["object"])
        else:
            mirror.absorb(kind, event["object"])

    @kopf.on.login(registry=handlers)
    def login(**_: Any) -> kopf.ConnectionInfo:
        """Connect as the rest of the operator does."""
        found = login_with()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=found.insecure,
            scheme="Bearer" if found.token else None,
            token=found.token,
            certificate_path=found.certificate_path,
            private_key_path=found.private_key_path,
        )

    @kopf.on.event(GROUP, "v1alpha1", PLURAL, registry=handlers)
    async def model_deployment(event: Any, **_: Any) -> None:
        """Feed a ModelDeployment."""
        feed("ModelDeployment", event)

    @kopf.on.event("apps", "v1", "deployments", registry=handlers)
    async def deployment(event: Any, **_: Any) -> None:
        """Feed a child Deployment."""
        feed("Deployment", event)

    @kopf.on.event("", "v1", "services", registry=handlers)
    async def service(event: Any, **_: Any) -> None:
        """Feed a child Service."""
        feed("Service", event)

    @kopf.on.event("", "v1", "pods", registry=handlers)
    async def pod(event: Any, **_: Any) -> None:
        """Feed a pod of a pool."""
        feed("Pod", event)

    return handlers
