"""Smaller networks that start from a trained one's weights: narrower feed-forward layers, or every other layer."""

from dataclasses import replace

import torch
from torch import Tensor

from modelserver.models.text_encoder.network import EncoderLayer, TextEncoder


def _most_important(layer: EncoderLayer, count: int) -> Tensor:
    """Return the hidden units that say most: the product of their weights' norms in gate, value and output."""
    gate, value = layer.feed_in.weight.norm(dim=1).chunk(2)
    return torch.topk(gate * value * layer.feed_out.weight.norm(dim=0), count).indices.sort().values


def prune_hidden(network: TextEncoder, keep: float) -> TextEncoder:
    """Return a copy with only the share `keep` of each feed-forward layer's hidden units; attention stays as it is."""
    hidden = network.shape.hidden
    narrow = TextEncoder(replace(network.shape, hidden=max(8, round(hidden * keep))))
    weights = narrow.state_dict()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if weights[name].shape == value.shape:
                weights[name].copy_(value)
        for source, target in zip(network.layers, narrow.layers, strict=True):
            if not isinstance(source, EncoderLayer) or not isinstance(target, EncoderLayer):
                raise TypeError("an encoder's layers are encoder layers")
            kept = _most_important(source, narrow.shape.hidden)
            gate_and_value = torch.cat([kept, kept + hidden])
            target.feed_in.weight.copy_(source.feed_in.weight[gate_and_value])
            target.feed_in.bias.copy_(source.feed_in.bias[gate_and_value])
            target.feed_out.weight.copy_(source.feed_out.weight[:, kept])
    return narrow.eval()


def every_other_layer(network: TextEncoder) -> TextEncoder:
    """Return a network of the first, third, ... layer, with their weights (Sanh et al. 2019, DistilBERT)."""
    kept = range(0, network.shape.layers, 2)
    shallow = TextEncoder(replace(network.shape, layers=len(kept)))
    with torch.no_grad():
        rest = {name: value for name, value in network.state_dict().items() if not name.startswith("layers.")}
        shallow.load_state_dict(rest, strict=False)
        for target, source in enumerate(kept):
            shallow.layers[target].load_state_dict(network.layers[source].state_dict())
    return shallow.eval()
