"""A front over executors that compute what a test says, and an ASGI client for it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from modelserver.engine.engine import Engine, EngineSettings
from modelserver.engine.ladder import Ladder
from modelserver.engine.scheduler import SchedulerSettings
from modelserver.engine.workers import RestartSettings
from modelserver.serving.connection import GONE, Hangup
from modelserver.serving.front import Front
from modelserver.serving.http import Scope
from modelserver.serving.ladder_file import LadderFile
from modelserver.serving.metrics import ServerMetrics
from modelserver.serving.place import Place
from modelserver.serving.settings import ServeSettings
from modelserver.serving.watchers import Watchers
from modelserver_fakes import EchoModel, FakeClock, FakeExecutor, loaded_variant

INFER = "/v2/models/echo/infer"
SETTINGS = ServeSettings(
    model_uri="python:echo", variant="full", host="127.0.0.1", port=0, max_queue=8, body_limit_bytes=4096
)


@dataclass(frozen=True)
class Reply:
    """What came back from the application."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json()["error"])


async def ask(
    application: Any,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    hangup: Hangup | None = None,
) -> Reply:
    """Send one request straight to an ASGI application."""
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope: Scope = {"path": path, "method": method, "headers": list(headers), GONE: hangup or Hangup()}
    await application(scope, receive, send)
    return Reply(sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"])


def numbers_body(*numbers: int, **more: object) -> bytes:
    """Return the body of a request to the echo model."""
    tensor = {"name": "numbers", "datatype": "INT64", "shape": [len(numbers)], "data": list(numbers)}
    return json.dumps({"inputs": [tensor], **more}).encode()


@dataclass
class Rig:
    """A front over echo models.

    Attributes:
        front: It.
        engine: Its engine.
        executors: Who compute.
        metrics: Of the front.
        clock: Of front and engine; only a test moves it.
    """

    front: Front
    engine: Engine
    executors: list[FakeExecutor]
    metrics: ServerMetrics
    clock: FakeClock
    _starting: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def start(self) -> "Rig":
        """Start loading; return when it is done, or has failed."""
        started = asyncio.get_running_loop().create_task(self.engine.start())
        await self.front.start(started)
        return self

    async def ask(self, method: str, path: str, body: bytes = b"", **more: Any) -> Reply:
        return await ask(self.front.application, method, path, body, **more)

    async def get(self, path: str) -> Reply:
        return await self.ask("GET", path)

    async def infer(self, *numbers: int, path: str = INFER, hangup: Hangup | None = None, **more: object) -> Reply:
        return await self.ask("POST", path, numbers_body(*numbers, **more), hangup=hangup)

    def block(self) -> None:
        for executor in self.executors:
            executor.gate.clear()

    def unblock(self) -> None:
        for executor in self.executors:
            executor.gate.set()

    def computed(self) -> list[list[int]]:
        """Return the rows of each batch, in order."""
        rows = [batch.requests for executor in self.executors for batch in executor.ran]
        return [[n for one in batch for n in one.inputs["numbers"].array.tolist()] for batch in rows]

    async def until_waiting(self, requests: int) -> None:
        """Wait until so many requests are queued."""
        await until(lambda: self.engine.queued_requests == requests)

    async def until_computing(self) -> None:
        """Wait until a batch has been handed over and nothing is queued."""
        await until(lambda: bool(self.computed()) and not self.engine.queued_requests)

    async def samples(self) -> dict[str, float]:
        """Return the metrics by name and the values of their own labels."""
        page = (await self.get("/metrics")).body.decode()
        return {
            f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }


async def until(condition: Any) -> None:
    """Give way to others until something is so."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise TimeoutError("it did not happen")


def make_rig(
    model: EchoModel | None = None,
    *,
    workers: int = 1,
    variants: tuple[str, ...] = ("full",),
    max_batch_rows: int = 4,
    labels: Mapping[str, str] | None = None,
    place: Place | None = None,
    ladder_file: LadderFile | None = None,
    told_by: Path | None = None,
    restarts: RestartSettings | None = None,
    start_errors: Sequence[Exception] = (),
    cache_bytes: int = 0,
    **changes: Any,
) -> Rig:
    """Return a rig that is not started yet.

    Args:
        model: Computes.
        workers: Who compute.
        variants: That each says it has loaded.
        max_batch_rows: Of each variant.
        labels: On every series.
        place: Of the front.
        ladder_file: That its siblings share.
        told_by: The file that the settings say states the ladder.
        restarts: How lost workers are started again.
        start_errors: Raised by the first starts of each worker.
        cache_bytes: Of the result cache.
        changes: To the front's settings.
    """
    echo = model or EchoModel()
    loaded = tuple(loaded_variant(name, echo.accuracies.get(name), max_batch_rows=max_batch_rows) for name in variants)
    executors = [FakeExecutor(echo, loaded, start_errors=list(start_errors)) for _ in range(workers)]
    settings, clock, watchers = replace(SETTINGS, ladder_file=told_by, **changes), FakeClock(), Watchers()
    engine = Engine(
        executors,
        EngineSettings(
            ladder=Ladder(variants),
            scheduling=SchedulerSettings(max_queue_rows=settings.max_queue),
            restarts=restarts or RestartSettings(),
            cache_bytes=cache_bytes,
        ),
        watchers,
        clock,
    )
    metrics = ServerMetrics(labels or {}, settings.variant)
    front = Front(settings, place or Place(), engine, watchers, metrics, ladder_file, clock)
    return Rig(front, engine, executors, metrics, clock)
