"""A model that computes nothing, and an ASGI client, for tests of the server around them."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelserver.errors import InvalidRequestError
from modelserver.serving.app import Application
from modelserver.serving.compute import ComputeThread
from modelserver.serving.metrics import ServerMetrics
from modelserver.serving.queue import RowQueue
from modelserver.serving.settings import ServeSettings
from modelserver.tensors import InferRequest, Tensor, TensorSpec


@dataclass
class EchoModel:
    """Answers each number with itself; knows how to fail and how to block."""

    inputs: tuple[TensorSpec, ...] = (TensorSpec("numbers", "INT64", (-1,)),)
    outputs: tuple[TensorSpec, ...] = (
        TensorSpec("numbers", "INT64", (-1,)),
        TensorSpec("words", "BYTES", (-1,), optional=True),
    )
    poison: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def decode(self, request: InferRequest) -> list[int]:
        numbers = list(request.inputs["numbers"].data)
        if any(number < 0 for number in numbers):
            raise InvalidRequestError("input 'numbers': negative, expected 0 or more")
        return numbers

    def predict(self, rows: Sequence[int]) -> list[int]:
        self.gate.wait(timeout=10)
        self.batches.append(list(rows))
        if self.poison in rows:
            raise ValueError("poisoned")
        return list(rows)

    def encode(self, answers: Sequence[int], outputs: Sequence[str]) -> list[Tensor]:
        shape = (len(answers),)
        made = {"numbers": Tensor("numbers", "INT64", shape, list(answers))}
        made["words"] = Tensor("words", "BYTES", shape, [str(answer) for answer in answers])
        return [made[name] for name in outputs]

    def example(self) -> int:
        return 0


@dataclass(frozen=True)
class Reply:
    """What came back from the application."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    application: Application, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()
) -> Reply:
    """Send one request straight to the application."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application({"path": path, "method": method, "headers": list(headers)}, receive, send)
    return Reply(sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"])


def numbers_body(*numbers: int, **more: object) -> bytes:
    """Return the body of a request to the echo model."""
    tensor = {"name": "numbers", "datatype": "INT64", "shape": [len(numbers)], "data": list(numbers)}
    return json.dumps({"inputs": [tensor], **more}).encode()


@dataclass(frozen=True)
class Rig:
    """An application over an echo model, with its compute thread."""

    application: Application
    compute: ComputeThread
    queue: RowQueue
    metrics: ServerMetrics
    model: EchoModel

    async def infer(self, *numbers: int, **more: object) -> Reply:
        return await ask(self.application, "POST", "/v2/models/echo/infer", numbers_body(*numbers, **more))


def make_rig(
    model: EchoModel | None = None,
    load: Callable[[], EchoModel] | None = None,
    max_queue: int = 8,
    max_batch: int | None = 4,
    wedged_after_seconds: float = 30.0,
    body_limit_bytes: int = 4096,
    labels: dict[str, str] | None = None,
) -> Rig:
    """Return a rig whose compute thread is not started yet."""
    echo = model or EchoModel()
    settings = ServeSettings(
        model_uri="builtin://echo",
        variant="full",
        host="127.0.0.1",
        port=0,
        wedged_after_seconds=wedged_after_seconds,
        body_limit_bytes=body_limit_bytes,
    )
    metrics = ServerMetrics(labels or {}, "echo", "full")
    queue = RowQueue(max_queue)
    compute = ComputeThread(load or (lambda: echo), queue, metrics, max_batch)
    return Rig(Application("echo", settings, compute, queue, metrics), compute, queue, metrics, echo)
