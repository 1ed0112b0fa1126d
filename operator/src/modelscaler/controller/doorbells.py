"""Who asks where no replica runs is heard of at once: activators are listened to, and answer as soon as they hold somebody.

Prometheus says the same a scrape and a tick later. What cannot be reached is left to it: an operator outside the cluster, a
NetworkPolicy in between, more activators than are listened to.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
"""After somebody was heard, or an answer that came too soon."""

SILENCE_SECONDS: Final = 0.2
"""After a long silence: whoever begins to wait meanwhile is heard at the next question."""

RETRY_SECONDS: Final = 15.0
"""After no answer, half of it more or less: an operator that was restarted must not ask all of them at the same moments."""

HEARD_SECONDS: Final = 15.0
"""What was heard counts for so long after the last answer."""

MOST_LISTENED: Final = 500
"""Connections are open all the while, and a process may have no more than 1,024 of all kinds."""

MOST_HELD: Final = 1_000_000
"""Far more than an activator may be told to hold: who says more is none."""

MUCH_MORE: Final = 2
"""Times as many are worth another early pass."""

MOST_ANSWER_BYTES: Final = 4096

Door: TypeAlias = tuple[WorkloadKey, str]
"""A ModelDeployment, and the address of its activator."""


class _Answer(BaseModel):
    """What an activator says."""

    held: int = Field(ge=0, le=MOST_HELD)


@dataclass(frozen=True, slots=True)
class _Heard:
    """How many are held, how many were when that was last told of, and until when it counts."""

    held: int
    told: int
    until: float


class Doorbells:
    """Listens to activators.

    Args:
        on_ring: Told of a ModelDeployment when somebody begins to wait there, and when they have become twice as many.
        on_error: Told of an error that nobody foresaw.
        port: Where activators say how many they hold.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        on_ring: Callable[[WorkloadKey], None],
        on_error: Callable[[], None],
        port: int = STATUS_PORT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_ring = on_ring
        self._on_error = on_error
        self._port = port
        self._clock = clock
        self._doors: set[Door] = set()
        self._changed = asyncio.Event()
        self._tasks: dict[Door, asyncio.Task[None]] = {}
        self._heard: dict[Door, _Heard] = {}

    def attend(self, doors: Iterable[Door]) -> None:
        """Listen at these, and at no others; what was heard elsewhere is forgotten."""
        wanted = set(islice(doors, MOST_LISTENED))
        if wanted != self._doors:
            self._doors = wanted
            self._heard = {door: heard for door, heard in self._heard.items() if door in wanted}
            self._changed.set()

    def queued(self, key: WorkloadKey, scraped: Reading, now: datetime) -> Reading:
        """Return how many requests wait: as scraped, or as heard just now where that is more."""
        held = sum(heard.held for door in self._heard if door[0] == key and (heard := self._now_heard(door)))
        return Value(float(held), now) if held > least(scraped) else scraped

    async def run(self) -> None:
        """Listen until cancelled."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=LISTEN_SECONDS + ANSWER_SECONDS, sock_connect=ANSWER_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
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
        url = URL.build(scheme="http", host=door[1], port=self._port, path=HELD_PATH)
        was_reached = True
        while True:
            listen_seconds = 0.0 if self._now_heard(door) else LISTEN_SECONDS
            asked_at = self._clock()
            try:
                held = await _ask(session, url.with_query(seconds=f"{listen_seconds:g}"))
            except (aiohttp.ClientError, OSError, TimeoutError, ValidationError) as error:
                level = logging.INFO if was_reached else logging.DEBUG
                log.log(level, "%s: its activator at %s is not heard, Prometheus is: %r", *door, error)
                was_reached = False
                await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            except Exception:
                self._on_error()
                log.exception("%s: listening to its activator at %s failed", *door)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                was_reached = True
                self._note(door, held)
                waited = self._clock() - asked_at >= LISTEN_SECONDS / 2.0
                await asyncio.sleep(SILENCE_SECONDS if waited and not held else AGAIN_SECONDS)

    def _note(self, door: Door, held: int) -> None:
        before = self._now_heard(door)
        told = before.told if before else 0
        if not held or door not in self._doors:
            self._heard.pop(door, None)
            return
        is_news = held >= MUCH_MORE * told
        self._heard[door] = _Heard(held, held if is_news else told, self._clock() + HEARD_SECONDS)
        if is_news:
            log.info("%s: its activator holds %d", door[0], held)
            self._on_ring(door[0])

    def _now_heard(self, door: Door) -> _Heard | None:
        """Return what was heard a moment ago; None when it is longer ago, or nobody was held."""
        heard = self._heard.get(door)
        return heard if heard is not None and self._clock() < heard.until else None


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
