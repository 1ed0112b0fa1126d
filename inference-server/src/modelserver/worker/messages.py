"""What a worker and its front say to each other: JSON over a socket, each message after its length. Nothing is ever pickled.

Tensors are not in the messages: a message says where in shared memory they lie.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import orjson

from modelserver.compute.executor import LoadedVariant
from modelserver.model import Stage
from modelserver.tensors import Contract, TensorSpec
from modelserver.timing import LinearCost
from modelserver.worker.orders import LENGTH, Open, Part, Start, framed

MAX_MESSAGE_BYTES = 1 << 28

Place: TypeAlias = tuple[str, str, Sequence[int], int, int]
"""Where a tensor lies in the writer's arena: name, datatype, shape, offset and length in bytes."""
RequestPlaces: TypeAlias = tuple[Sequence[Place], Sequence[str]]
"""A request: its inputs, and the names of the outputs that it wants."""
OutcomePlaces: TypeAlias = Sequence[Place] | dict[str, str]
"""An answer's tensors, or the error's class and message."""


class MessageError(Exception):
    """The other end said something that is not in the protocol."""


@dataclass(frozen=True)
class Opened:
    """From the worker: what the model is.

    Attributes:
        contract: Of the model.
        device: Where it computes.
        stages: The parts that it can be split into, first to last.
    """

    op: ClassVar[str] = "opened"
    contract: Contract
    device: str
    stages: Sequence[Stage] = ()


@dataclass(frozen=True)
class Ready:
    """From the worker: what is loaded.

    Attributes:
        variants: In the order asked for.
        left_out: Variant -> why it was not loaded.
        device_memory_bytes: Memory taken on an accelerator.
        example: The model's, when it was asked for: a split model is warmed up as a whole, by the front.
    """

    op: ClassVar[str] = "ready"
    variants: Sequence[LoadedVariant] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    device_memory_bytes: int = 0
    example: RequestPlaces | None = None


@dataclass(frozen=True)
class Failed:
    """From the worker: what was asked is not possible, and why. The worker goes on when it had been ready."""

    op: ClassVar[str] = "failed"
    message: str


@dataclass(frozen=True)
class Compute:
    """To the worker: a batch for the whole model."""

    op: ClassVar[str] = "compute"
    variant: str
    requests: Sequence[RequestPlaces]


@dataclass(frozen=True)
class Computed:
    """From the worker: what came of a batch.

    Attributes:
        outcomes: By request.
        preprocess_seconds: As in `BatchResult`, as are the next two.
        compute_seconds: In `predict`.
        postprocess_seconds: In `encode`.
        memory_bytes: The worker's resident memory.
        inputs_held: Whether the model still has arrays of these requests: their memory must stay as it is. Said once,
            later batches are copied.
    """

    op: ClassVar[str] = "computed"
    outcomes: Sequence[OutcomePlaces]
    preprocess_seconds: float
    compute_seconds: float
    postprocess_seconds: float
    memory_bytes: int
    inputs_held: bool = False


@dataclass(frozen=True)
class HandOver:
    """A batch between two stages; the requests that the first stage refused are no longer in it.

    Attributes:
        arrays: The batch's arrays, in the arena of whoever gave them.
        lengths: By request, its share of the arrays' first dimension.
        outputs: By request, the names of the outputs that it wants.
        memos: By request, the named arrays of its memo, in the arena of the first worker; None for no memo.
    """

    arrays: Sequence[Place]
    lengths: Sequence[int]
    outputs: Sequence[Sequence[str]]
    memos: Sequence[Sequence[Place] | None]


@dataclass(frozen=True)
class ComputePart:
    """To a worker that has a part of a split model.

    Attributes:
        variant: Of whose network the part is.
        slot: Which set of arenas the batch has.
        requests: For the first worker; else empty.
        given: For the others; else None.
    """

    op: ClassVar[str] = "compute_part"
    variant: str
    slot: int
    requests: Sequence[RequestPlaces] = ()
    given: HandOver | None = None


