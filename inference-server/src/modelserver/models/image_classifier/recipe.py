"""What the build of the image classifier is made of. Torch-free, so that metadata can be read without it."""

from dataclasses import dataclass, field
from typing import Any

MODEL_NAME = "image-classifier"
ARCHITECTURE = "image-classifier-resnet"
ACCURACY_METRIC = "accuracy"
PREPROCESSING: dict[str, dict[str, Any]] = {
    "images": {"resize": [32, 32], "scale": 1 / 255, "mean": 0.5, "std": 0.25, "channels_first": True}
}
"""How an image becomes what the network reads; model.json says it, all variants share it."""


@dataclass(frozen=True)
class ResNetShape:
    """Sizes of the network.

    Attributes:
        widths: Channels of the stream in each stage; each stage after the first halves the resolution.
        inner: Channels inside a block of each stage; as wide as the stream unless pruned.
        blocks: Residual blocks in each stage.
        labels: Classes told apart.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    inner: tuple[int, ...] = (16, 32, 64)
    blocks: int = 2
    labels: int = 10


@dataclass(frozen=True)
class PhotoRecipe:
    """What any network trained on the generated photos is made of.

    Attributes:
        seed: Of the generator and of training.
        photo_size: Pixels along each side of a generated photo.
        training_photos: Photos to train on.
        held_out_photos: Photos, drawn apart, that accuracy is measured on.
        calibration_batches: Batches of 8 training photos that int8 ranges are found on.
        batch_photos: Photos per training step.
        training_steps: Steps of the full network.
        min_accuracy: Gate: accuracy on held-out photos below which a variant is refused.
        max_accuracy_loss: Gate: accuracy that the same weights in other numbers may lose against `full`.
        min_cosine: Gate: least cosine between the logits of such a variant and those of `full`.
    """

    seed: int = 0
    photo_size: int = 48
    training_photos: int = 12000
    held_out_photos: int = 2000
    calibration_batches: int = 16
    batch_photos: int = 64
    training_steps: int = 800
    min_accuracy: float = 0.9
    max_accuracy_loss: float = 0.01
    min_cosine: float = 0.998


@dataclass(frozen=True)
class Recipe(PhotoRecipe):
    """Everything that decides what comes out of a build, the code apart.

    Attributes:
        pruned_steps: Steps after half of the channels inside the blocks are cut.
        distilled_steps: Steps of the student, one block per stage instead of two.
        shape: Sizes of the full network.
        max_accuracy_loss_of_smaller: Gate: accuracy that the pruned and the distilled variant may lose.
        min_cosine_of_smaller: Gate: least cosine between their logits and those of `full`.
    """

    pruned_steps: int = 150
    distilled_steps: int = 250
    shape: ResNetShape = field(default_factory=ResNetShape)
    max_accuracy_loss_of_smaller: float = 0.03
    min_cosine_of_smaller: float = 0.9
