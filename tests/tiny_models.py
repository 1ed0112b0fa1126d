"""The built-in models besides the search ranker in seconds: the shipped recipes with every size cut, the same code."""

from modelserver.models.image_classifier.family import ImageClassifierFamily
from modelserver.models.image_classifier.recipe import Recipe as ImageRecipe
from modelserver.models.image_classifier.recipe import ResNetShape
from modelserver.models.inception.family import InceptionFamily
from modelserver.models.inception.recipe import InceptionShape
from modelserver.models.inception.recipe import Recipe as InceptionRecipe
from modelserver.models.text_encoder.family import TextEncoderFamily
from modelserver.models.text_encoder.recipe import EncoderShape
from modelserver.models.text_encoder.recipe import Recipe as TextRecipe

TINY_IMAGES = ImageRecipe(
    training_photos=1200,
    held_out_photos=200,
    calibration_batches=4,
    batch_photos=32,
    training_steps=240,
    pruned_steps=20,
    distilled_steps=30,
    shape=ResNetShape(widths=(8, 16, 32), inner=(8, 16, 32)),
    min_accuracy=0.15,
    max_accuracy_loss=0.05,
    max_accuracy_loss_of_smaller=0.5,
    min_cosine=0.98,
    min_cosine_of_smaller=0.3,
)
TINY_INCEPTION = InceptionRecipe(
    training_photos=600,
    held_out_photos=100,
    calibration_batches=4,
    batch_photos=32,
    training_steps=30,
    shape=InceptionShape(stem=8, branch=4),
    min_accuracy=0.0,
    max_accuracy_loss=0.1,
    min_cosine=0.9,
)
TINY_TEXTS = TextRecipe(
    training_meanings=600,
    held_out_meanings=100,
    calibration_batches=4,
    bag_batch=64,
    bag_steps=60,
    encoder_batch=16,
    encoder_steps=20,
    pruned_steps=10,
    distilled_steps=10,
    shape=EncoderShape(buckets=2048, width=64, hidden=64),
    min_accuracy=0.3,
    max_accuracy_loss=0.05,
    max_accuracy_loss_of_smaller=0.3,
    min_cosine=0.98,
    min_cosine_of_smaller=0.5,
)


def make_images(seed: int) -> ImageClassifierFamily:
    """Return what `modelserver build python:tiny_models:make_images` builds."""
    return ImageClassifierFamily(TINY_IMAGES)


def make_inception(seed: int) -> InceptionFamily:
    """Return what `modelserver build python:tiny_models:make_inception` builds."""
    return InceptionFamily(TINY_INCEPTION)


def make_texts(seed: int) -> TextEncoderFamily:
    """Return what `modelserver build python:tiny_models:make_texts` builds."""
    return TextEncoderFamily(TINY_TEXTS)
