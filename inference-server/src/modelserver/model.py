"""The seam between server and model: four steps, and the example that warms it up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from modelserver.artifact import read_model
from modelserver.errors import LoadError
from modelserver.tensors import InferRequest, Tensor, TensorSpec

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class ServedModel(Protocol[Row, Answer]):
    """A loaded variant of a model. `predict` runs on the compute thread, the rest on the event loop.

    Attributes:
        inputs: What a request carries.
        outputs: What an answer carries; those marked optional only when asked for.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def decode(self, request: InferRequest) -> Sequence[Row]:
        """Split a request into rows that can be batched with anyone's.

        Raises:
            InvalidRequestError: When a value is not one the model can answer.
        """
        ...

    def predict(self, rows: Sequence[Row]) -> Sequence[Answer]:
        """Answer a batch; each answer depends on its own row alone."""
        ...

    def encode(self, answers: Sequence[Answer], outputs: Sequence[str]) -> list[Tensor]:
        """Join the answers to a request's rows into the named outputs."""
        ...

    def example(self) -> Row:
        """Return a row of the usual cost, for warm-up and measurement."""
        ...


AnyModel: TypeAlias = ServedModel[Any, Any]
"""What the server holds: it hands rows and answers on and never looks inside."""


def _open_search_ranker(directory: Path, variant: str) -> AnyModel:
    from modelserver.search_ranker.model import open_search_ranker  # noqa: PLC0415 - only what is served is imported

    return open_search_ranker(directory, variant)


MODELS: dict[str, Callable[[Path, str], AnyModel]] = {"search-ranker": _open_search_ranker}
"""Name in an artifact's metadata -> the code that serves it. Nothing else is ever run."""


def open_model(directory: Path, variant: str) -> AnyModel:
    """Load a variant of the model in `directory`.

    Raises:
        LoadError: When the model is not one we know, or the variant does not load.
    """
    name = read_model(directory).name
    opener = MODELS.get(name)
    if opener is None:
        raise LoadError(f"model {name!r} in {directory}: expected one of {', '.join(MODELS)}")
    return opener(directory, variant)