@dataclass(frozen=True)
class ComputedPart:
    """From a worker that has a part of a split model.

    Attributes:
        refused: From the first: index of each request that it refused -> the error.
        given: For the next worker; None from the last.
        outcomes: From the last, those of the batch that was handed to it.
        preprocess_seconds: In `decode`.
        compute_seconds: In the stage's network.
        postprocess_seconds: In `encode`.
        memory_bytes: The worker's resident memory.
        error: Why the batch failed as a whole; None when it did not.
    """

    op: ClassVar[str] = "computed_part"
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    given: HandOver | None = None
    outcomes: Sequence[OutcomePlaces] = ()
    preprocess_seconds: float = 0.0
    compute_seconds: float = 0.0
    postprocess_seconds: float = 0.0
    memory_bytes: int = 0
    error: dict[str, str] | None = None


@dataclass(frozen=True)
class Load:
    """To the worker: add a variant. Answered with Ready, of that variant alone, or Failed."""

    op: ClassVar[str] = "load"
    variant: str


@dataclass(frozen=True)
class Unload:
    """To the worker: give up a variant. Answered with Ready, of no variant."""

    op: ClassVar[str] = "unload"
    variant: str


Message: TypeAlias = (
    Open | Opened | Start | Ready | Failed | Compute | Computed | ComputePart | ComputedPart | Load | Unload
)


def _spec(body: dict[str, Any]) -> TensorSpec:
    return TensorSpec(**{**body, "shape": tuple(body["shape"])})


def _with_specs(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, **{side: tuple(map(_spec, body[side])) for side in ("inputs", "outputs")}}


def _opened(body: dict[str, Any]) -> Opened:
    stages = tuple(Stage(**_with_specs(stage)) for stage in body["stages"])
    return Opened(Contract(**_with_specs(body["contract"])), body["device"], stages)


def _loaded_variant(body: dict[str, Any]) -> LoadedVariant:
    cost = {name: math.nan if value is None else value for name, value in body["cost"].items()}
    return LoadedVariant(**{**body, "cost": LinearCost(**cost)})


def _ready(body: dict[str, Any]) -> Ready:
    return Ready(**{**body, "variants": tuple(map(_loaded_variant, body["variants"]))})


def _start(body: dict[str, Any]) -> Start:
    return Start(**{**body, "part": None if body["part"] is None else Part(**body["part"])})


def _hand_over(body: dict[str, Any] | None) -> HandOver | None:
    return None if body is None else HandOver(**body)


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "open": lambda body: Open(**body),
    "opened": _opened,
    "start": _start,
    "ready": _ready,
    "failed": lambda body: Failed(**body),
    "compute": lambda body: Compute(**body),
    "computed": lambda body: Computed(**body),
    "compute_part": lambda body: ComputePart(**{**body, "given": _hand_over(body["given"])}),
    "computed_part": lambda body: ComputedPart(**{**body, "given": _hand_over(body["given"])}),
    "load": lambda body: Load(**body),
    "unload": lambda body: Unload(**body),
}


def write_message(message: Message) -> bytes:
    """Return a message as it goes over the socket."""
    return framed(message.op, message)


def read_message(text: bytes) -> Message:
    """Read a message without its length.

    Raises:
        MessageError: When it is not one of ours.
    """
    try:
        op, body = orjson.loads(text)
        return _READERS[op](body)
    except (ValueError, TypeError, KeyError) as error:
        raise MessageError(f"message {text[:200]!r}: expected one of {', '.join(_READERS)}, {error!r}") from error


class Framing:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> list[bytes]:
        """Take what arrived; return the messages that are complete, without their lengths.

        Raises:
            MessageError: When a message claims to be longer than any is.
        """
        self._pending += received
        complete = []
        while len(self._pending) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._pending)
            if length > MAX_MESSAGE_BYTES:
                raise MessageError(f"message of {length} bytes: expected at most {MAX_MESSAGE_BYTES}")
            end = LENGTH.size + length
            if len(self._pending) < end:
                break
            complete.append(bytes(self._pending[LENGTH.size : end]))
            del self._pending[:end]
        return complete
