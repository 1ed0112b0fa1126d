"""Answers: those of a replica, passed on as they come, and the activator's own."""

import asyncio
import json
from typing import Final

import aiohttp
from aiohttp import web

from modelscaler.activator.framing import answer_headers, own_headers
from modelscaler.activator.words import HEADER, HOLDING, RETRY_AFTER_SECONDS, RefusedError

CLIENT_READS_SECONDS: Final = 60.0
"""For a client to take a piece of its answer."""


async def pass_on(request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass a replica's answer on as it comes. When it breaks off, the client's connection does: it must not look complete."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=answer_headers(answer.headers))
    response.force_close()
    transport = request.transport
    try:
        await response.prepare(request)
        async for part in answer.content.iter_any():
            async with asyncio.timeout(CLIENT_READS_SECONDS):
                await response.write(part)
    except (aiohttp.ClientError, OSError, TimeoutError):
        if transport is not None:
            transport.abort()
    return response


def refusal(refused: RefusedError) -> web.Response:
    """Return the answer to a request that is refused."""
    again = {"Retry-After": str(RETRY_AFTER_SECONDS)} if refused.status == 503 else {}
    return _closing(refused.status, str(refused), again)


def holding() -> web.Response:
    """Return the answer to another activator, or to ourselves: no replica is here."""
    message = "No replica is here: an activator holds the requests."
    return _closing(503, message, {HEADER: HOLDING, "Retry-After": str(RETRY_AFTER_SECONDS)})


def nobody_here() -> web.Response:
    """Return the answer to who asks for something else than an answer of the model, which wakes nobody."""
    message = "No replica runs, and only POST …/infer starts one; ask again once there was such a request."
    return _closing(503, message, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def _closing(status: int, message: str, headers: dict[str, str]) -> web.Response:
    body = json.dumps({"error": message})
    response = web.Response(status=status, text=body, content_type="application/json", headers=own_headers(headers))
    response.force_close()
    return response
