"""The split example as `modelserver build` sees it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelserver.models import declared, image_classifier, resizing
from modelserver.models.image_classifier.family import SERVING_ONLY
from modelserver.models.image_classifier.photo_family import Material, PhotoFamily
from modelserver.models.inception.recipe import ARCHITECTURE, MODEL_NAME, Recipe
from modelserver.recipes.content import code_digests, content_version
from modelserver.recipes.family import Advance, Bounds

if TYPE_CHECKING:
    from torch import nn


class InceptionFamily(PhotoFamily):
    """Trains and judges the split example.

    Args:
        recipe: What to build.
    """

    name = MODEL_NAME
    architecture = ARCHITECTURE
    default_variants = ("full", "bf16", "int8")
    tuning_steps: Mapping[str, int] = {}

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.recipe = recipe
        self.bounds = Bounds(
            min_accuracy=recipe.min_accuracy,
            max_accuracy_loss=recipe.max_accuracy_loss,
            min_cosine=recipe.min_cosine,
        )

    @property
    def content_version(self) -> str:
        """Return a digest of recipe, code, photos and libraries; see `Family.content_version`."""
        photos = content_version(
            dict(code_digests(declared, resizing)), Path(image_classifier.__path__[0]), SERVING_ONLY
        )
        return content_version(
            {**asdict(self.recipe), "photos": photos}, Path(__file__).parent, {"model.py", "stages.py"}
        )

    def train(self, material: Material, advance: Advance) -> "nn.Module":
        """Train the network; see `Family.train`."""
        import torch  # noqa: PLC0415 - reading metadata does without it

        from modelserver.models.image_classifier.training import train_classifier  # noqa: PLC0415 - ditto
        from modelserver.models.inception.network import Inception  # noqa: PLC0415 - ditto

        recipe, photos = self.recipe, material.training
        torch.manual_seed(recipe.seed)
        network = Inception(recipe.shape)
        train_classifier(
            network, photos.images, photos.labels, recipe.batch_photos, recipe.training_steps, recipe.seed, advance
        )
        return network

    def settings(self, network: "nn.Module") -> dict[str, Any]:  # noqa: ARG002 - a Family
        """Return the network's sizes; see `Family.settings`."""
        return asdict(self.recipe.shape)


def make_family(seed: int) -> InceptionFamily:
    """Return what `modelserver build inception` builds."""
    return InceptionFamily(Recipe(seed=seed))
