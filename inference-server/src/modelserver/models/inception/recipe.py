"""What the build of the split example is made of. Torch-free, so that metadata can be read without it."""

from dataclasses import dataclass, field

from modelserver.models.image_classifier.recipe import PhotoRecipe

MODEL_NAME = "inception"
ARCHITECTURE = "inception"
STAGES = ("stem", "mixed", "head")
"""First to last; the weights' names begin with them."""


@dataclass(frozen=True)
class InceptionShape:
    """Sizes of the network.

    Attributes:
        stem: Channels that the stem's first convolution makes of an image.
        branch: Channels of each of a block's four branches in the first stage; they double where the resolution halves.
        labels: Classes told apart.
    """

    stem: int = 16
    branch: int = 12
    labels: int = 10


@dataclass(frozen=True)
class Recipe(PhotoRecipe):
    """Everything that decides what comes out of a build, the code apart.

    Attributes:
        shape: Sizes of the network.
    """

    training_steps: int = 600
    shape: InceptionShape = field(default_factory=InceptionShape)
