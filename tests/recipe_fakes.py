"""A family of models that is trained in a blink, for tests of the recipes around it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modelserver.artifact import ModelMetadata
from modelserver.model import Network
from modelserver.recipes.family import Bounds, Family
from modelserver.runtimes.architectures import register_architecture
from modelserver.tensors import Arrays, TensorSpec

ARCHITECTURE = "test-perceptron"
FEATURES, CLASSES = 8, 3


class Perceptron(nn.Module):
    """One hidden layer."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(FEATURES, hidden)
        self.out = nn.Linear(hidden, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(torch.relu(self.hidden(x)))
        return logits


def make_perceptron(settings: Mapping[str, Any]) -> Perceptron:
    return Perceptron(settings["hidden"])


register_architecture(ARCHITECTURE, make_perceptron)


@dataclass(frozen=True)
class Points:
    """Clouds of points and which cloud each is of."""

    x: NDArray[np.float32]
    label: NDArray[np.int64]


def _fit(network: nn.Module, points: Points, steps: int, advance: Callable[[], None]) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    x, label = torch.from_numpy(points.x), torch.from_numpy(points.label)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(network(x), label)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        advance()


class PointFamily(Family[Points]):
    """Tells clouds of points apart."""

    name = "points"
    architecture = ARCHITECTURE
    inputs = ("x",)
    outputs = ("logits",)
    accuracy_metric = "accuracy"
    default_variants = ("full", "bf16", "pruned", "distilled")
    training_steps = 40
    tuning_steps: Mapping[str, int] = {"pruned": 20, "distilled": 40}

    def __init__(self, bounds: Bounds | None = None, hidden: int = 32) -> None:
        self.bounds = bounds or Bounds(min_accuracy=0.9, allowed_losses={"distilled": 0.1, "pruned": 0.1})
        self._hidden = hidden

    @property
    def content_version(self) -> str:
        return f"hidden-{self._hidden}"

    @property
    def metadata(self) -> ModelMetadata:
        return ModelMetadata(
            "points",
            inputs=(TensorSpec("x", "FP32", (-1, FEATURES)),),
            outputs=(TensorSpec("logits", "FP32", (-1, CLASSES)),),
        )

    def prepare(self) -> Points:
        rng = np.random.default_rng(0)
        label = rng.integers(CLASSES, size=512)
        centres = rng.normal(size=(CLASSES, FEATURES)) * 2
        return Points((centres[label] + rng.normal(size=(512, FEATURES))).astype(np.float32), label)

    def train(self, material: Points, advance: Callable[[], None]) -> nn.Module:
        torch.manual_seed(0)
        network = Perceptron(self._hidden)
        _fit(network, material, self.training_steps, advance)
        return network

    def settings(self, network: nn.Module) -> dict[str, Any]:
        assert isinstance(network, Perceptron)
        return {"hidden": network.hidden.out_features}

    def accuracy(self, network: Network, material: Points) -> float:
        return float((network({"x": material.x})["logits"].argmax(axis=1) == material.label).mean())

    def calibration(self, material: Points) -> Iterator[Arrays]:
        for start in range(0, 256, 32):
            yield {"x": material.x[start : start + 32]}

    def example(self, material: Points, rows: int) -> Arrays:
        return {"x": np.resize(material.x, (rows, FEATURES))}

    def outliers(self, material: Points, rows: int) -> Arrays:
        return {"x": np.full((rows, FEATURES), 1e4, dtype=np.float32)}

    def pruned(self, network: nn.Module, material: Points) -> nn.Module:
        assert isinstance(network, Perceptron)
        kept = network.hidden.weight.norm(dim=1).topk(self._hidden // 2).indices
        small = Perceptron(self._hidden // 2)
        with torch.no_grad():
            small.hidden.weight.copy_(network.hidden.weight[kept])
            small.hidden.bias.copy_(network.hidden.bias[kept])
            small.out.weight.copy_(network.out.weight[:, kept])
            small.out.bias.copy_(network.out.bias)
        return small

    def student(self, network: nn.Module, material: Points) -> nn.Module:
        return Perceptron(self._hidden // 4)

    def tune(
        self, variant: str, network: nn.Module, teacher: nn.Module, material: Points, advance: Callable[[], None]
    ) -> None:
        _fit(network, material, self.tuning_steps[variant], advance)


def make_family(seed: int) -> PointFamily:
    return PointFamily()
