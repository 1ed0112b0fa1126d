"""What the build of the text encoder is made of. Torch-free, so that metadata can be read without it."""

from dataclasses import dataclass, field
from typing import Any

from modelserver.models.text_encoder.pieces import PIECES, WORDS

MODEL_NAME = "text-encoder"
ARCHITECTURE = "text-encoder-transformer"
ACCURACY_METRIC = "recall@1"


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of the network.

    Attributes:
        buckets: Hashed pieces, padding included.
        width: Width of the residual stream and of the embedding.
        heads: Attention heads; divides width.
        hidden: Width of the feed-forward layers.
        layers: Encoder layers.
    """

    buckets: int = 8192
    width: int = 128
    heads: int = 4
    hidden: int = 256
    layers: int = 2


def preprocessing(shape: EncoderShape) -> dict[str, dict[str, Any]]:
    """Return how a text becomes what the network reads, for model.json; all variants share it."""
    return {"text": {"words": WORDS, "pieces": PIECES, "buckets": shape.buckets}}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of a build, the code apart.

    Attributes:
        seed: Of the generator and of training.
        training_meanings: Meanings to train on.
        paraphrases: Ways in which each is written down.
        held_out_meanings: Meanings, drawn apart, that accuracy is measured on.
        calibration_batches: Batches of 16 training messages that int8 ranges are found on.
        bag_batch: Meanings per step of the first stage.
        bag_steps: Steps of the first stage, which trains the embeddings alone.
        encoder_batch: Meanings per step of the second stage.
        encoder_steps: Steps of the second stage, which trains the whole network.
        pruned_steps: Steps after half of the feed-forward layers' width is cut.
        distilled_steps: Steps of the student, which has half of the layers.
        shape: Sizes of the full network.
        min_accuracy: Gate: recall@1 on held-out messages below which a variant is refused.
        max_accuracy_loss: Gate: recall@1 that the same weights in other numbers may lose against `full`.
        max_accuracy_loss_of_smaller: Gate: recall@1 that the pruned and the distilled variants may lose.
        min_cosine: Gate: least cosine between the embeddings of the same weights in other numbers and those of `full`.
        min_cosine_of_smaller: Gate: the same of the pruned and the distilled variants.
    """

    seed: int = 0
    training_meanings: int = 8000
    paraphrases: int = 4
    held_out_meanings: int = 1000
    calibration_batches: int = 16
    bag_batch: int = 256
    bag_steps: int = 120
    encoder_batch: int = 48
    encoder_steps: int = 600
    pruned_steps: int = 60
    distilled_steps: int = 120
    shape: EncoderShape = field(default_factory=EncoderShape)
    min_accuracy: float = 0.8
    max_accuracy_loss: float = 0.01
    max_accuracy_loss_of_smaller: float = 0.05
    min_cosine: float = 0.999
    min_cosine_of_smaller: float = 0.9
