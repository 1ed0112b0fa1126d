"""What the engine knows of whoever computes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from modelserver.errors import RequestError
from modelserver.tensors import Contract, InferRequest, Tensor
from modelserver.timing import LinearCost


@dataclass(frozen=True)
class LoadedVariant:
    """A variant in memory, warm.

    Attributes:
        variant: Its name.
        accuracy: 0 to 1; None when not known.
        cost: Wall seconds of a batch by rows, measured at warm-up; `per_request_seconds` is per row here.
        max_batch_rows: Rows beyond which a row gets no cheaper.
        load_seconds: To load it.
        warm_up_seconds: To warm it up and measure it.
        memory_bytes: By which loading it raised the worker's resident memory.
    """

    variant: str
    accuracy: float | None
    cost: LinearCost
    max_batch_rows: int
    load_seconds: float
    warm_up_seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Loaded:
    """What an executor says once it is ready.

    Attributes:
        contract: Of the model.
        variants: In the order asked for.
        left_out: Variant -> why it was not loaded (memory); the first asked for is never left out.
        device: Where it computes.
        device_memory_bytes: Memory taken on an accelerator; 0 on a CPU.
    """

    contract: Contract
    variants: tuple[LoadedVariant, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    device_memory_bytes: int = 0


@dataclass(frozen=True)
class Batch:
    """Requests to compute together, all by one variant."""

    variant: str
    requests: Sequence[InferRequest]


Outcome: TypeAlias = list[Tensor] | RequestError
"""A request's answer, or why there is none."""


@dataclass(frozen=True)
class BatchResult:
    """What came of a batch.

    Attributes:
        outcomes: By request, in the batch's order.
        preprocess_seconds: In `decode`, all requests.
        compute_seconds: In `predict`.
        postprocess_seconds: In `encode`, all requests.
        transfer_seconds: Between the engine and whoever computed, both ways; and to and from an accelerator.
        memory_bytes: The worker's resident memory; 0 when it is not a process of its own.
    """

    outcomes: Sequence[Outcome]
    preprocess_seconds: float = 0.0
    compute_seconds: float = 0.0
    postprocess_seconds: float = 0.0
    transfer_seconds: float = 0.0
    memory_bytes: int = 0


class ExecutorLostError(Exception):
    """Whoever computed is gone, and with it the batch.

    Attributes:
        reason: `crash`, `hang` or `memory`: the metric's label.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotHandedOverError(ExecutorLostError):
    """Whoever computes was gone before it got the batch: the batch is as it was."""


class Executor(Protocol):
    """Computes batches, as many at a time as it says.

    Attributes:
        concurrency: Batches that may be in `run` at once: 1, but for a pipeline, which takes one per stage.
    """

    concurrency: int

    async def start(self) -> Loaded:
        """Start, load and warm up. May be called again after `ExecutorLostError`.

        Raises:
            LoadError: When the model does not load.
        """
        ...

    async def run(self, batch: Batch) -> BatchResult:
        """Compute a batch. When it fails as a whole its requests are tried singly, so that a bad one fails nobody else.

        Raises:
            NotHandedOverError: When there was nobody to compute it: somebody else may.
            ExecutorLostError: When there is nobody to compute any more.
        """
        ...

    async def lost(self) -> ExecutorLostError:
        """Wait until whoever computes is gone, also between batches or by `stop`; return at once when it is."""
        ...

    async def load(self, variant: str) -> LoadedVariant:
        """Add a variant, between batches; a later `start` loads it too.

        Raises:
            LoadError: When it does not load, or memory does not allow it; the others go on.
            ExecutorLostError: When it took the worker with it.
        """
        ...

    async def unload(self, variant: str) -> None:
        """Give up a variant and its memory."""
        ...

    async def stop(self) -> None:
        """End; what runs is given up."""
        ...
