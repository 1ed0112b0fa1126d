"""Events as kubelet writes them, with repetitions counted on one object."""

import asyncio
import logging
import secrets
from dataclasses import dataclass

import aiohttp

from localcluster.apiclient import ApiClient, ApiError
from localcluster.kubeobjects import JsonObject
from localcluster.node.clock import now, timestamp

LOG = logging.getLogger(__name__)
NORMAL, WARNING = "Normal", "Warning"


@dataclass
class _Written:
    path: str
    count: int


class EventRecorder:
    """Writes events in the background; losing one is no reason to stop a pod."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._queue: asyncio.Queue[tuple[JsonObject, str, str, str]] = asyncio.Queue()
        self._written: dict[tuple[str, str, str], _Written] = {}

    def record(self, regarding: JsonObject, kind: str, reason: str, message: str) -> None:
        """Queue an event.

        Args:
            regarding: an object reference.
            kind: NORMAL or WARNING.
            reason: one of kubelet's words.
            message: for people.
        """
        self._queue.put_nowait((regarding, kind, reason, message))

    async def run(self) -> None:
        """Write what is queued, for ever."""
        while True:
            regarding, kind, reason, message = await self._queue.get()
            try:
                await self._write(regarding, kind, reason, message)
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                # A namespace that is being deleted takes no more events.
                LOG.info("event %s of %s not written: %s", reason, regarding["name"], error)

    async def _write(self, regarding: JsonObject, kind: str, reason: str, message: str) -> None:
        key = (regarding.get("uid", "") + regarding.get("fieldPath", ""), reason, message)
        stamp = timestamp(now())
        if written := self._written.get(key):
            written.count += 1
            await self._api.patch(written.path, {"count": written.count, "lastTimestamp": stamp})
            return
        namespace = regarding.get("namespace") or "default"
        name = f"{regarding['name']}.{secrets.token_hex(8)}"
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": regarding,
            "type": kind,
            "reason": reason,
            "message": message[:1024],
            "source": {"component": "kubelet", "host": regarding.get("host", "")},
            "reportingComponent": "kubelet",
            "reportingInstance": "",
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        collection = f"/api/v1/namespaces/{namespace}/events"
        await self._api.create(collection, body)
        self._written[key] = _Written(f"{collection}/{name}", 1)


def pod_reference(pod: JsonObject, container: str = "") -> JsonObject:
    """Return the reference that an event about a pod, or one of its containers, carries."""
    metadata = pod["metadata"]
    reference = {
        "kind": "Pod",
        "apiVersion": "v1",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata.get("resourceVersion", ""),
    }
    return reference | ({"fieldPath": f"spec.containers{{{container}}}"} if container else {})
