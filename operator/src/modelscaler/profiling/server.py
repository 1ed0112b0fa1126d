"""A server that speaks the Open Inference Protocol v2, asked by closed loops of clients."""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from modelscaler.profiling.counters import Counters, read_counters
from modelscaler.profiling.exchange import Address, Exchange, ExchangeError

LIMIT_SECONDS = 30.0


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
        busy_share: Of that time, in which this process itself was computing.
    """

    clients: int
    latencies_seconds: tuple[float, ...]
    seconds: float
    failures: int
    first_failure: str
    busy_share: float


def answered_rps(loops: Sequence[Asked]) -> float:
    """Return the requests per second that loops, one after the other, were answered."""
    return sum(len(loop.latencies_seconds) for loop in loops) / sum(loop.seconds for loop in loops)


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

        All clients share one thread, so that they take little from a server on the same machine. This process gets through
        some thousand requests per second; a faster server is measured too low, which `busy_share` shows.
        """
        return asyncio.run(self._ask(bodies, clients, most_requests, most_seconds))

    async def _ask(self, bodies: Sequence[bytes], clients: int, most_requests: int, most_seconds: float) -> Asked:
        address = Address.of(self.infer_url)
        requests = [address.post(body) for body in bodies]
        numbers = itertools.count()
        latencies: list[float] = []
        failures: list[str] = []
        began, busy_before = time.perf_counter(), time.process_time()

        async def client() -> None:
            exchange = Exchange(address, LIMIT_SECONDS)
            while (number := next(numbers)) < most_requests and time.perf_counter() - began < most_seconds:
                sent = time.perf_counter()
                failure = await self._failure(exchange, requests[number % len(requests)])
                if failure is None:
                    latencies.append(time.perf_counter() - sent)
                else:
                    failures.append(failure)
            exchange.close()

        await asyncio.gather(*(client() for _ in range(clients)))
        seconds, busy_seconds = time.perf_counter() - began, time.process_time() - busy_before
        first_failure = failures[0] if failures else ""
        return Asked(clients, tuple(latencies), seconds, len(failures), first_failure, busy_seconds / seconds)

    async def _failure(self, exchange: Exchange, request: bytes) -> str | None:
        try:
            status, content = await exchange.ask(request)
        except ExchangeError as error:
            return f"{self.infer_url}: {error}"
        return None if status == 200 else f"{status} {content[:200].decode(errors='replace')}"

    def _answer(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._pool.request(method, url, body=body, headers=headers)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ServerError(f"{url}: no answer ({error}), expected a server within {LIMIT_SECONDS:g} s") from error
        return answer.status, answer.data
