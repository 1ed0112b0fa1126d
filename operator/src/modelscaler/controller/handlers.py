"""Kopf's part: thin event handlers that feed the mirror.

No change handlers (their persistence patches every object), no index (its start is quadratic), no timers or daemons
(finalizers that hang deletes while the operator is down).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

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


WATCHED: Final[Mapping[MirroredKind, tuple[str, str, str]]] = {
    "ModelDeployment": (GROUP, "v1alpha1", PLURAL),
    "Deployment": ("apps", "v1", "deployments"),
    "Service": ("", "v1", "services"),
    "Pod": ("", "v1", "pods"),
}
"""Kinds by group, version and plural."""


def registry(mirror: Mirror, login_with: Callable[[], Credentials]) -> kopf.OperatorRegistry:
    """Return the handlers: every watched kind goes to the mirror, and nowhere else.

    Args:
        mirror: What is fed.
        login_with: Returns the credentials of now; asked at the start and whenever the server refuses the old ones.
    """
    handlers = kopf.OperatorRegistry()
    for kind, resource in WATCHED.items():
        kopf.on.event(*resource, registry=handlers, id=kind)(_feeding(mirror, kind))

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

    return handlers


def _feeding(mirror: Mirror, kind: MirroredKind) -> Callable[..., Awaitable[None]]:
    """Return a handler that feeds what is watched of a kind into the mirror."""

    async def feed(event: Any, **_: Any) -> None:
        if event["type"] == "DELETED":
            mirror.drop(kind, event["object"])
        else:
            mirror.absorb(kind, event["object"])

    return feed
