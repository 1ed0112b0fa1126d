"""The global model as it learns: the network of `forecast.network` as a torch module, and its loss."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelscaler.forecast.base import LEVELS, QUANTILES, TARGETS
from modelscaler.forecast.network import MEDIAN, SOFTPLUS_SHIFT

_LEVELS: Final = torch.tensor(LEVELS, dtype=torch.float32)


class Block(nn.Module):
    """A residual block of two layers on normalised inputs."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, width)
        self.narrow = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return hidden states of the same shape, (rows, width)."""
        added: Tensor = self.narrow(self.dropout(functional.gelu(self.wide(self.norm(hidden)))))
        return hidden + added


class QuantileNetwork(nn.Module):
    """Rows of features with their masks to quantiles of value and peak, as squashed distances from the anchor."""

    def __init__(self, features: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        outputs = TARGETS * len(QUANTILES)
        self.entry = nn.Linear(2 * features, width)
        self.blocks = nn.ModuleList([Block(width, dropout) for _ in range(blocks)])
        self.exit = nn.Linear(width, outputs)
        self.skip = nn.Linear(2 * features, outputs)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.skip.weight)

    def forward(self, rows: Tensor) -> Tensor:
        """Return (rows, 2, quantiles), not decreasing along the last axis."""
        hidden = self.dropout(functional.gelu(self.entry(rows)))
        for block in self.blocks:
            hidden = block(hidden)
        out = (self.exit(hidden) + self.skip(rows)).view(len(rows), TARGETS, len(QUANTILES))
        median = out[..., MEDIAN : MEDIAN + 1]
        below = functional.softplus(out[..., :MEDIAN] - SOFTPLUS_SHIFT)
        above = functional.softplus(out[..., MEDIAN + 1 :] - SOFTPLUS_SHIFT)
        return torch.cat([median - below, median, median + torch.cumsum(above, dim=-1)], dim=-1)


def pinball_loss(quantiles: Tensor, came: Tensor, weights: Tensor) -> Tensor:
    """Return the mean pinball loss; `came` (rows, 2) squashed, NaN where unknown; `weights` (rows,)."""
    error = came[..., None] - quantiles
    loss = torch.maximum(_LEVELS * error, (_LEVELS - 1.0) * error)
    known = torch.isfinite(came)[..., None]
    loss = torch.where(known, loss, torch.zeros_like(loss)).sum(dim=(1, 2))
    return (loss * weights).mean()
