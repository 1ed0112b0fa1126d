"""Weights on their way between the network that learns, in torch, and the one that serves, in numpy."""

from collections.abc import Mapping

import torch

from modelscaler.forecast.learning.torch_network import QuantileNetwork
from modelscaler.forecast.network import Network


def serving(module: QuantileNetwork, facts: Mapping[str, str]) -> Network:
    """Return a copy of what a network has learned, to serve with."""
    return Network({name: weight.numpy(force=True).copy() for name, weight in module.state_dict().items()}, facts)


def learning(network: Network, dropout: float) -> QuantileNetwork:
    """Return a network that goes on learning from where another one is."""
    width = len(network.weights["entry.bias"])
    module = QuantileNetwork(network.features, width, network.blocks, dropout)
    module.load_state_dict({name: torch.from_numpy(weight.copy()) for name, weight in network.weights.items()})
    return module
