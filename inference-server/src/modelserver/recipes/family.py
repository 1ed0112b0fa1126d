"""The seam between a kind of model and the recipes: a family says how it is trained and judged, recipes do the rest."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from modelserver.artifact import ModelMetadata
from modelserver.model import Network
from modelserver.tensors import Arrays

if TYPE_CHECKING:
    from torch import nn

FAMILIES: dict[str, str] = {
    "search-ranker": "modelserver.models.search_ranker.family:make_family",
    "image-classifier": "modelserver.models.image_classifier.family:make_family",
    "text-encoder": "modelserver.models.text_encoder.family:make_family",
    "inception": "modelserver.models.inception.family:make_family",
}
"""Name for `modelserver build` -> `make_family(seed: int) -> Family`."""

Material = TypeVar("Material")
Advance: TypeAlias = Callable[[], None]
"""Called after each training step."""


@dataclass(frozen=True)
class Bounds:
    """What the gate asks of the variants of a family.

    Attributes:
        min_accuracy: Below this any variant is refused.
        max_accuracy_loss: What a variant may lose against `full`, unless it is named in `allowed_losses`.
        allowed_losses: Variant -> what that one may lose.
        min_cosine: Least cosine between the centred outputs of a variant and of `full`, for the same weights in other numbers.
        min_cosine_of_smaller: The same, for other, fewer weights: pruned and distilled.
        max_drift: Largest change of an output by its neighbours in the batch, relative to the spread of all outputs.
        max_drift_of_half: The same for 16-bit numbers, whose sums depend more on their order.
    """

    min_accuracy: float
    max_accuracy_loss: float = 0.01
    allowed_losses: Mapping[str, float] = field(default_factory=dict)
    min_cosine: float = 0.999
    min_cosine_of_smaller: float = 0.9
    max_drift: float = 2e-3
    max_drift_of_half: float = 2e-2


class Family(ABC, Generic[Material]):
    """A kind of model, as `modelserver build` sees it. `Material` is its seeded data, made once per build.

    Attributes:
        name: Of the model.
        architecture: Registered name of its network's code; see `runtimes/architectures.py`.
        inputs: Names of the network's inputs, in the order of `forward`.
        outputs: Names of what it returns: a tensor, or a tuple in this order.
        accuracy_metric: What accuracy is, e.g. `ndcg@10`.
        bounds: What the gate asks.
        default_variants: What is built when nothing is named; `full` first.
        network_rows: Rows of the network for one row of a request, e.g. candidates per query; for the report's times.
        training_steps: How often `train` calls its `advance`.
        tuning_steps: Variant, `pruned` or `distilled` -> how often `tune` calls its `advance`.
    """

    name: str
    architecture: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    accuracy_metric: str
    bounds: Bounds
    default_variants: tuple[str, ...] = ("full", "bf16", "int8", "pruned", "distilled")
    network_rows: int = 1
    training_steps: int
    tuning_steps: Mapping[str, int]

    @property
    @abstractmethod
    def content_version(self) -> str:
        """Return a digest of settings, code and libraries that decide what is built; see `recipes/content.py`."""

    @property
    @abstractmethod
    def metadata(self) -> ModelMetadata:
        """Return what model.json says; `content_version` is filled in by the build."""

    @abstractmethod
    def prepare(self) -> Material:
        """Generate or read the data, seeded."""

    @abstractmethod
    def train(self, material: Material, advance: Advance) -> "nn.Module":
        """Train the full network."""

    @abstractmethod
    def settings(self, network: "nn.Module") -> dict[str, Any]:
        """Return what the architecture needs to make a network of this one's sizes."""

    @abstractmethod
    def accuracy(self, network: Network, material: Material) -> float:
        """Return a network's accuracy on the validation set, 0 to 1."""

    @abstractmethod
    def calibration(self, material: Material) -> Iterator[Arrays]:
        """Yield training batches that static int8 ranges are found on; not the validation set."""

    @abstractmethod
    def example(self, material: Material, rows: int) -> Arrays:
        """Return exactly `rows` rows of validation data as the network takes them, repeated when there are fewer."""

    @abstractmethod
    def outliers(self, material: Material, rows: int) -> Arrays:
        """Return `rows` rows that the contract lets through and that are unlike anything trained on."""

    def pruned(self, network: "nn.Module", material: Material) -> "nn.Module":
        """Return a structurally narrower copy, its least important parts gone, not yet tuned."""
        raise NotImplementedError(f"{self.name} has no way to be pruned")

    def student(self, network: "nn.Module", material: Material) -> "nn.Module":
        """Return a smaller network to be taught by `network`, not yet taught; it may start from its weights."""
        raise NotImplementedError(f"{self.name} has no student")

    def tune(
        self, variant: str, network: "nn.Module", teacher: "nn.Module", material: Material, advance: Advance
    ) -> None:
        """Train a pruned network or a student in place, towards the teacher's answers."""
        raise NotImplementedError(f"{self.name} cannot tune {variant}")

    def nodes_kept_float(self) -> tuple[str, ...]:
        """Return patterns (regular expressions, searched for) of ONNX node names that int8 leaves alone."""
        return ()

    def write_shared(self, directory: Path, material: Material) -> None:
        """Write what all variants share, besides model.json."""

    def baseline(self, material: Material) -> tuple[str, float] | None:  # noqa: ARG002 - for subclasses
        """Return the name and accuracy of the obvious way without a network, for the report; None for none."""
        return None
