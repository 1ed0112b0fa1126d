"""The ranker's network: a small cross-encoder over one query-item pair."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelserver.models.search_ranker.features import KIND_COUNT, PAD, SEQUENCE_LENGTH
from modelserver.models.search_ranker.recipe import NetworkShape

MASKED = -1e4
"""Added to the attention logits of padding; finite, so that half precision and int8 can hold it."""


class EncoderLayer(nn.Module):
    """One pre-norm transformer encoder layer (Xiong et al. 2020) with ReLU, which int8 represents well."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.head_width
        inner = shape.heads * shape.head_width
        self.attention_norm = nn.LayerNorm(shape.width)
        self.query_key_value = nn.Linear(shape.width, 3 * inner)
        self.attention_out = nn.Linear(inner, shape.width)
        self.feed_norm = nn.LayerNorm(shape.width)
        self.feed_in = nn.Linear(shape.width, shape.hidden)
        self.feed_out = nn.Linear(shape.hidden, shape.width)

    def forward(self, stream: Tensor, mask: Tensor) -> Tensor:
        """Return the stream after this layer.

        The stream is two-dimensional, because ONNX then holds each linear layer as one Gemm with its bias, which ONNX
        Runtime's int8 kernels take whole.

        Args:
            stream: float32 [pairs * SEQUENCE_LENGTH, width].
            mask: float32 [pairs, 1, 1, SEQUENCE_LENGTH], added to the attention logits.
        """
        by_head = (-1, SEQUENCE_LENGTH, self.heads, self.head_width)
        query, key, value = self.query_key_value(self.attention_norm(stream)).chunk(3, dim=1)
        query, key, value = (part.reshape(by_head).transpose(1, 2) for part in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        stream = stream + self.attention_out(mixed.transpose(1, 2).reshape(-1, self.heads * self.head_width))
        hidden = functional.relu(self.feed_in(self.feed_norm(stream)))
        result: Tensor = stream + self.feed_out(hidden)
        return result


class SummaryLayer(nn.Module):
    """A last encoder layer that computes the summary alone: all positions are read, but nothing else is written."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.heads, self.head_width = shape.heads, shape.head_width
        inner = shape.heads * shape.head_width
        self.attention_norm = nn.LayerNorm(shape.width)
        self.query = nn.Linear(shape.width, inner)
        self.key_value = nn.Linear(shape.width, 2 * inner)
        self.attention_out = nn.Linear(inner, shape.width)
        self.feed_norm = nn.LayerNorm(shape.width)
        self.feed_in = nn.Linear(shape.width, shape.hidden)
        self.feed_out = nn.Linear(shape.hidden, shape.width)

    def forward(self, stream: Tensor, mask: Tensor) -> Tensor:
        """Return the summaries after this layer, float32 [pairs, width]; the arguments are those of `EncoderLayer`."""
        width = stream.shape[1]
        normed = self.attention_norm(stream)
        by_head = (-1, SEQUENCE_LENGTH, self.heads, self.head_width)
        key, value = (part.reshape(by_head).transpose(1, 2) for part in self.key_value(normed).chunk(2, dim=1))
        query = self.query(normed.reshape(-1, SEQUENCE_LENGTH, width)[:, 0])
        query = query.reshape(-1, self.heads, 1, self.head_width)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        summary = stream.reshape(-1, SEQUENCE_LENGTH, width)[:, 0]
        summary = summary + self.attention_out(mixed.reshape(-1, self.heads * self.head_width))
        hidden = functional.relu(self.feed_in(self.feed_norm(summary)))
        result: Tensor = summary + self.feed_out(hidden)
        return result


class CrossEncoder(nn.Module):
    """Scores query-item pairs from their tokens and kinds."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        self.token = nn.Embedding(shape.buckets, shape.width)
        self.kind = nn.Embedding(KIND_COUNT, shape.width)
        self.position = nn.Parameter(torch.zeros(SEQUENCE_LENGTH, shape.width))
        self.first_layer = EncoderLayer(shape)
        last = range(shape.layers - 1)[-1:] if shape.summary_last else ()
        self.other_layers = nn.ModuleList(
            SummaryLayer(shape) if layer in last else EncoderLayer(shape) for layer in range(shape.layers - 1)
        )
        self.score_norm = nn.LayerNorm(shape.width)
        self.score = nn.Linear(shape.width, 1)

    def forward(self, tokens: Tensor, kinds: Tensor) -> Tensor:
        """Return the scores of the pairs.

        Args:
            tokens: int64 [pairs, SEQUENCE_LENGTH].
            kinds: int64 [pairs, SEQUENCE_LENGTH].

        Returns:
            float32 [pairs]; higher is more relevant.
        """
        stream = self.token(tokens) + self.kind(kinds) + self.position
        mask = ((kinds == PAD).to(stream.dtype) * MASKED)[:, None, None, :]
        width = stream.shape[2]
        stream = stream.reshape(-1, width)
        stream = self.first_layer(stream, mask)
        for layer in self.other_layers:
            stream = layer(stream, mask)
        summary = stream if self.shape.summary_last else stream.reshape(-1, SEQUENCE_LENGTH, width)[:, 0]
        scores: Tensor = self.score(self.score_norm(summary)).squeeze(1)
        return scores


def make_cross_encoder(settings: Mapping[str, Any]) -> CrossEncoder:
    """Return a network of the sizes that a variant's metadata names; see `runtimes/architectures.py`."""
    return CrossEncoder(NetworkShape(**settings))
