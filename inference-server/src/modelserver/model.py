"""The seam between server and model: setup, decode, predict, encode. Everything here runs in the worker."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from modelserver.errors import LoadError
from modelserver.tensors import Arrays, InferRequest, Tensor, TensorSpec

Network: TypeAlias = Callable[[Arrays], Arrays]
"""Answers a batch: named arrays in, named arrays out, first dimensions agree. One thread, the caller's."""


@dataclass(frozen=True)
class Context:
    """Where a model finds itself.

    Attributes:
        directory: Of the model's artifact; None for a model that is code alone.
        device: `cpu` or a torch device such as `cuda:0`.
        executables: SHA-256 digests of executable artifacts that whoever runs the server vouches for.
    """

    directory: Path | None
    device: str = "cpu"
    executables: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Stage:
    """A part of a split model, computed by a process of its own.

    Attributes:
        name: Its name; a stage that another pod serves is a model called MODEL-NAME there.
        inputs: What it takes: of the first stage, what `decode` makes; of another, what the stage before it gives.
        outputs: What it gives: of the last stage, what `encode` takes. First dimensions agree with the inputs'.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class Decoded:
    """A request, ready for `predict`.

    Attributes:
        arrays: The request's share of a batch. The common first dimension need not be the number of rows.
        memo: Whatever `encode` needs besides the answer; never leaves the worker. A split model's is None or named
            arrays, since its `encode` runs in another process than its `decode`.
    """

    arrays: Arrays
    memo: object = None


class Model(ABC):
    """A model that the server can serve. Subclass it, state `inputs` and `outputs`, and implement `predict`.

    Attributes:
        inputs: What a request carries.
        outputs: What an answer carries.
        max_rows: Most rows of one request.
        preprocessing_version: Changes whenever `decode` would make something else of the same request.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_rows: int = 64
    preprocessing_version: str = ""

    def setup(self, context: Context) -> None:  # noqa: B027 - optional for a subclass
        """Load what all variants share, once.

        Raises:
            LoadError: When it cannot be.
        """

    def variants(self) -> tuple[str, ...]:
        """Return the names of the variants that `load` knows."""
        return ("full",)

    def accuracy(self, variant: str) -> float | None:  # noqa: ARG002 - for subclasses
        """Return a variant's accuracy, 0 to 1; None when it is not known."""
        return None

    def prepare(self, variant: str) -> None:  # noqa: B027 - optional for a subclass
        """Import what loading a variant takes besides its files, such as torch: that is not counted as the variant's memory.

        Raises:
            LoadError: When there is no such variant.
        """

    def load(self, variant: str) -> Network:  # noqa: ARG002 - for subclasses
        """Return the network of a variant; by default `predict` is the only one.

        Raises:
            LoadError: When there is no such variant or it does not load.
        """
        return self.predict

    def stages(self) -> tuple[Stage, ...]:
        """Return the parts that the model can be split into, first to last; none when it cannot."""
        return ()

    def load_stage(self, variant: str, stage: str) -> Network:
        """Return the network of one stage of a variant; those of all stages in turn answer as `load(variant)` does.

        Raises:
            LoadError: When there is no such variant or stage or it does not load.
        """
        raise LoadError(f"stage {stage!r} of variant {variant!r}: the model has no stages")

    def decode(self, request: InferRequest) -> Decoded:
        """Turn one request into arrays; by default its inputs as they are.

        Raises:
            InvalidRequestError: When a value is not one that the model can answer.
        """
        return Decoded({name: tensor.array for name, tensor in request.inputs.items()})

    @abstractmethod
    def predict(self, batch: Arrays) -> Arrays:
        """Answer a batch: the arrays of several requests, concatenated. Each answer depends on its own rows alone."""

    def encode(self, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:  # noqa: ARG002
        """Turn one request's share of the answer into the named outputs; by default the arrays as they are."""
        datatypes = {spec.name: spec.datatype for spec in self.outputs}
        return [Tensor(name, datatypes[name], answer[name]) for name in outputs]

    @abstractmethod
    def example(self) -> InferRequest:
        """Return a request of one row of the usual cost, for warm-up and measurement."""
