"""The networks that are served, in plain torch: two by every server, a larger one on accelerators."""

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from modelscaler_benchmarks.server.served.shapes import CLASSES, ENCODERS, FEATURES, EncoderShape

MAX_BATCH = 32


class Perceptron(nn.Module):
    """256 -> 1024 -> 1024 -> 10 with ReLU: a network so small that the server is most of the cost."""

    def __init__(self) -> None:
        super().__init__()
        hidden = 1024
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return logits [n, 10] of features [n, 256], float32."""
        return self.layers(features)  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward net, each normalised first (Xiong et al., 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the next hidden states [n, sequence, width]."""
        rows, length, width = hidden.shape
        projected = self.projection(self.attention_norm(hidden)).chunk(3, dim=-1)
        query, key, value = (
            each.view(rows, length, self.heads, width // self.heads).transpose(1, 2) for each in projected
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        hidden = hidden + self.output(attended.transpose(1, 2).reshape(rows, length, width))
        return hidden + self.feed_forward(hidden)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Token ids [n, sequence] to an embedding [n, width]."""

    def __init__(self, shape: EncoderShape = ENCODERS["encoder"]) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Parameter(torch.zeros(shape.sequence, shape.width))
        self.layers = nn.Sequential(*(EncoderLayer(shape.width, shape.heads) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return embeddings [n, width] of token ids [n, sequence], int64."""
        hidden = self.layers(self.words(tokens) + self.positions)
        return self.norm(hidden).mean(dim=1)  # type: ignore[no-any-return]


class MediumEncoder(Encoder):
    """Two layers over 64 tokens: a processor's core does hundreds of rows a second, which one generator can send on time."""

    def __init__(self) -> None:
        super().__init__(ENCODERS["medium-encoder"])


class LargeEncoder(Encoder):
    """Six layers over 128 tokens: so much work that a processor's core does tens of rows a second."""

    def __init__(self) -> None:
        super().__init__(ENCODERS["large-encoder"])


NETWORKS: dict[str, type[nn.Module]] = {
    "mlp": Perceptron,
    "encoder": Encoder,
    "medium-encoder": MediumEncoder,
    "large-encoder": LargeEncoder,
}
DTYPES = {"mlp": torch.float32, **dict.fromkeys(ENCODERS, torch.int64)}


def load_network(name: str, weights: str) -> nn.Module:
    """Return a network for inference with its weights from a safetensors file; sets torch to one thread."""
    torch.set_num_threads(1)
    network = NETWORKS[name]()
    network.load_state_dict(load_file(weights))
    return network.eval().requires_grad_(False)
