"""The encoder written for ONNX Runtime: the same weights and the same answers in fewer operators around the int8 products."""

from torch import Tensor, nn
from torch.nn import functional
from torch.onnx.ops import attention

from modelscaler_benchmarks.server.served.networks import Encoder, EncoderLayer, load_network

OPSET = 23
"""The first with an Attention operator."""


class FlatEncoder(nn.Module):
    """The encoder over a stream [n * sequence, width], so that each linear layer is one Gemm with its bias.

    Args:
        encoder: Whose weights it takes.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what the encoder returns."""
        encoder, length, width = self.encoder, tokens.shape[1], self.encoder.shape.width
        stream = (encoder.words(tokens) + encoder.positions).reshape(-1, width)
        for layer in encoder.layers:
            stream = _after(layer, stream, length)
        return encoder.norm(stream).reshape(-1, length, width).mean(dim=1)  # type: ignore[no-any-return]


def _after(layer: nn.Module, stream: Tensor, length: int) -> Tensor:
    if not isinstance(layer, EncoderLayer):
        raise TypeError(f"layer {type(layer).__name__}: expected an EncoderLayer")
    normalised, width = layer.attention_norm(stream), stream.shape[1]
    # Three products: to split one costs a copy. Attention takes heads side by side, without transposing.
    parts = zip(layer.projection.weight.chunk(3), layer.projection.bias.chunk(3), strict=True)
    query, key, value = (functional.linear(normalised, *part).reshape(-1, length, width) for part in parts)
    attended = attention(query, key, value, q_num_heads=layer.heads, kv_num_heads=layer.heads)[0]
    stream = stream + layer.output(attended.reshape(-1, width))
    return stream + layer.feed_forward(stream)  # type: ignore[no-any-return]


def load_flat_encoder(name: str, weights: str) -> FlatEncoder:
    """Return an encoder for export, with its weights from a safetensors file."""
    encoder = load_network(name, weights)
    if not isinstance(encoder, Encoder):
        raise TypeError(f"network {type(encoder).__name__}: expected an Encoder")
    return FlatEncoder(encoder).eval()
