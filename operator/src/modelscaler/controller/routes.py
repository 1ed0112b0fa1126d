"""Which HTTPRoutes there are, and whether there can be any. Listed, not watched: Gateway API may come and go while we run."""

import asyncio
import sys
from collections.abc import Iterable

from modelscaler.api.words import ConditionReason
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.errors import ApiCallError
from modelscaler.controller.decide import Trouble
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.summaries import Entry

NOT_SERVED = Trouble(
    ConditionReason.ROUTES_NOT_SERVED,
    "serving.gateway is set, but the cluster does not serve gateway.networking.k8s.io/v1 HTTPRoutes; install Gateway API",
)
FORBIDDEN = Trouble(
    ConditionReason.ROUTES_FORBIDDEN,
    "serving.gateway is set, but the operator may not handle HTTPRoutes; set gatewayAPI.enabled=true in its Helm chart",
)


class Routes:
    """Lists HTTPRoutes into the mirror, once for all ModelDeployments, where any asks for one."""

    def __init__(self, calls: ClusterCalls, mirror: Mirror, child_selector: str) -> None:
        self._calls = calls
        self._mirror = mirror
        self._child_selector = child_selector
        self.trouble: Trouble | None = NOT_SERVED

    def wanted(self, entries: Iterable[Entry]) -> bool:
        """Tell whether some ModelDeployment asks for a route."""
        return any(e.resource is not None and e.resource.spec.serving.gateway for e in entries)

    async def refresh(self) -> None:
        """List them. What was known of them stays when the operator may not look any more.

        Raises:
            ApiCallError: Nobody answers; what was known stays.
        """
        known_before = self._mirror.newest_version("HTTPRoute")
        try:
            listing = await asyncio.to_thread(self._calls.list, "HTTPRoute", self._child_selector)
        except ApiCallError as error:
            if error.status not in (403, 404):
                raise
            self.trouble = NOT_SERVED if error.not_found else FORBIDDEN
            if error.not_found:
                self._mirror.replace("HTTPRoute", (), sys.maxsize)
            return
        self.trouble = None
        self._mirror.replace("HTTPRoute", listing.items, listing.resource_version, known_before)
