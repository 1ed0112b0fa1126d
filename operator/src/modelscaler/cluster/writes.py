"""One queue for every write: creates before scaling before status before events, few at a time, Retry-After obeyed.

Four at a time gave the apiserver's full rate at a quarter of the latency of sixteen. A newer write to the same fields
replaces one that still waits; one that is under way is followed by the newer one, never overtaken. What a newer decision does
not want any more is withdrawn: it was right for a load, or a pool, that has changed since. A write that is to be tried again
waits beside the queue, and the next worker goes to the namespace that has fewest: what fails or hangs holds up nobody else for
long.
"""

import asyncio
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, TypeAlias

from modelscaler.cluster.errors import ApiCallError

log = logging.getLogger(__name__)

CONCURRENCY = 4
MOST_OF_A_NAMESPACE = CONCURRENCY - 1  # where there are several
MAX_ATTEMPTS = 6
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 30.0
"""Whatever the server asks for: by then a newer decision is due."""

Slot: TypeAlias = tuple[str, ...]
Owner: TypeAlias = tuple[str, str]
Result: TypeAlias = dict[str, Any] | None
Later: TypeAlias = Callable[[float, Callable[[], None]], object]

NAMESPACE: Final = 1
NAME: Final = 2
"""Places in a slot."""


class Priority(IntEnum):
    """Lower goes first."""

    CREATE = 0
    SCALE = 1
    DELETE = 2
    STATUS = 3
    EVENT = 4


@dataclass(frozen=True, slots=True)
class Write:
    """One call to the API server.

    `slot` names the fields it writes (kind, namespace, name, manager): one write per slot is pending at most. `owner` is whose
    decision it is from; None: of no decision that another could take back.
    `call` blocks and runs in a thread. On the event loop `done` runs with the stored object, or `given_up` with the reason, and
    `settled` after either.
    """

    slot: Slot
    priority: Priority
    call: Callable[[], Result]
    done: Callable[[Result], None] = field(default=lambda _: None)
    given_up: Callable[[ApiCallError], None] = field(default=lambda _: None)
    settled: Callable[[], None] = field(default=lambda: None)
    owner: Owner | None = None


