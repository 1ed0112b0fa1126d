"""The ModelDeployment's own Service: whether a replica is behind it, and sending it a request.

Each connection is used once. The network chooses who gets a connection, not who gets a request, and while endpoints change
that is a replica for one connection and an activator for the next.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from modelscaler.activator.words import HEADER, HOLDING, PROBE

READY_PATH: Final = "/v2/health/ready"
HEADER_BYTES: Final = 32 << 10
BUFFER_BYTES: Final = 64 << 10
_PROBE_TIMEOUT: Final = aiohttp.ClientTimeout(total=3.0, sock_connect=0.25)
_SEND_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=2.0)
"""Once sent, an answer takes as long as it takes: it is the client who gives up."""
_AS_SENT: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class NoReplicaError(Exception):
    """Nobody took the request: no connection could be made, or an activator answered."""


class BrokenOffError(Exception):
    """The connection broke after the request was sent, or what came was no answer: somebody may have acted on it."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A request as it is sent.

    Attributes:
        method: As the client sent it.
        target: Path and query as the client sent them.
        headers: Without those from hop to hop; the length is the body's.
        body: All of it.
    """

    method: str
    target: URL
    headers: CIMultiDict[str]
    body: bytearray


def upstream_url(text: str) -> URL:
    """Return the address of an upstream.

    Raises:
        ValueError: It is not of the form http://HOST[:PORT].
    """
    url = URL(text)
    if url.scheme != "http" or not url.host or url.path != "/" or url.query_string or url.fragment or url.user:
        raise ValueError(f"{text!r}: expected http://HOST or http://HOST:PORT")
    return url


def new_session() -> aiohttp.ClientSession:
    """Return a session that changes nothing of what passes, remembers nothing, and uses each connection once."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_AS_SENT,
        auto_decompress=False,
        read_bufsize=BUFFER_BYTES,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )


class Upstream:
    """Speaks to whoever is behind the Service.

    Args:
        base: Of the form http://HOST[:PORT].
        session: Of `new_session`.
    """

    def __init__(self, base: URL, session: aiohttp.ClientSession) -> None:
        self.base = base
        self._session = session

    async def has_replica(self) -> bool:
        """Ask whether a replica is ready. An activator that is asked says that it holds; silence is no."""
        headers = {HEADER: PROBE}
        try:
            async with self._session.get(
                self.base.with_path(READY_PATH), headers=headers, timeout=_PROBE_TIMEOUT, allow_redirects=False
            ) as answer:
                return answer.status == 200 and HEADER not in answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def send(self, sending: Sending) -> aiohttp.ClientResponse:
        """Send a request and return the answer as soon as its headers are there; whoever calls closes it.

        Raises:
            NoReplicaError: It is safe to send it again.
            BrokenOffError: It may have been acted on.
        """
        try:
            answer = await self._session.request(
                sending.method,
                self._url(sending.target),
                headers=sending.headers,
                data=_pieces(sending.body) if sending.body else None,
                timeout=_SEND_TIMEOUT,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NoReplicaError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BrokenOffError(str(error) or type(error).__name__) from error
        if answer.status == 503 and answer.headers.get(HEADER) == HOLDING:
            answer.close()
            raise NoReplicaError("an activator answered")
        return answer

    def _url(self, target: URL) -> URL:
        return URL.build(
            scheme="http",
            authority=self.base.authority,
            path=target.raw_path,
            query_string=target.raw_query_string,
            encoded=True,
        )


async def _pieces(body: bytearray) -> AsyncIterator[memoryview]:
    """Give a body in pieces, so that a large one neither is copied nor stops the event loop."""
    whole = memoryview(body)
    for start in range(0, len(body), BUFFER_BYTES):
        yield whole[start : start + BUFFER_BYTES]
        await asyncio.sleep(0)
