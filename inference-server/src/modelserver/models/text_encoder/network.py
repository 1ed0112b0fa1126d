"""The text encoder's network: a small transformer over words made of pieces."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelserver.models.text_encoder.pieces import PAD, WORDS
from modelserver.models.text_encoder.recipe import EncoderShape

_REACH = 3.0
"""Words to the left and to the right that attention starts out looking at."""
_MASKED = -1e4
"""Added to the attention logits of padding; finite, so that half precision and int8 can hold it."""


class EncoderLayer(nn.Module):
    """One pre-norm transformer encoder layer (Xiong et al. 2020) with ReLU, which int8 represents well."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(shape.width)
        self.query_key_value = nn.Linear(shape.width, 3 * shape.width)
        self.attention_out = nn.Linear(shape.width, shape.width)
        self.feed_norm = nn.LayerNorm(shape.width)
        self.feed_in = nn.Linear(shape.width, 2 * shape.hidden)
        self.feed_out = nn.Linear(shape.hidden, shape.width)

    def forward(self, stream: Tensor, mask: Tensor, words: int) -> Tensor:
        """Return the stream after this layer.

        The stream is two-dimensional, because ONNX then holds each linear layer as one Gemm with its bias, which ONNX
        Runtime's int8 kernels take whole.

        Args:
            stream: float32 [texts * words, width].
            mask: float32 [texts, heads, words, words], added to the attention logits.
            words: Of each text, padding included.
        """
        width = stream.shape[1]
        by_head = (-1, words, self.heads, width // self.heads)
        query, key, value = self.query_key_value(self.attention_norm(stream)).chunk(3, dim=1)
        query, key, value = (part.reshape(by_head).transpose(1, 2) for part in (query, key, value))
        # Not scaled_dot_product_attention: torch exports its kernel for such masks with strides that ONNX cannot follow.
        attention = (query @ key.transpose(2, 3) * (width // self.heads) ** -0.5 + mask).softmax(dim=3)
        stream = stream + self.attention_out((attention @ value).transpose(1, 2).reshape(-1, width))
        gate, hidden = self.feed_in(self.feed_norm(stream)).chunk(2, dim=1)
        result: Tensor = stream + self.feed_out(functional.relu(gate) * hidden)
        return result


def _looking_around(heads: int) -> Tensor:
    """Return attention by distance for heads that look at a word's neighbours, each at others; float32 [heads, 2 * WORDS - 1].

    Which item a word belongs to is said next to it ("for the red lamp"): a network that starts out looking there learns it in
    seconds. Learned from there on (Shaw et al. 2018, Raffel et al. 2020).
    """
    distance = torch.arange(1 - WORDS, WORDS, dtype=torch.float32)
    looked_at = torch.linspace(-_REACH, _REACH, heads)
    return -(distance[None, :] - looked_at[:, None]).abs()


class TextEncoder(nn.Module):
    """Embeds texts given as pieces."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.piece = nn.Embedding(shape.buckets, shape.width, padding_idx=PAD)
        self.position = nn.Parameter(torch.zeros(WORDS, shape.width))
        self.nearness = nn.Parameter(_looking_around(shape.heads))
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.layers))
        self.embed_norm = nn.LayerNorm(shape.width)
        self.embed = nn.Linear(shape.width, shape.width)

    def forward(self, pieces: Tensor) -> Tensor:
        """Return the embeddings of texts, of length 1.

        Args:
            pieces: int64 [texts, words, PIECES], at most WORDS words.

        Returns:
            float32 [texts, width].
        """
        words, width = pieces.shape[1], self.shape.width
        read = (pieces[:, :, 0] != PAD).to(self.position.dtype)
        distance = torch.arange(words)[None, :] - torch.arange(words)[:, None] + WORDS - 1
        mask = ((1.0 - read) * _MASKED)[:, None, None, :] + self.nearness[:, distance]
        stream = (self.piece(pieces).sum(dim=2) + self.position[:words]).reshape(-1, width)
        for layer in self.layers:
            stream = layer(stream, mask, words)
        share = read / read.sum(dim=1, keepdim=True).clamp(min=1.0)
        pooled = (stream.reshape(-1, words, width) * share[:, :, None]).sum(dim=1)
        return functional.normalize(self.embed(self.embed_norm(pooled)), dim=1)


def make_text_encoder(settings: Mapping[str, Any]) -> TextEncoder:
    """Return a network of the sizes that metadata names: the registered architecture."""
    return TextEncoder(EncoderShape(**settings))
