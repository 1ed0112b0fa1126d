"""What the engine answers a request with, and what it tells whoever watches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelserver.compute.executor import Loaded
from modelserver.tensors import Array, Tensor


@dataclass(slots=True)
class Phases:
    """Where an answer's time went. All but `queue_seconds` are those of the whole batch that it was in.

    Attributes:
        queue_seconds: From arrival to the start of its batch.
        preprocess_seconds: In `decode`.
        compute_seconds: In `predict`.
        postprocess_seconds: In `encode`.
        transfer_seconds: To and from whoever computed.
    """

    queue_seconds: float = 0.0
    preprocess_seconds: float = 0.0
    compute_seconds: float = 0.0
    postprocess_seconds: float = 0.0
    transfer_seconds: float = 0.0


@dataclass(slots=True)
class Answered:
    """A request's answer.

    Attributes:
        outputs: In the order asked for.
        variant: That made it.
        degraded: Whether that was not the ladder's first, without the client's having insisted on it.
        from_cache: Whether it had been made before.
        phases: Where the time went; zeros from the cache.
    """

    outputs: list[Tensor]
    variant: str
    degraded: bool
    from_cache: bool
    phases: Phases

    def __getitem__(self, name: str) -> Array:
        """Return an output's elements.

        Raises:
            KeyError: When the answer has no such output.
        """
        for tensor in self.outputs:
            if tensor.name == name:
                return tensor.array
        raise KeyError(f"output {name!r}: expected one of {', '.join(tensor.name for tensor in self.outputs)}")


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A batch that was computed.

    Attributes:
        worker: Number of the executor, from 0.
        variant: That computed it.
        rows: In it.
        degraded_rows: Of them, those that got a lesser variant than the ladder's first without having asked for it.
        queue_seconds: By request, from arrival to the batch's start.
        seconds: From hand-over to result.
        phases: Of the batch; its `queue_seconds` is 0.
        memory_bytes: The worker's resident memory; 0 when it is not a process of its own.
    """

    worker: int
    variant: str
    rows: int
    degraded_rows: int
    queue_seconds: Sequence[float]
    seconds: float
    phases: Phases
    memory_bytes: int


EXPIRED, CANCELLED = "expired", "cancelled"
"""Why a request was dropped before it was computed: its deadline had passed, its client had gone."""


class Observer(Protocol):
    """Is told what happens, on the event loop; must be quick and must not raise."""

    def on_loaded(self, worker: int, loaded: Loaded) -> None:
        """Note that a worker is ready, also again after a restart."""
        ...

    def on_batch(self, done: BatchDone) -> None:
        """Note a batch that was computed."""
        ...

    def on_dropped(self, reason: str, rows: int) -> None:
        """Note a request that was dropped before it was computed: EXPIRED or CANCELLED."""
        ...

    def on_lost(self, worker: int, reason: str) -> None:
        """Note that a worker is gone: `crash`, `hang` or `memory`; it will be started again."""
        ...

    def on_stage_lost(self, reason: str) -> None:
        """Note that one stage of a split model is gone, for the same reasons; the worker as a whole goes on."""
        ...

    def on_cache(self, hit: bool) -> None:
        """Note that the cache was asked."""
        ...


class SilentObserver:
    """Watches nothing."""

    def on_loaded(self, worker: int, loaded: Loaded) -> None:
        """See `Observer`."""

    def on_batch(self, done: BatchDone) -> None:
        """See `Observer`."""

    def on_dropped(self, reason: str, rows: int) -> None:
        """See `Observer`."""

    def on_lost(self, worker: int, reason: str) -> None:
        """See `Observer`."""

    def on_stage_lost(self, reason: str) -> None:
        """See `Observer`."""

    def on_cache(self, hit: bool) -> None:
        """See `Observer`."""
