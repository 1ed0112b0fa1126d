"""Send one request as a gateway would: to a ready replica, and to another one when that fails."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from modelscaler_demo.load.replicas import Replica, Replicas
from modelscaler_demo.load.tally import Outcome

RETRIABLE = frozenset({429, 502, 503, 504})
NO_REPLICA_PAUSE_SECONDS = 0.1
DEFAULT_RETRY_AFTER_SECONDS = 0.5
MOST_PAUSE_SECONDS = 5.0
FULL = 429
ATTEMPT_HEADER = "x-envoy-attempt-count"
"""As Envoy counts attempts: 1 at first. A server that knows does not take a retry for more demand."""
CONNECT_SECONDS = 2.0
# uvicorn, gunicorn and most proxies close idle connections after 5 s; reusing one as it closes looks like a reset.
KEEPALIVE_SECONDS = 4.0


def new_session(headers: Mapping[str, str], tls: ssl.SSLContext | bool) -> aiohttp.ClientSession:
    """Open a client session that keeps connections alive and bounds only the time to connect.

    Args:
        headers: Sent with every request, besides the content type.
        tls: What to check servers against; True for the system's authorities.
    """
    return aiohttp.ClientSession(
        headers={"Content-Type": "application/json", **headers},
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ssl=tls),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
    )


@dataclass(frozen=True, slots=True)
class Gateway:
    """Sends requests to `path` of the replicas. `deadline_seconds` holds for a request with all its retries."""

    session: aiohttp.ClientSession
    replicas: Replicas
    path: str
    deadline_seconds: float
    jitter: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    async def send(self, body: bytes) -> Outcome:
        """Send one request until it has a final answer or its deadline passes."""
        started = time.monotonic()
        outcome = Outcome()
        try:
            async with asyncio.timeout(self.deadline_seconds):
                await self._until_final(body, outcome)
        except TimeoutError:
            outcome.status, outcome.reason = None, outcome.reason or "no answer before the deadline"
        outcome.latency_seconds = time.monotonic() - started
        return outcome

    async def _until_final(self, body: bytes, outcome: Outcome) -> None:
        tried: set[str] = set()
        rounds, pause_seconds = 0, NO_REPLICA_PAUSE_SECONDS
        while True:
            # The least busy replica was asked first: when even that one is full the request waits. Asking all of them would
            # be a storm that looks like demand.
            replica = None if outcome.status == FULL and tried else self.replicas.choose(tried, time.monotonic())
            if replica is None and not tried:
                outcome.reason = outcome.reason or "no ready replica"
                await asyncio.sleep(NO_REPLICA_PAUSE_SECONDS)
                continue
            if replica is None:
                await asyncio.sleep(self._backoff_seconds(pause_seconds, rounds))
                rounds += 1
                tried.clear()
                continue
            tried.add(replica.base_url)
            attempt_pause = await self._attempt(replica, body, outcome)
            if attempt_pause is None:
                return
            pause_seconds = attempt_pause
            outcome.retries += 1

    def _backoff_seconds(self, pause_seconds: float, rounds: int) -> float:
        """Return an exponential pause with jitter, so that those turned away together do not come back together."""
        return min(pause_seconds * 2.0**rounds, MOST_PAUSE_SECONDS) * self.jitter.uniform(0.5, 1.5)

    async def _attempt(self, replica: Replica, body: bytes, outcome: Outcome) -> float | None:
        """Try one replica; return None when the outcome is final, else how long to wait once all have been tried."""
        replica.outstanding += 1
        outcome.reason = ""
        try:
            attempt = {ATTEMPT_HEADER: str(outcome.retries + 1)}
            async with self.session.post(replica.base_url + self.path, data=body, headers=attempt) as answer:
                content = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            outcome.refused += 1
            return self._failed(replica, outcome, "connection refused")
        except (aiohttp.ClientError, OSError):
            outcome.resets += 1
            return self._failed(replica, outcome, "connection reset")
        finally:
            replica.outstanding -= 1
        replica.answered()
        return _judge(answer, content, outcome)

    @staticmethod
    def _failed(replica: Replica, outcome: Outcome, reason: str) -> float:
        replica.failed(time.monotonic())
        outcome.status, outcome.reason = None, reason
        return NO_REPLICA_PAUSE_SECONDS


def _judge(answer: aiohttp.ClientResponse, content: bytes, outcome: Outcome) -> float | None:
    outcome.status = answer.status
    if 200 <= answer.status < 300:
        outcome.ok, outcome.reason = True, ""
        outcome.version = _model_version(content)
        return None
    outcome.reason = f"HTTP {answer.status}"
    if answer.status not in RETRIABLE:
        return None
    outcome.rejections += 1
    return _retry_after_seconds(answer)


def _model_version(content: bytes) -> str:
    try:
        return str(json.loads(content).get("model_version", ""))
    except (ValueError, AttributeError):
        return ""


def _retry_after_seconds(answer: aiohttp.ClientResponse) -> float:
    try:
        return max(float(answer.headers["Retry-After"]), 0.0)
    except (KeyError, ValueError):  # absent, or an HTTP date
        return DEFAULT_RETRY_AFTER_SECONDS
