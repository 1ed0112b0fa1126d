"""Who asks where no replica runs is heard of at once: activators are listened to, and answer as soon as they hold somebody.

Prometheus says the same a scrape and a tick later. What cannot be reached is left to it: an operator outside the cluster, a
NetworkPolicy in between, more activators than are listened to.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Final, TypeAlias

import aiohttp
from pydantic import BaseModel, Field, ValidationError
from yarl import URL

from modelscaler.activator.words import HELD_PATH
from modelscaler.domain import Reading, Value, WorkloadKey, least
from modelscaler.render import STATUS_PORT

log = logging.getLogger(__name__)

LISTEN_SECONDS: Final = 30.0
"""Of one question; proxies and conntrack tables forget connections that are silent for longer than some minutes."""

ANSWER_SECONDS: Final = 5.0
"""For the answer to arrive after that, and for the connection to be made."""

AGAIN_SECONDS: Final = 2.0
"""After somebody was heard."""

SILENCE_SECONDS: Final = 0.2
"""After an answer that nobody is held: whoever begins to wait meanwhile is heard at the next question."""

RETRY_SECONDS: Final = 15.0
"""After no answer, half of it more or less: an operator that was restarted must not ask all of them at the same moments."""

HEARD_SECONDS: Final = 60.0
"""By then Prometheus has heard as well, or the activator is gone."""

MOST_LISTENED: Final = 1000
"""Connections are open all the while."""

MOST_ANSWER_BYTES: Final = 4096

Door: TypeAlias = tuple[WorkloadKey, str]
"""A ModelDeployment, and the address of its activator."""


class _Answer(BaseModel):
    """What an activator says."""

    held: int = Field(ge=0)


class Doorbells:
    """Listens to activators.

    Args:
        on_ring: Told of a ModelDeployment when somebody begins to wait there.
        port: Where activators say how many they hold.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        on_ring: Callable[[WorkloadKey], None],
        port: int = STATUS_PORT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_ring = on_ring
        self._port = port
        self._clock = clock
        self._doors: set[Door] = set()
        self._changed = asyncio.Event()
        self._tasks: dict[Door, asyncio.Task[None]] = {}
        self._heard: dict[Door, tuple[int, float]] = {}

    def attend(self, doors: Iterable[Door]) -> None:
        """Listen at these, and at no others; what was heard elsewhere is forgotten."""
        wanted = set(islice(doors, MOST_LISTENED))
        if wanted != self._doors:
            self._doors = wanted
            self._heard = {door: heard for door, heard in self._heard.items() if door in wanted}
            self._changed.set()

    def queued(self, key: WorkloadKey, scraped: Reading, now: datetime) -> Reading:
        """Return how many requests wait, with what was heard since Prometheus last scraped."""
        held = sum(count for door, (count, until) in self._heard.items() if door[0] == key and self._clock() < until)
        return Value(float(held), now) if held > least(scraped) else scraped

    async def run(self) -> None:
        """Listen until cancelled."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=LISTEN_SECONDS + ANSWER_SECONDS, sock_connect=ANSWER_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
            try:
                while True:
                    self._bring_in_line(session)
                    await self._changed.wait()
            finally:
                self._doors = set()
                await asyncio.gather(*self._bring_in_line(session), return_exceptions=True)

    def _bring_in_line(self, session: aiohttp.ClientSession) -> list[asyncio.Task[None]]:
        """Begin to listen where that is wanted, and end it where it is not; return what ends."""
        self._changed.clear()
        ending = [self._tasks.pop(door) for door in self._tasks.keys() - self._doors]
        for task in ending:
            task.cancel()
        for door in self._doors - self._tasks.keys():
            self._tasks[door] = asyncio.create_task(self._listen(door, session), name=f"doorbell of {door[0]}")
        return ending

    async def _listen(self, door: Door, session: aiohttp.ClientSession) -> None:
        key, address = door
        url = URL.build(scheme="http", host=address, port=self._port, path=HELD_PATH)
        while True:
            listen_seconds = 0.0 if door in self._heard else LISTEN_SECONDS
            try:
                held = await _ask(session, url.with_query(seconds=f"{listen_seconds:g}"))
            except (aiohttp.ClientError, OSError, TimeoutError, ValidationError) as error:
                log.debug("%s: its activator at %s does not say who is held: %s", key, address, error)
                await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            else:
                self._note(door, held)
                await asyncio.sleep(AGAIN_SECONDS if held else SILENCE_SECONDS)

    def _note(self, door: Door, held: int) -> None:
        was_silent = door not in self._heard
        if not held or door not in self._doors:
            self._heard.pop(door, None)
            return
        self._heard[door] = held, self._clock() + HEARD_SECONDS
        if was_silent:
            log.info("%s: its activator holds %d", door[0], held)
            self._on_ring(door[0])


async def _ask(session: aiohttp.ClientSession, url: URL) -> int:
    """Return how many an activator holds, as soon as it holds any, or after the seconds that the address says.

    Raises:
        ClientError, OSError, TimeoutError: There is no answer, or it is none of an activator.
        ValidationError: It does not say how many.
    """
    async with session.get(url, allow_redirects=False, raise_for_status=True) as answer:
        if answer.content_length is None or answer.content_length > MOST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"an answer of {answer.content_length} bytes")
        return _Answer.model_validate_json(await answer.read()).held
