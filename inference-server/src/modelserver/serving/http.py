"""The little of HTTP that the server needs above ASGI."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias

import orjson

from modelserver.errors import BodyTooLargeError, InvalidRequestError, RequestError

Scope: TypeAlias = Mapping[str, Any]
Message: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Hold: TypeAlias = Callable[[int], None]

JSON = b"application/json"
ATTEMPT_HEADER = b"x-envoy-attempt-count"
_MAX_LENGTH_DIGITS = 18


class Response(NamedTuple):
    """An answer to a request. A tuple: one is made per request, and frozen dataclasses take several times as long."""

    status: HTTPStatus
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class BodyHeaders(NamedTuple):
    """What a request's headers say of its body. A tuple, as `Response` is.

    Attributes:
        length: Of the body as it is sent; None when it comes in chunks.
        encoding: How it is compressed; None for not at all.
        header_length: Of the JSON before binary tensor data, as sent; None for JSON alone.
    """

    length: int | None
    encoding: bytes | None
    header_length: str | None


def json_response(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return an answer in JSON."""
    return Response(status, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS))


def encode_error(message: str) -> bytes:
    """Return the body of an error, as v2 has it."""
    return orjson.dumps({"error": message})


def error_response(error: RequestError) -> Response:
    """Return the answer that an error calls for."""
    after = error.retry_after_seconds
    headers = () if after is None else ((b"retry-after", str(after).encode()),)
    return Response(error.status, encode_error(str(error)), headers=headers)


async def send_response(send: Send, response: Response, close: bool) -> None:
    """Send an answer; `close` tells the client to use another connection next time."""
    headers = [
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(response.body)),
        *response.headers,
    ]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise InvalidRequestError(f"content-length: {value[:40].decode('latin-1')!r}, expected a whole number")
    return int(value)


def is_sent_again(headers: Headers) -> bool:
    """Say whether whoever sends a request has sent it before, by Envoy's count of attempts, which is 1 at first.

    Args:
        headers: Names in lower case; `x-envoy-attempt-count` is what Envoy and Istio add, and clients of any kind may.
    """
    for name, value in headers:
        if name == ATTEMPT_HEADER:
            return value.isdigit() and len(value) <= _MAX_LENGTH_DIGITS and int(value) > 1
    return False


def body_headers(headers: Headers) -> BodyHeaders:
    """Read what a request's headers say of its body.

    Args:
        headers: Names in lower case.

    Raises:
        InvalidRequestError: When the length is not a number.
    """
    length = encoding = header_length = None
    for name, value in headers:
        if name == b"content-length":
            length = _length(value)
        elif name == b"content-encoding":
            encoding = value
        elif name == b"inference-header-content-length":
            header_length = value.decode("latin-1")
    return BodyHeaders(length, encoding, header_length)


def _count_nothing(_: int) -> None:
    """Hold whatever comes, of a body that is bounded alone."""


async def _read_on(first: Message, receive: Receive, limit_bytes: int, hold: Hold) -> bytes:
    """Return a body of which only the first part is there."""
    parts: list[bytes] = []
    size = 0
    message = first
    while True:
        if message["type"] == "http.disconnect":
            raise InvalidRequestError("body: the client left before it was complete")
        part = message["body"]
        size += len(part)
        if size > limit_bytes:
            raise BodyTooLargeError(f"body: more than {limit_bytes} bytes, expected at most that")
        hold(len(part))
        parts.append(part)
        if not message["more_body"]:
            return b"".join(parts)
        message = await receive()


async def read_body(length: int | None, receive: Receive, limit_bytes: int, hold: Hold = _count_nothing) -> bytes:
    """Return a request's body, as it was sent. The connection sees to it that it does not take for ever.

    Args:
        length: That the client said; None when it did not.
        receive: ASGI's.
        limit_bytes: Longest body.
        hold: Told the bytes of each part before it is kept; raises when there is no room for it.

    Raises:
        BodyTooLargeError: As soon as it is known to be longer than `limit_bytes`.
        InvalidRequestError: When the client left.
    """
    if length is not None and length > limit_bytes:
        raise BodyTooLargeError(f"body: {length} bytes, expected at most {limit_bytes}")
    return await _read_on(await receive(), receive, limit_bytes, hold)