class WriteQueue:
    """Runs writes until cancelled, and then ends those that are under way.

    Args:
        report: Is told of every attempt and how it failed, None when it did not.
        later: Calls back after so many seconds; the event loop's `call_later` unless said otherwise.
    """

    def __init__(self, report: Callable[[Write, ApiCallError | None], None], later: Later | None = None) -> None:
        self._report = report
        self._later = later or (lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call))
        self._waiting: dict[Slot, Write] = {}
        self._running: set[Slot] = set()
        self._deferred: set[Slot] = set()
        self._failures: Counter[Slot] = Counter()
        self._wanted: dict[Owner, set[Slot]] = {}
        self._namespaces: set[str] = set()
        self._offered: dict[str, list[tuple[int, int, Slot]]] = {}  # a heap for each namespace
        self._in_heap: set[Slot] = set()
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, write: Write) -> None:
        """Queue a write; it replaces a waiting one of the same slot, and waits as long as that one has to."""
        self._waiting[write.slot] = write
        self._idle.clear()
        if write.slot not in self._deferred:
            self._offer(write)

    def decide(self, owner: Owner, writes: Sequence[Write]) -> None:
        """Queue what the newest decision of an owner wants written, and withdraw what only older ones wanted."""
        wanted = {write.slot for write in writes}
        for slot in self._wanted.pop(owner, set()) - wanted:
            self._waiting.pop(slot, None)
            self._failures.pop(slot, None)
        if wanted:
            self._wanted[owner] = wanted
        for write in writes:
            self.submit(write)
        self._note_idle()

    async def drained(self) -> None:
        """Wait until nothing waits and nothing runs."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(CONCURRENCY):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            write = await self._next()
            try:
                await self._attempt(write)
            finally:
                self._finish(write.slot)

    async def _next(self) -> Write:
        while True:
            if (write := self._first()) is not None:
                return write
            self._wake.clear()
            await self._wake.wait()

    def _first(self) -> Write | None:
        """Take a write of the namespace that has fewest workers, of these the first by priority; None when none may run."""
        busy = Counter(slot[NAMESPACE] for slot in self._running)
        most = MOST_OF_A_NAMESPACE if len(self._namespaces) > 1 else CONCURRENCY
        heads = [
            (busy[name], head, name)
            for name in list(self._offered)
            if busy[name] < most and (head := self._head(name)) is not None
        ]
        if not heads:
            return None
        _, (_, _, slot), namespace = min(heads)
        self._pop(namespace)
        self._running.add(slot)
        return self._waiting.pop(slot)

    def _head(self, namespace: str) -> tuple[int, int, Slot] | None:
        """Return what comes first in a namespace; what may not run now is dropped, and offered again when it may."""
        while heap := self._offered.get(namespace):
            slot = heap[0][-1]
            if slot in self._waiting and slot not in self._running and slot not in self._deferred:
                return heap[0]
            self._pop(namespace)
        return None

    def _pop(self, namespace: str) -> None:
        heap = self._offered[namespace]
        self._in_heap.discard(heapq.heappop(heap)[-1])
        if not heap:
            del self._offered[namespace]

    def _finish(self, slot: Slot) -> None:
        self._running.discard(slot)
        if slot in self._waiting and slot not in self._deferred:
            self._offer(self._waiting[slot])
        self._wake.set()  # its namespace has a worker fewer
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._waiting and not self._running:
            self._idle.set()

    def _offer(self, write: Write) -> None:
        if write.slot in self._in_heap:
            return
        self._in_heap.add(write.slot)
        self._namespaces.add(write.slot[NAMESPACE])
        heap = self._offered.setdefault(write.slot[NAMESPACE], [])
        heapq.heappush(heap, (int(write.priority), next(self._order), write.slot))
        self._wake.set()

    async def _attempt(self, write: Write) -> None:
        call = asyncio.ensure_future(asyncio.to_thread(write.call))
        try:
            write.done(await asyncio.shield(call))
        except asyncio.CancelledError:
            await asyncio.wait([call])  # its thread goes on, and nothing may be written once the lease is given up
            raise
        except ApiCallError as error:
            self._failed(write, error)
        except Exception as error:  # one object that nobody foresaw must not end the writing of all others
            log.exception("%s", write.slot)
            unforeseen = ApiCallError(f"{write.slot}: {error!r}")
            self._report(write, unforeseen)
            self._give_up(write, unforeseen)
        else:
            self._report(write, None)
            self._settle(write)

    def _failed(self, write: Write, error: ApiCallError) -> None:
        """Try again later, or give up; what is not wanted any more is let go."""
        self._report(write, error)
        if write.owner is not None and write.slot not in self._wanted.get(write.owner, set()):
            self._settle(write)
            return
        self._failures[write.slot] += 1
        failures = self._failures[write.slot]
        if error.transient and failures < MAX_ATTEMPTS:
            self._waiting.setdefault(write.slot, write)  # a newer one takes its turn
            self._deferred.add(write.slot)
            seconds = min(error.retry_after_seconds or backoff_seconds(failures - 1), LONGEST_WAIT_SECONDS)
            self._later(seconds, lambda: self._due(write.slot))
        else:
            self._give_up(write, error)

    def _give_up(self, write: Write, error: ApiCallError) -> None:
        log.warning("gave up: %s", error)
        write.given_up(error)
        self._settle(write)

    def _due(self, slot: Slot) -> None:
        self._deferred.discard(slot)
        if slot in self._waiting:
            self._offer(self._waiting[slot])

    def _settle(self, write: Write) -> None:
        self._failures.pop(write.slot, None)
        write.settled()


def backoff_seconds(attempt: int) -> float:
    """Return how long to wait after a failed attempt, counted from 0."""
    return min(FIRST_BACKOFF_SECONDS * 2.0**attempt, LONGEST_BACKOFF_SECONDS)
