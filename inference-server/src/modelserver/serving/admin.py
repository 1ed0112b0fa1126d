"""The admin port: reading and changing the ladder while the server runs, for whoever has the token."""

import hmac
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson

from modelserver.engine.ladder import Ladder, parse_ladder
from modelserver.errors import (
    InvalidRequestError,
    LoadError,
    MethodNotAllowedError,
    NotFoundError,
    RequestError,
    UnauthorizedError,
)
from modelserver.serving.http import (
    Receive,
    Response,
    Scope,
    Send,
    body_headers,
    encode_error,
    error_response,
    json_response,
    read_body,
    send_response,
)

TOKEN_VARIABLE = "MODELSERVER_ADMIN_TOKEN"  # noqa: S105 - the name of it
PATH = "/admin/ladder"
_BODY_LIMIT_BYTES = 64 * 1024


def token_from_environment() -> str:
    """Return the admin token.

    Raises:
        LoadError: When there is none: a port that anyone may use to change the server is not opened.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise LoadError(f"--admin-port: ${TOKEN_VARIABLE} is empty, expected the token that requests must carry")
    return token


class Admin:
    """The ASGI application of the admin port.

    Args:
        token: That requests must carry.
        ladder: Returns the ladder in force.
        change: Puts another in force; raises InvalidRequestError or LoadError when that is not possible.
    """

    def __init__(self, token: str, ladder: Callable[[], Ladder], change: Callable[[Ladder], Awaitable[None]]) -> None:
        self._expected = f"Bearer {token}".encode()
        self._ladder = ladder
        self._change = change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        try:
            response = await self._answer(scope, receive)
        except RequestError as error:
            response = error_response(error)
        except LoadError as error:
            response = Response(HTTPStatus.CONFLICT, encode_error(str(error)))
        await send_response(send, response, close=False)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        self._authorize(scope)
        if scope["path"] != PATH:
            raise NotFoundError(f"path {scope['path']!r}: expected {PATH}")
        if scope["method"] == "PUT":
            await self._change(parse_ladder(await self._document(scope, receive)))
        elif scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowedError(f"method {scope['method']} of {PATH}: expected GET or PUT")
        ladder = self._ladder()
        return json_response({**ladder.document(), "hash": ladder.hash})

    def _authorize(self, scope: Scope) -> None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._expected):
            raise UnauthorizedError(f"authorization: expected Bearer and the token in ${TOKEN_VARIABLE}")

    async def _document(self, scope: Scope, receive: Receive) -> object:
        body = await read_body(body_headers(scope["headers"]).length, receive, _BODY_LIMIT_BYTES)
        try:
            return orjson.loads(body)
        except ValueError as error:
            raise InvalidRequestError(f"body: expected a JSON object, {error}") from error
