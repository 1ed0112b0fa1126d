"""A server that speaks the Open Inference Protocol v2, asked by closed loops of clients."""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import urllib3

from modelscaler.profiling.counters import Counters, read_counters

LIMIT_SECONDS = 30.0
JSON_HEADERS = {"Content-Type": "application/json"}


class ServerError(Exception):
    """A server that cannot be measured."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a closed loop.

    Attributes:
        clients: That asked.
        latencies_seconds: Of the answers 200, in no order.
        seconds: Wall time of the whole.
        failures: Everything else.
        first_failure: One of those in words; empty when there was none.
    """

    clients: int
    latencies_seconds: tuple[float, ...]
    seconds: float
    failures: int
    first_failure: str


class Server:
    """One server and one of its models."""

    def __init__(self, url: str, model: str) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            ServerError: the address is none.
        """
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"URL {url!r}: expected http://HOST:PORT or https://HOST:PORT")
        self._url, self._model = url.rstrip("/"), model
        self._pool = urllib3.PoolManager(maxsize=256, retries=False, timeout=urllib3.Timeout(LIMIT_SECONDS))

    @property
    def infer_url(self) -> str:
        """Return where requests go."""
        return f"{self._url}/v2/models/{self._model}/infer"

    def metadata(self) -> dict[str, Any]:
        """Return what the server says of the model.

        Raises:
            ServerError: it cannot be reached, or does not know the model.
        """
        url = f"{self._url}/v2/models/{self._model}"
        status, content = self._answer("GET", url, None)
        try:
            found = json.loads(content) if status == 200 else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            text = content[:200].decode(errors="replace")
            raise ServerError(f"{url}: answered {status} {text!r}, expected 200 and the model's metadata (--model)")
        return found

    def counters(self) -> Counters | None:
        """Return the server's counters; None when it has none that we know."""
        try:
            status, content = self._answer("GET", f"{self._url}/metrics", None)
        except ServerError:
            return None
        return read_counters(content.decode(errors="replace")) if status == 200 else None

    def check(self, body: bytes) -> None:
        """Send one request.

        Raises:
            ServerError: it is not answered with 200.
        """
        status, content = self._answer("POST", self.infer_url, body)
        if status != 200:
            text = content[:300].decode(errors="replace")
            raise ServerError(
                f"{self.infer_url}: answered {status} {text!r}, expected 200 to the first request (--request)"
            )

    def ask(self, bodies: Sequence[bytes], clients: int, most_requests: int, most_seconds: float) -> Asked:
        """Let so many clients ask, each again as soon as it is answered, until either bound is reached.

        All clients share one thread, so that they take little from a server on the same machine: this process gets through a
        few thousand requests per second, and a faster server is measured too low.
        """
        return asyncio.run(self._ask(bodies, clients, most_requests, most_seconds))

    async def _ask(self, bodies: Sequence[bytes], clients: int, most_requests: int, most_seconds: float) -> Asked:
        numbers = itertools.count()
        latencies: list[float] = []
        failures: list[str] = []

        async def client(session: aiohttp.ClientSession) -> None:
            while (number := next(numbers)) < most_requests and time.perf_counter() - began < most_seconds:
                sent = time.perf_counter()
                failure = await self._failure(session, bodies[number % len(bodies)])
                if failure is None:
                    latencies.append(time.perf_counter() - sent)
                else:
                    failures.append(failure)

        limit = aiohttp.ClientTimeout(total=LIMIT_SECONDS)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limit) as session:
            began = time.perf_counter()
            await asyncio.gather(*(client(session) for _ in range(clients)))
            seconds = time.perf_counter() - began
        return Asked(clients, tuple(latencies), seconds, len(failures), failures[0] if failures else "")

    async def _failure(self, session: aiohttp.ClientSession, body: bytes) -> str | None:
        try:
            sent = session.post(self.infer_url, data=body, headers=JSON_HEADERS, allow_redirects=False)
            async with sent as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            shown = str(error) or type(error).__name__
            return f"{self.infer_url}: no answer ({shown}), expected one within {LIMIT_SECONDS:g} s"
        return None if answer.status == 200 else f"{answer.status} {content[:200].decode(errors='replace')}"

    def _answer(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        headers = JSON_HEADERS if body is not None else {}
        try:
            answer = self._pool.request(method, url, body=body, headers=headers)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ServerError(f"{url}: no answer ({error}), expected a server within {LIMIT_SECONDS:g} s") from error
        return answer.status, answer.data
