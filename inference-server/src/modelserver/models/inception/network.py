"""The split example's network: blocks of parallel convolutions (Szegedy et al. 2015, 2016), in three stages."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelserver.models.inception.recipe import STAGES, InceptionShape


class Convolution(nn.Module):
    """A convolution, batch norm, ReLU."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, stream: Tensor) -> Tensor:
        """Return float32 [images, after, height / stride, width / stride]."""
        return functional.relu(self.norm(self.convolution(stream)))


class Block(nn.Module):
    """Four branches side by side: a point, 3 by 3, 5 by 5 as two of 3 by 3, and a pooled one; their channels concatenated."""

    def __init__(self, before: int, branch: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.point = Convolution(before, branch, 1, stride)
        self.near = nn.Sequential(Convolution(before, branch, 1), Convolution(branch, branch, 3, stride))
        self.far = nn.Sequential(
            Convolution(before, branch, 1), Convolution(branch, branch, 3), Convolution(branch, branch, 3, stride)
        )
        self.pooled = Convolution(before, branch, 1)

    def forward(self, stream: Tensor) -> Tensor:
        """Return float32 [images, 4 * branch, height / stride, width / stride]."""
        pooled = self.pooled(functional.avg_pool2d(stream, 3, self.stride, padding=1))
        return torch.cat([self.point(stream), self.near(stream), self.far(stream), pooled], dim=1)


class Head(nn.Module):
    """The last blocks, and a logit for each label."""

    def __init__(self, before: int, branch: int, labels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            Block(before, branch, stride=2), Block(4 * branch, branch), Block(4 * branch, branch)
        )
        self.score = nn.Linear(4 * branch, labels)

    def forward(self, stream: Tensor) -> Tensor:
        """Return float32 [images, labels]."""
        logits: Tensor = self.score(self.blocks(stream).mean(dim=(2, 3)))
        return logits


class Inception(nn.Module):
    """Scores the labels of an image; its stages in turn do the same."""

    def __init__(self, shape: InceptionShape) -> None:
        super().__init__()
        self.shape = shape
        branch = shape.branch
        self.stem = nn.Sequential(Convolution(3, shape.stem, 3, stride=2), Block(shape.stem, branch))
        self.mixed = nn.Sequential(Block(4 * branch, 2 * branch, stride=2), Block(8 * branch, 2 * branch))
        self.head = Head(8 * branch, 4 * branch, shape.labels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logit of each label, float32 [images, labels].

        Args:
            images: float32 [images, 3, size, size], normalised.
        """
        stream = images
        for stage in STAGES:
            stream = self.get_submodule(stage)(stream)
        return stream


def make_inception(settings: Mapping[str, Any]) -> Inception:
    """Return a network of the sizes that metadata names: the registered architecture."""
    return Inception(InceptionShape(**settings))
