"""The image classifier's network: a small residual network (He et al. 2016)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from modelserver.models.image_classifier.recipe import ResNetShape


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut. What lies between the two may be narrower than the stream: pruning cuts there."""

    def __init__(self, before: int, inner: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, inner, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(inner)
        self.second = nn.Conv2d(inner, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        changes = stride != 1 or before != after
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if changes else nn.Identity()

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream after this block, float32 [images, after, height / stride, width / stride]."""
        inner = functional.relu(self.first_norm(self.first(stream)))
        result: Tensor = functional.relu(self.second_norm(self.second(inner)) + self.shortcut(stream))
        return result


class ResNet(nn.Module):
    """Scores the labels of an image."""

    def __init__(self, shape: ResNetShape) -> None:
        super().__init__()
        self.shape = shape
        before = shape.widths[0]
        self.stem = nn.Conv2d(3, before, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(before)
        blocks = []
        for stage, (width, inner) in enumerate(zip(shape.widths, shape.inner, strict=True)):
            for block in range(shape.blocks):
                blocks.append(ResidualBlock(before, inner, width, 2 if block == 0 and stage > 0 else 1))
                before = width
        self.blocks = nn.ModuleList(blocks)
        self.score = nn.Linear(before, shape.labels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logit of each label, float32 [images, labels].

        Args:
            images: float32 [images, 3, size, size], normalised.
        """
        stream: Tensor = functional.relu(self.stem_norm(self.stem(images)))
        for block in self.blocks:
            stream = block(stream)
        logits: Tensor = self.score(stream.mean(dim=(2, 3)))
        return logits


def make_resnet(settings: Mapping[str, Any]) -> ResNet:
    """Return a network of the sizes that metadata names: the registered architecture."""
    return ResNet(
        ResNetShape(
            widths=tuple(settings["widths"]),
            inner=tuple(settings["inner"]),
            blocks=settings["blocks"],
            labels=settings["labels"],
        )
    )
