"""The two networks that every server serves, in plain torch."""

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 256
CLASSES = 10
SEQUENCE = 32
VOCABULARY = 1000
WIDTH = 128
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

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.projection = nn.Linear(WIDTH, 3 * WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
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
    """Two layers, width 128, 4 heads: token ids [n, 32] to an embedding [n, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Parameter(torch.zeros(SEQUENCE, WIDTH))
        self.layers = nn.Sequential(EncoderLayer(), EncoderLayer())
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return embeddings [n, 128], float32, of token ids [n, 32], int64."""
        hidden = self.layers(self.words(tokens) + self.positions)
        return self.norm(hidden).mean(dim=1)  # type: ignore[no-any-return]


NETWORKS: dict[str, type[nn.Module]] = {"mlp": Perceptron, "encoder": Encoder}
DTYPES = {"mlp": torch.float32, "encoder": torch.int64}


def load_network(name: str, weights: str) -> nn.Module:
    """Return a network for inference with its weights from a safetensors file; sets torch to one thread."""
    torch.set_num_threads(1)
    network = NETWORKS[name]()
    network.load_state_dict(load_file(weights))
    return network.eval().requires_grad_(False)
