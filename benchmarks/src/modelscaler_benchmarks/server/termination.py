"""Which requests are lost when a server is told to stop while clients, and a balancer that has not heard yet, still send."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from modelscaler_benchmarks.http_client import Answer, Connection, ask_once

CLIENTS = 8
PAUSE_SECONDS = 0.01
BEFORE_SECONDS = 0.5
NEW_CONNECTIONS_SECONDS = tuple(0.1 + 0.01 * number for number in range(16))
"""After SIGTERM: 0.1 to 0.25 s, while Kubernetes' endpoints still name a pod that is ending."""
LIMIT_SECONDS = 10.0


@dataclass(frozen=True)
class TerminationFigures:
    """What became of requests around SIGTERM.

    Attributes:
        kept: Requests on connections that were open before it, until the last new connection.
        kept_lost: Those without an answer, or with one of 5xx.
        new: Requests on connections opened after it.
        new_lost: Those without an answer, or with one of 5xx.
    """

    kept: int
    kept_lost: int
    new: int
    new_lost: int

    @property
    def lost(self) -> int:
        """Return how many were lost in all."""
        return self.kept_lost + self.new_lost


async def ask_across(port: int, request: bytes, terminate: Callable[[], None]) -> TerminationFigures:
    """Send requests before, while and after a server is told to stop.

    Args:
        port: Of the server.
        request: As it goes over the wire.
        terminate: Tells it to stop.
    """
    signalled = time.monotonic() + BEFORE_SECONDS
    ends = signalled + NEW_CONNECTIONS_SECONDS[-1]
    clients = [asyncio.create_task(_kept_alive(port, request, ends)) for _ in range(CLIENTS)]
    await asyncio.sleep(BEFORE_SECONDS)
    terminate()
    signalled = time.monotonic()
    new = await asyncio.gather(
        *(_at(signalled + after, ask_once(port, request, LIMIT_SECONDS)) for after in NEW_CONNECTIONS_SECONDS)
    )
    kept = [answer for answers in await asyncio.gather(*clients) for answer in answers]
    return TerminationFigures(len(kept), sum(map(is_lost, kept)), len(new), sum(map(is_lost, new)))


def is_lost(answer: Answer) -> bool:
    """Return whether a client was let down."""
    return answer.status == 0 or answer.status >= 500


async def _at(moment: float, asking: Coroutine[None, None, Answer]) -> Answer:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
    return await asking


async def _kept_alive(port: int, request: bytes, ends: float) -> list[Answer]:
    """Ask again and again on one connection; open another when the server closed it between two requests, as pools do."""
    connection, answers = await Connection.connect(port), list[Answer]()
    while time.monotonic() < ends:
        if not connection.usable:
            try:
                connection = await Connection.connect(port)
            except OSError as error:
                answers.append(Answer(0, reason=f"not connected: {error}"))
                await asyncio.sleep(PAUSE_SECONDS)
                continue
        answers.append(await connection.ask(request, LIMIT_SECONDS))
        await asyncio.sleep(PAUSE_SECONDS)
    connection.close()
    return answers
