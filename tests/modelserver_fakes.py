"""A model that computes nothing, an executor that does what a test says, and a clock that only a test moves."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelserver.compute.batching import run_batch
from modelserver.compute.executor import (
    Batch,
    BatchResult,
    ExecutorLostError,
    Loaded,
    LoadedVariant,
    NotHandedOverError,
)
from modelserver.errors import InvalidRequestError, LoadError
from modelserver.model import Decoded, Model, Network
from modelserver.tensors import Arrays, Contract, InferRequest, RequestOptions, Tensor, TensorSpec
from modelserver.timing import LinearCost

NUMBERS = TensorSpec("numbers", "INT64", (-1,))
WORDS = TensorSpec("words", "BYTES", (-1,), optional=True)
DEFAULT_OPTIONS = RequestOptions()


class EchoModel(Model):
    """Answers each number with itself; knows how to fail and how to block.

    Attributes:
        poison: A number on which `predict` raises, and whatever else is in the batch with it.
        gate: While it is clear, `predict` waits.
        batches: What `predict` was given.
        accuracies: By variant.
    """

    inputs = (NUMBERS,)
    outputs = (NUMBERS, WORDS)
    preprocessing_version = "echo-1"

    def __init__(
        self,
        poison: int | None = None,
        accuracies: Mapping[str, float | None] | None = None,
        poison_error: BaseException | None = None,
    ) -> None:
        self.poison = poison
        self.poison_error = poison_error or ValueError("poisoned")
        self.accuracies = dict(accuracies or {"full": 0.99, "int8": 0.97})
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[int]] = []

    def variants(self) -> tuple[str, ...]:
        return tuple(self.accuracies)

    def accuracy(self, variant: str) -> float | None:
        return self.accuracies[variant]

    def load(self, variant: str) -> Network:
        if variant not in self.accuracies:
            raise LoadError(f"variant {variant!r}: expected one of {', '.join(self.accuracies)}")
        return self.predict

    def decode(self, request: InferRequest) -> Decoded:
        numbers = request.inputs["numbers"].array
        if (numbers < 0).any():
            raise InvalidRequestError("input 'numbers': negative, expected 0 or more")
        return Decoded({"numbers": numbers})

    def predict(self, batch: Arrays) -> Arrays:
        self.gate.wait(timeout=10)
        self.batches.append(batch["numbers"].tolist())
        if self.poison in self.batches[-1]:
            raise self.poison_error
        return dict(batch)

    def encode(self, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:
        numbers = answer["numbers"]
        words = np.array([str(number).encode() for number in numbers.tolist()], dtype=np.object_)
        made = {"numbers": Tensor("numbers", "INT64", numbers), "words": Tensor("words", "BYTES", words)}
        return [made[name] for name in outputs]

    def example(self) -> InferRequest:
        return numbers_request(0)


def numbers_request(*numbers: int, outputs: tuple[str, ...] = ("numbers",)) -> InferRequest:
    """Return a request to the echo model."""
    return InferRequest({"numbers": Tensor("numbers", "INT64", np.array(numbers, dtype=np.int64))}, outputs)


def echo_contract(model: Model | None = None) -> Contract:
    """Return what requests to the echo model look like."""
    served = model or EchoModel()
    return Contract("echo", "v1", served.preprocessing_version, served.inputs, served.outputs, served.max_rows)


def loaded_variant(
    variant: str = "full",
    accuracy: float | None = 0.99,
    per_row_seconds: float = 0.001,
    overhead_seconds: float = 0.002,
    max_batch_rows: int = 4,
) -> LoadedVariant:
    """Return a variant as an executor tells of it."""
    cost = LinearCost(per_row_seconds, overhead_seconds, 1.0)
    return LoadedVariant(variant, accuracy, cost, max_batch_rows, 0.1, 0.1, 1 << 20)


@dataclass
class FakeClock:
    """Monotonic seconds that only a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeExecutor:
    """Computes in the event loop, when its gate is open; is lost when told.

    Attributes:
        model: Computes.
        variants: What it says it has loaded.
        concurrency: See `Executor`.
        clock: Moved by `batch_seconds` for each batch; None for no clock.
        batch_seconds: What a batch takes on the clock.
        start_errors: Raised by the next starts, in order.
        may_start: While it is clear, `start` waits.
        gate: While it is clear, `run` waits.
        ran: The batches that were handed to it.
        starts: How often it was started.
        left_out: See `Loaded`.
        stopped: Whether it has been stopped.
    """

    model: EchoModel = field(default_factory=EchoModel)
    variants: tuple[LoadedVariant, ...] = (loaded_variant(),)
    concurrency: int = 1
    clock: FakeClock | None = None
    batch_seconds: float = 0.01
    start_errors: list[Exception] = field(default_factory=list)
    may_start: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    ran: list[Batch] = field(default_factory=list)
    starts: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    stopped: bool = False
    _lost: asyncio.Future[ExecutorLostError] | None = None
    _gone: bool = False

    def __post_init__(self) -> None:
        self.may_start.set()
        self.gate.set()

    async def start(self) -> Loaded:
        self.starts += 1
        await asyncio.sleep(0)
        await self.may_start.wait()
        if self.start_errors:
            raise self.start_errors.pop(0)
        self._lost = asyncio.get_running_loop().create_future()
        return Loaded(echo_contract(self.model), self.variants, dict(self.left_out))

    async def run(self, batch: Batch) -> BatchResult:
        lost = self._alive()
        if self._gone:
            self._gone = False
            self.lose()
            raise NotHandedOverError("crash", "fake worker: was gone")
        self.ran.append(batch)
        opened = asyncio.ensure_future(self.gate.wait())
        either: list[asyncio.Future[Any]] = [opened, lost]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if lost.done():
            raise _copy_of(lost.result())
        if self.clock is not None:
            self.clock.advance(self.batch_seconds)
        return run_batch(self.model, self.model.predict, batch)

    def lose(self, reason: str = "crash") -> None:
        """Be gone, now."""
        lost = self._lost
        if lost is not None and not lost.done():
            lost.set_result(ExecutorLostError(reason, f"fake worker: {reason}"))

    def lose_unnoticed(self) -> None:
        """Be gone, which nobody notices before the next batch."""
        self._gone = True

    async def lost(self) -> ExecutorLostError:
        if self._lost is None:
            raise AssertionError("asked before it was started")
        return await asyncio.shield(self._lost)

    async def load(self, variant: str) -> LoadedVariant:
        self._alive()
        accuracy = self.model.accuracies.get(variant)
        if variant not in self.model.accuracies:
            raise LoadError(f"variant {variant!r}: expected one of {', '.join(self.model.accuracies)}")
        loaded = loaded_variant(variant, accuracy)
        self.variants = (*self.variants, loaded)
        return loaded

    async def unload(self, variant: str) -> None:
        self.variants = tuple(one for one in self.variants if one.variant != variant)

    async def stop(self) -> None:
        self.stopped = True

    def _alive(self) -> asyncio.Future[ExecutorLostError]:
        if self._lost is None:
            raise AssertionError("asked before it was started")
        if self._lost.done():
            raise _copy_of(self._lost.result())
        return self._lost


def _copy_of(error: ExecutorLostError) -> ExecutorLostError:
    return ExecutorLostError(error.reason, str(error))
