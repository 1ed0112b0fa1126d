"""The few Kubernetes API calls that the local cluster makes, over aiohttp."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType

import aiohttp

from localcluster.kubeobjects import JsonObject

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
REQUEST_TIMEOUT_SECONDS = 30.0
WATCH_TIMEOUT_SECONDS = 300
HTTP_NOT_FOUND, HTTP_CONFLICT, HTTP_GONE = 404, 409, 410
# A list of pods with big environments passes the default of 64 KiB per line.
LONGEST_WATCH_LINE_BYTES = 8 * 1024 * 1024


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class WatchExpired(Exception):  # noqa: N818 - named after the API's own "expired"
    """The resource version is too old; list again."""


class ApiClient:
    """A client of one API server with one identity."""

    def __init__(self, url: str, authority: Path, token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "ApiClient":
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(
            self._url,
            connector=connector,
            headers=self._headers,
            timeout=timeout,
            read_bufsize=LONGEST_WATCH_LINE_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self) -> bool:
        """Say whether the API server answers /readyz with ok."""
        try:
            async with self._open().get("/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> JsonObject:
        """Return the object or list at ``path``."""
        return await self._request("GET", path, params=params)

    async def create(self, path: str, body: JsonObject) -> JsonObject:
        """Create an object in the collection at ``path`` (or at a subresource that takes POST)."""
        return await self._request("POST", path, body=body)

    async def patch(self, path: str, body: JsonObject, content_type: str = MERGE) -> JsonObject:
        """Patch the object at ``path``."""
        return await self._request("PATCH", path, body=body, content_type=content_type)

    async def delete(self, path: str, body: JsonObject | None = None) -> JsonObject:
        """Delete the object at ``path``."""
        return await self._request("DELETE", path, body=body)

    async def watch(self, path: str, resource_version: str, params: Mapping[str, str]) -> AsyncIterator[JsonObject]:
        """Yield watch events from ``resource_version`` on, bookmarks included.

        Raises:
            WatchExpired: when the server has forgotten that version.
        """
        query = {
            **params,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_TIMEOUT_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=WATCH_TIMEOUT_SECONDS + 30, sock_read=None)
        async with self._open().get(path, params=query, timeout=timeout) as answer:
            await _raise_for_status(answer)
            async for line in answer.content:
                event: JsonObject = json.loads(line)
                if event["type"] == "ERROR":
                    raise _watch_error(event["object"])
                yield event

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        async with self._open().request(method, path, params=params, data=data, headers=headers) as answer:
            await _raise_for_status(answer)
            result: JsonObject = await answer.json()
            return result

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("ApiClient is used outside its `async with`")
        return self._session


async def _raise_for_status(answer: aiohttp.ClientResponse) -> None:
    if answer.status < 400:
        return
    text = await answer.text()
    try:
        status = json.loads(text)
        raise ApiError(answer.status, str(status.get("reason", "")), str(status.get("message", "")))
    except json.JSONDecodeError:
        raise ApiError(answer.status, answer.reason or "", text[:200]) from None


def _watch_error(status: JsonObject) -> Exception:
    if status.get("code") == HTTP_GONE:
        return WatchExpired(str(status.get("message", "")))
    return ApiError(int(status.get("code", 0)), str(status.get("reason", "")), str(status.get("message", "")))
