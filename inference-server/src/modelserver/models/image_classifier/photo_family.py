"""What `modelserver build` needs to know of any network that tells the generated photos apart."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelserver.artifact import ModelMetadata
from modelserver.model import Network
from modelserver.models.declared import parse_preprocessing
from modelserver.models.image_classifier.model import ImageClassifier
from modelserver.models.image_classifier.photos import Photos, take_photos
from modelserver.models.image_classifier.recipe import ACCURACY_METRIC, PREPROCESSING, PhotoRecipe
from modelserver.recipes.family import Family
from modelserver.tensors import Array, Arrays

_PREPROCESSED_AT_ONCE = 256
_JUDGED_AT_ONCE = 100
_CALIBRATION_BATCH = 8


@dataclass(frozen=True)
class ReadPhotos:
    """Photos as a network reads them.

    Attributes:
        images: float32 [photos, 3, size, size].
        labels: int64 [photos].
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """What networks are trained on, and what they are judged by."""

    training: ReadPhotos
    held_out: ReadPhotos


def preprocess(images: Array) -> NDArray[np.float32]:
    """Resize and normalise images as the server will, some at a time; uint8 [images, height, width, 3]."""
    step = parse_preprocessing(PREPROCESSING, ImageClassifier.inputs)["images"]
    starts = range(0, len(images), _PREPROCESSED_AT_ONCE)
    return np.concatenate([step(images[start : start + _PREPROCESSED_AT_ONCE]) for start in starts])


def read_photos(photos: Photos) -> ReadPhotos:
    """Preprocess photos."""
    return ReadPhotos(preprocess(photos.images), photos.labels)


def make_material(training: int, held_out: int, size: int, seed: int) -> Material:
    """Take photos to train on, and others to judge by; more of the former do not change the latter."""
    training_rng, held_out_rng = np.random.default_rng(seed).spawn(2)
    return Material(
        training=read_photos(take_photos(training, size, training_rng)),
        held_out=read_photos(take_photos(held_out, size, held_out_rng)),
    )


def share_correct(network: Network, photos: ReadPhotos) -> float:
    """Return the share of photos whose label gets the highest logit."""
    starts = range(0, len(photos.labels), _JUDGED_AT_ONCE)
    answers = [network({"images": photos.images[start : start + _JUDGED_AT_ONCE]})["logits"] for start in starts]
    return float((np.concatenate(answers).argmax(axis=1) == photos.labels).mean())


def strange_images(rows: int, size: int, rng: np.random.Generator) -> Array:
    """Return images that the contract lets through and no camera takes: black and white pixels at random, and one colour."""
    images = rng.choice(np.array([0, 255], dtype=np.uint8), size=(rows, size, size, 3))
    images[::2] = rng.choice(np.array([0, 255], dtype=np.uint8), size=(len(images[::2]), 1, 1, 3))
    return images


class PhotoFamily(Family[Material]):
    """Trained on generated photos, judged by others.

    Args:
        recipe: How many.
    """

    inputs = ("images",)
    outputs = ("logits",)
    accuracy_metric = ACCURACY_METRIC

    def __init__(self, recipe: PhotoRecipe) -> None:
        self._photos = recipe
        self.training_steps = recipe.training_steps

    @property
    def metadata(self) -> ModelMetadata:
        """Return name and preprocessing; see `Family.metadata`."""
        return ModelMetadata(name=self.name, serves=self.name, preprocessing=PREPROCESSING)

    def prepare(self) -> Material:
        """Take photos; see `Family.prepare`."""
        recipe = self._photos
        return make_material(recipe.training_photos, recipe.held_out_photos, recipe.photo_size, recipe.seed)

    def accuracy(self, network: Network, material: Material) -> float:
        """Return the share of held-out photos told right; see `Family.accuracy`."""
        return share_correct(network, material.held_out)

    def calibration(self, material: Material) -> Iterator[Arrays]:
        """Yield training photos; see `Family.calibration`."""
        for start in range(0, self._photos.calibration_batches * _CALIBRATION_BATCH, _CALIBRATION_BATCH):
            yield {"images": material.training.images[start : start + _CALIBRATION_BATCH]}

    def example(self, material: Material, rows: int) -> Arrays:
        """Return held-out photos; see `Family.example`."""
        return {"images": material.held_out.images[np.arange(rows) % len(material.held_out.labels)]}

    def outliers(self, material: Material, rows: int) -> Arrays:  # noqa: ARG002 - a Family
        """Return images that no camera takes; see `Family.outliers`."""
        rng = np.random.default_rng(self._photos.seed)
        return {"images": preprocess(strange_images(rows, self._photos.photo_size, rng))}
