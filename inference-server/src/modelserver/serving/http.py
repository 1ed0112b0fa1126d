"""The little of HTTP that the server needs above ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

from modelserver.errors import BodyTooLargeError, InvalidRequestError, RequestError, RequestTimeoutError
from modelserver.serving.protocol import encode_error

Scope: TypeAlias = Mapping[str, Any]
Message: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

JSON = b"application/json"
PROMETHEUS_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Response:
    """An answer to a request."""

    status: HTTPStatus
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


def error_response(error: RequestError) -> Response:
    """Return the answer that an error calls for."""
    after = error.retry_after_seconds
    headers = () if after is None else ((b"retry-after", str(after).encode()),)
    return Response(error.status, encode_error(str(error)), headers=headers)


async def send_response(send: Send, response: Response, close: bool) -> None:
    """Send an answer; `close` tells the client to use another connection next time."""
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", str(len(response.body)).encode()),
        *response.headers,
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _check_headers(scope: Scope, limit_bytes: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit_bytes:
            raise BodyTooLargeError(f"body: {int(value)} bytes, expected at most {limit_bytes}")
        if name == b"content-encoding" and value != b"identity":
            raise InvalidRequestError(f"content-encoding: {value.decode('latin-1')!r}, expected none")
        if name == b"inference-header-content-length":
            raise InvalidRequestError("binary tensor data: not supported yet, expected JSON")


async def _read(receive: Receive, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequestError("body: the client left before it was complete")
        part = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise BodyTooLargeError(f"body: more than {limit_bytes} bytes, expected at most that")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def read_body(scope: Scope, receive: Receive, limit_bytes: int, timeout_seconds: float) -> bytes:
    """Return a request's body.

    Raises:
        BodyTooLargeError: As soon as it is known to be longer than `limit_bytes`.
        RequestTimeoutError: When it has not arrived after `timeout_seconds`.
        InvalidRequestError: When it is encoded in a way that is not supported, or the client left.
    """
    _check_headers(scope, limit_bytes)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _read(receive, limit_bytes)
    except TimeoutError as error:
        raise RequestTimeoutError(f"body: not complete after {timeout_seconds:g} s") from error
