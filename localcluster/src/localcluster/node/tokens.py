"""Service-account tokens for pods, asked from the real TokenRequest API and renewed in time."""

import datetime
from dataclasses import dataclass

from localcluster.apiclient import ApiClient
from localcluster.kubeobjects import JsonObject
from localcluster.node.clock import now

# Kubelet renews at 80 % of the lifetime.
RENEW_AT_FRACTION = 0.8
DEFAULT_LIFETIME_SECONDS = 3600


@dataclass(frozen=True)
class _Token:
    value: str
    renew_at: datetime.datetime


class PodTokens:
    """The tokens of one pod, by audience and lifetime."""

    def __init__(self, api: ApiClient, pod: JsonObject) -> None:
        self._api = api
        self._pod = pod
        self._tokens: dict[tuple[str, int], _Token] = {}

    async def get(self, audience: str, lifetime_seconds: int) -> str:
        """Return a token that is valid for a while yet.

        Args:
            audience: empty for the API server's own.
            lifetime_seconds: as the volume asks.
        """
        key = (audience, lifetime_seconds)
        held = self._tokens.get(key)
        if held is None or now() >= held.renew_at:
            held = self._tokens[key] = await self._request(audience, lifetime_seconds)
        return held.value

    async def _request(self, audience: str, lifetime_seconds: int) -> _Token:
        metadata, account = self._pod["metadata"], self._pod["spec"].get("serviceAccountName", "default")
        reference = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
        spec: JsonObject = {"expirationSeconds": lifetime_seconds, "boundObjectRef": reference}
        if audience:
            spec["audiences"] = [audience]
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        answer = await self._api.create(path, {"spec": spec})
        life = datetime.timedelta(seconds=lifetime_seconds * RENEW_AT_FRACTION)
        return _Token(answer["status"]["token"], now() + life)
