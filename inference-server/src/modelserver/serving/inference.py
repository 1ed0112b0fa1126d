"""One infer request from bytes to bytes: read, check, queue, answer. This is the hot path."""

import asyncio
import time
from http import HTTPStatus

from modelserver.engine.engine import Engine
from modelserver.errors import NotFoundError
from modelserver.protocol.answer import encode_answer
from modelserver.protocol.compression import decompress
from modelserver.protocol.request import decode_request, header_length_from
from modelserver.serving.bodies import Bodies, HeldBody
from modelserver.serving.connection import GONE
from modelserver.serving.http import BodyHeaders, Receive, Response, Scope, body_headers, read_body
from modelserver.serving.window import Window

_HEADER_LENGTH = b"inference-header-content-length"
_BINARY = b"application/octet-stream"
_INFLATED_HERE_BYTES = 4096
"""Longer compressed bodies are decompressed by a thread: zlib lets others run meanwhile."""


class Inference:
    """Answers infer requests.

    Args:
        engine: Computes.
        window: Told what bodies take.
        body_limit_bytes: Longest body, compressed and decompressed.
        bodies_limit_bytes: All bodies that are being read or answered, together; one alone is always taken.
    """

    def __init__(self, engine: Engine, window: Window, body_limit_bytes: int, bodies_limit_bytes: int) -> None:
        self._engine = engine
        self._window = window
        self._body_limit_bytes = body_limit_bytes
        self._bodies = Bodies(bodies_limit_bytes)

    async def answer(self, scope: Scope, receive: Receive, variant: str | None) -> tuple[Response, str]:
        """Answer a request.

        Args:
            scope: ASGI's.
            receive: ASGI's.
            variant: In the path; None for none.

        Returns:
            The answer, and the variant that made it.

        Raises:
            RequestError: When there is none.
        """
        headers = body_headers(scope["headers"])
        held = HeldBody(self._bodies)
        try:
            body = await self._body(headers, receive, held)
            return await self._answer(scope, headers, body, variant)
        finally:
            held.settle(0)

    async def _answer(
        self, scope: Scope, headers: BodyHeaders, body: bytes, variant: str | None
    ) -> tuple[Response, str]:
        contract = self._engine.contract
        request, options = decode_request(body, header_length_from(headers.header_length), contract, variant)
        answered = await self._engine.submit(request, options, scope.get(GONE))
        encoded = encode_answer(
            contract.name, answered.variant, options.identifier, answered.outputs, options, answered.degraded
        )
        if encoded.header_length is None:
            return Response(HTTPStatus.OK, encoded.body), answered.variant
        more = ((_HEADER_LENGTH, b"%d" % encoded.header_length),)
        return Response(HTTPStatus.OK, encoded.body, _BINARY, more), answered.variant

    def check_variant(self, variant: str) -> None:
        """Check a variant in a path.

        Raises:
            NotFoundError: When no worker has it, or it is not in the ladder.
        """
        known = self._engine.variants
        if variant not in known:
            raise NotFoundError(f"version {variant[:60]!r}: expected one of {', '.join(known)}")

    async def _body(self, headers: BodyHeaders, receive: Receive, held: HeldBody) -> bytes:
        start = time.perf_counter()
        self._bodies.check(0, min(headers.length or 0, self._body_limit_bytes))
        body = await read_body(headers.length, receive, self._body_limit_bytes, held.grow)
        self._window.requests.body_seconds += time.perf_counter() - start
        if headers.encoding is None:
            return body
        held.grow(self._body_limit_bytes)  # it may become as long
        body = await self._decompressed(body, headers.encoding.decode("latin-1"))
        held.settle(len(body))
        return body

    async def _decompressed(self, body: bytes, encoding: str) -> bytes:
        if len(body) <= _INFLATED_HERE_BYTES:
            return decompress(body, encoding, self._body_limit_bytes)
        return await asyncio.to_thread(decompress, body, encoding, self._body_limit_bytes)
