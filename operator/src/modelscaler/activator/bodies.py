"""Reading a request's body, which is kept whole: it may have to be sent more than once."""

import asyncio

from aiohttp import web

from modelscaler.activator.holding import Limits, Place
from modelscaler.activator.words import RefusalReason, RefusedError

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_body(request: web.BaseRequest, place: Place, limits: Limits) -> bytearray:
    """Return a request's body as it was sent, without the chunks of its transfer.

    Args:
        request: Of the client, which is told to go on when it asked for leave.
        place: Counts what is kept.
        limits: Of size and time.

    Raises:
        RefusedError: The body is too large, comes too slowly or is malformed.
    """
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read(request, place)
    except TimeoutError as error:
        raise RefusedError(
            RefusalReason.BODY_TOO_SLOW,
            f"The body was not complete after {limits.body_seconds:g} seconds; send it faster.",
        ) from error
    except web.RequestPayloadError as error:
        raise RefusedError(
            RefusalReason.MALFORMED, "The body is not framed as the headers say; send it as HTTP/1.1 has it."
        ) from error


async def _read(request: web.BaseRequest, place: Place) -> bytearray:
    if request.headers.get("expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        await request.writer.drain()
    body = bytearray()
    while part := await request.content.readany():
        place.grow(len(part))
        body += part
    return body
