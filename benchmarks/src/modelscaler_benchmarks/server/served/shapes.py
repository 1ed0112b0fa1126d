"""The sizes of the networks, for who has no torch."""

from dataclasses import dataclass

FEATURES, CLASSES = 256, 10


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of an encoder.

    Attributes:
        sequence: Tokens of a row.
        vocabulary: Different tokens.
        width: Of the stream and of the embedding.
        heads: Of attention; divides width.
        layers: One after the other.
    """

    sequence: int
    vocabulary: int
    width: int
    heads: int
    layers: int


ENCODERS: dict[str, EncoderShape] = {
    "encoder": EncoderShape(sequence=32, vocabulary=1000, width=128, heads=4, layers=2),
    "medium-encoder": EncoderShape(sequence=64, vocabulary=1000, width=256, heads=4, layers=2),
    "large-encoder": EncoderShape(sequence=128, vocabulary=1000, width=512, heads=8, layers=6),
}
