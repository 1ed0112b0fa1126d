"""Smaller networks that start from a trained one's weights: fewer channels inside the blocks, or fewer blocks."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from modelserver.models.image_classifier.network import ResidualBlock, ResNet


def _copy_norm(source: nn.BatchNorm2d, target: nn.BatchNorm2d, kept: Tensor) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(target, name).copy_(getattr(source, name)[kept])


def _most_important(block: ResidualBlock, count: int) -> Tensor:
    """Return the channels inside a block that say most: filters with large norms (Li et al. 2017), once scaled."""
    norm = block.first_norm.state_dict()
    scale = norm["weight"] / (norm["running_var"] + block.first_norm.eps).sqrt()
    into = block.first.weight.flatten(1).norm(dim=1) * scale.abs()
    out_of = block.second.weight.transpose(0, 1).flatten(1).norm(dim=1)
    return torch.topk(into * out_of, count).indices.sort().values


def prune_channels(network: ResNet, keep: float) -> ResNet:
    """Return a copy with only the share `keep` of the channels inside each block; the stream stays as wide."""
    inner = tuple(max(4, round(channels * keep)) for channels in network.shape.inner)
    narrow = ResNet(replace(network.shape, inner=inner))
    weights = narrow.state_dict()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if weights[name].shape == value.shape:
                weights[name].copy_(value)
        for source, target in zip(network.blocks, narrow.blocks, strict=True):
            if not isinstance(source, ResidualBlock) or not isinstance(target, ResidualBlock):
                raise TypeError("a ResNet's blocks are residual blocks")
            kept = _most_important(source, target.first.out_channels)
            target.first.weight.copy_(source.first.weight[kept])
            target.second.weight.copy_(source.second.weight[:, kept])
            _copy_norm(source.first_norm, target.first_norm, kept)
    return narrow.eval()


def first_blocks(network: ResNet, blocks: int) -> ResNet:
    """Return a network of the first `blocks` blocks of each stage, with their weights."""
    shape = network.shape
    shallow = ResNet(replace(shape, blocks=blocks))
    weights = shallow.state_dict()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            place = name.split(".")
            if place[0] == "blocks":
                stage, block = divmod(int(place[1]), shape.blocks)
                if block >= blocks:
                    continue
                place[1] = str(stage * blocks + block)
            weights[".".join(place)].copy_(value)
    return shallow.eval()
