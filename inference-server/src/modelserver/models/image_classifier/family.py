"""The image classifier as `modelserver build` sees it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelserver.models import declared, resizing
from modelserver.models.image_classifier.photo_family import Material, PhotoFamily
from modelserver.models.image_classifier.recipe import ARCHITECTURE, MODEL_NAME, Recipe
from modelserver.recipes.content import code_digests, content_version
from modelserver.recipes.family import Advance, Bounds

if TYPE_CHECKING:
    from torch import nn

    from modelserver.models.image_classifier.network import ResNet

SERVING_ONLY = frozenset({"model.py"})
"""A change there does not make a build stale."""
_KEPT_CHANNELS = 0.5
_STUDENT_BLOCKS = 1
_SMALLER = ("pruned", "pruned-int8", "distilled", "distilled-int8")


class ImageClassifierFamily(PhotoFamily):
    """Trains and judges the image classifier.

    Args:
        recipe: What to build.
    """

    name = MODEL_NAME
    architecture = ARCHITECTURE

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.recipe = recipe
        self.bounds = Bounds(
            min_accuracy=recipe.min_accuracy,
            max_accuracy_loss=recipe.max_accuracy_loss,
            allowed_losses=dict.fromkeys(_SMALLER, recipe.max_accuracy_loss_of_smaller),
            min_cosine=recipe.min_cosine,
            min_cosine_of_smaller=recipe.min_cosine_of_smaller,
        )
        self.tuning_steps: Mapping[str, int] = {"pruned": recipe.pruned_steps, "distilled": recipe.distilled_steps}

    @property
    def content_version(self) -> str:
        """Return a digest of the recipe, the code and the libraries; see `Family.content_version`."""
        preprocessing = code_digests(declared, resizing)
        return content_version({**asdict(self.recipe), **preprocessing}, Path(__file__).parent, SERVING_ONLY)

    def train(self, material: Material, advance: Advance) -> "nn.Module":
        """Train the full network; see `Family.train`."""
        import torch  # noqa: PLC0415 - reading metadata does without it

        from modelserver.models.image_classifier.network import ResNet  # noqa: PLC0415 - ditto
        from modelserver.models.image_classifier.training import train_classifier  # noqa: PLC0415 - ditto

        recipe, photos = self.recipe, material.training
        torch.manual_seed(recipe.seed)
        network = ResNet(recipe.shape)
        train_classifier(
            network, photos.images, photos.labels, recipe.batch_photos, recipe.training_steps, recipe.seed, advance
        )
        return network

    def settings(self, network: "nn.Module") -> dict[str, Any]:
        """Return the network's sizes; see `Family.settings`."""
        return asdict(_resnet(network).shape)

    def pruned(self, network: "nn.Module", material: Material) -> "nn.Module":  # noqa: ARG002 - a Family
        """Return the network with half of the channels inside its blocks; see `Family.pruned`."""
        from modelserver.models.image_classifier.shrinking import prune_channels  # noqa: PLC0415 - needs torch

        return prune_channels(_resnet(network), _KEPT_CHANNELS)

    def student(self, network: "nn.Module", material: Material) -> "nn.Module":  # noqa: ARG002 - a Family
        """Return the first block of each stage; see `Family.student`."""
        from modelserver.models.image_classifier.shrinking import first_blocks  # noqa: PLC0415 - needs torch

        return first_blocks(_resnet(network), _STUDENT_BLOCKS)

    def tune(
        self, variant: str, network: "nn.Module", teacher: "nn.Module", material: Material, advance: Advance
    ) -> None:
        """Teach a smaller network; see `Family.tune`."""
        from modelserver.models.image_classifier.training import distil  # noqa: PLC0415 - needs torch

        recipe, photos, steps = self.recipe, material.training, self.tuning_steps[variant]
        distil(network, teacher, photos.images, photos.labels, recipe.batch_photos, steps, recipe.seed, advance)


def _resnet(network: "nn.Module") -> "ResNet":
    from modelserver.models.image_classifier.network import ResNet  # noqa: PLC0415 - needs torch

    if not isinstance(network, ResNet):
        raise TypeError(f"network {type(network).__name__}: expected a ResNet")
    return network


def make_family(seed: int) -> ImageClassifierFamily:
    """Return what `modelserver build image-classifier` builds."""
    return ImageClassifierFamily(Recipe(seed=seed))
