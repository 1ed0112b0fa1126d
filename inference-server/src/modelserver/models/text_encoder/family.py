"""The text encoder as `modelserver build` sees it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelserver.artifact import ModelMetadata
from modelserver.model import Network
from modelserver.models.search_ranker import cleanup, queries
from modelserver.models.text_encoder.messages import Meaning, draw_meanings, paraphrases
from modelserver.models.text_encoder.pieces import PIECES, WORDS, text_pieces
from modelserver.models.text_encoder.recipe import ACCURACY_METRIC, ARCHITECTURE, MODEL_NAME, Recipe, preprocessing
from modelserver.recipes.content import code_digests, content_version
from modelserver.recipes.family import Advance, Bounds, Family
from modelserver.tensors import Arrays

if TYPE_CHECKING:
    from torch import nn

    from modelserver.models.text_encoder.network import TextEncoder

Pieces = NDArray[np.int64]

_JUDGED_AT_ONCE = 100
_CALIBRATION_BATCH = 16
_KEPT_HIDDEN = 0.5
_SMALLER = ("pruned", "pruned-int8", "distilled", "distilled-int8")


@dataclass(frozen=True)
class Material:
    """Messages as the network reads them.

    Attributes:
        training: int64 [meanings, paraphrases, WORDS, PIECES].
        partners: Row of the meaning most easily confused with each training one, its own when there is none, int64 [meanings].
        held_out: Two messages of each held-out meaning, int64 [meanings, 2, WORDS, PIECES].
    """

    training: Pieces
    partners: NDArray[np.int64]
    held_out: Pieces


def _written(meanings: Sequence[Meaning], count: int, buckets: int, rng: np.random.Generator) -> Pieces:
    texts = [text for meaning in meanings for text in paraphrases(meaning, count, rng)]
    return text_pieces(texts, buckets).reshape(len(meanings), count, WORDS, PIECES)


def partners(meanings: Sequence[Meaning]) -> NDArray[np.int64]:
    """Return the row of each meaning's swapped one, or its own, int64 [meanings]."""
    rows = {meaning: row for row, meaning in enumerate(meanings)}
    return np.array([rows.get(meaning.swapped, row) for meaning, row in rows.items()], dtype=np.int64)


def recall_at_1(asked: NDArray[np.floating[Any]], offered: NDArray[np.floating[Any]]) -> float:
    """Return how often the most alike of all rows offered is the one that means the same; both [meanings, width]."""
    return float(((asked @ offered.T).argmax(axis=1) == np.arange(len(asked))).mean())


def _embedded(network: Network, pieces: Pieces) -> NDArray[np.float32]:
    starts = range(0, len(pieces), _JUDGED_AT_ONCE)
    return np.concatenate([network({"pieces": pieces[at : at + _JUDGED_AT_ONCE]})["embeddings"] for at in starts])


def word_vectors(pieces: Pieces, rarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return texts as bags of words weighted by rarity, of length 1, [texts, buckets]: search without a network."""
    bags = np.zeros((len(pieces), len(rarity)))
    for bag, text in zip(bags, pieces[:, :, 0], strict=True):
        bag[text] = rarity[text]
    vectors: NDArray[np.float64] = bags / np.maximum(np.linalg.norm(bags, axis=1, keepdims=True), 1e-9)
    return vectors


def rarity_of_words(pieces: Pieces, buckets: int) -> NDArray[np.float64]:
    """Return the logarithm of how rare each word is among texts, 0 for padding, float64 [buckets]."""
    words = pieces[..., 0].reshape(-1, WORDS)
    seen = np.bincount(np.concatenate([np.unique(text) for text in words]), minlength=buckets)
    rarity: NDArray[np.float64] = np.log(len(words) / np.maximum(seen, 1))
    rarity[0] = 0.0
    return rarity


class TextEncoderFamily(Family[Material]):
    """Trains and judges the text encoder.

    Args:
        recipe: What to build.
    """

    name = MODEL_NAME
    architecture = ARCHITECTURE
    inputs = ("pieces",)
    outputs = ("embeddings",)
    accuracy_metric = ACCURACY_METRIC
    default_variants = ("full", "bf16", "int8", "pruned", "distilled", "distilled-int8")

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.bounds = Bounds(
            min_accuracy=recipe.min_accuracy,
            max_accuracy_loss=recipe.max_accuracy_loss,
            allowed_losses=dict.fromkeys(_SMALLER, recipe.max_accuracy_loss_of_smaller),
            min_cosine=recipe.min_cosine,
            min_cosine_of_smaller=recipe.min_cosine_of_smaller,
        )
        self.training_steps = recipe.bag_steps + recipe.encoder_steps
        self.tuning_steps: Mapping[str, int] = {"pruned": recipe.pruned_steps, "distilled": recipe.distilled_steps}

    @property
    def content_version(self) -> str:
        """Return a digest of the recipe, the code and the libraries; see `Family.content_version`."""
        borrowed = code_digests(cleanup, queries)
        return content_version({**asdict(self.recipe), **borrowed}, Path(__file__).parent, {"model.py"})

    @property
    def metadata(self) -> ModelMetadata:
        """Return name and preprocessing; see `Family.metadata`."""
        return ModelMetadata(name=MODEL_NAME, serves=MODEL_NAME, preprocessing=preprocessing(self.recipe.shape))

    def prepare(self) -> Material:
        """Write messages; see `Family.prepare`."""
        recipe, buckets = self.recipe, self.recipe.shape.buckets
        # Independent streams: more training messages do not change what accuracy is measured on.
        training_rng, held_out_rng = np.random.default_rng(recipe.seed).spawn(2)
        held_out = draw_meanings(recipe.held_out_meanings, held_out_rng)
        training = draw_meanings(recipe.training_meanings, training_rng, frozenset(held_out))
        return Material(
            training=_written(training, recipe.paraphrases, buckets, training_rng),
            partners=partners(training),
            held_out=_written(held_out, 2, buckets, held_out_rng),
        )

    def train(self, material: Material, advance: Advance) -> "nn.Module":
        """Train the full network; see `Family.train`."""
        from modelserver.models.text_encoder.training import train  # noqa: PLC0415 - metadata does without torch

        return train(material.training, material.partners, self.recipe, advance)

    def settings(self, network: "nn.Module") -> dict[str, Any]:
        """Return the network's sizes; see `Family.settings`."""
        return asdict(_encoder(network).shape)

    def accuracy(self, network: Network, material: Material) -> float:
        """Return how often a held-out message finds its paraphrase among all; see `Family.accuracy`."""
        asked, offered = (_embedded(network, material.held_out[:, way]) for way in (0, 1))
        return recall_at_1(asked, offered)

    def calibration(self, material: Material) -> Iterator[Arrays]:
        """Yield training messages; see `Family.calibration`."""
        for start in range(0, self.recipe.calibration_batches * _CALIBRATION_BATCH, _CALIBRATION_BATCH):
            yield {"pieces": material.training[start : start + _CALIBRATION_BATCH, 0]}

    def example(self, material: Material, rows: int) -> Arrays:
        """Return held-out messages; see `Family.example`."""
        return {"pieces": material.held_out[np.arange(rows) % len(material.held_out), 0]}

    def outliers(self, material: Material, rows: int) -> Arrays:  # noqa: ARG002 - a Family
        """Return texts of one word all over, texts of nothing, and random pieces; see `Family.outliers`."""
        rng = np.random.default_rng(self.recipe.seed)
        pieces = rng.integers(1, self.recipe.shape.buckets, size=(rows, WORDS, PIECES))
        pieces[::3] = pieces[::3, :1, :1]
        pieces[1::3] = 0
        return {"pieces": pieces}

    def pruned(self, network: "nn.Module", material: Material) -> "nn.Module":  # noqa: ARG002 - a Family
        """Return the network with half of the hidden units of its feed-forward layers; see `Family.pruned`."""
        from modelserver.models.text_encoder.shrinking import prune_hidden  # noqa: PLC0415 - needs torch

        return prune_hidden(_encoder(network), _KEPT_HIDDEN)

    def student(self, network: "nn.Module", material: Material) -> "nn.Module":  # noqa: ARG002 - a Family
        """Return every other layer; see `Family.student`."""
        from modelserver.models.text_encoder.shrinking import every_other_layer  # noqa: PLC0415 - needs torch

        return every_other_layer(_encoder(network))

    def tune(
        self, variant: str, network: "nn.Module", teacher: "nn.Module", material: Material, advance: Advance
    ) -> None:
        """Teach a smaller network; see `Family.tune`."""
        from modelserver.models.text_encoder.training import distil  # noqa: PLC0415 - needs torch

        recipe, steps = self.recipe, self.tuning_steps[variant]
        distil(
            _encoder(network),
            _encoder(teacher),
            material.training,
            material.partners,
            recipe.encoder_batch,
            steps,
            recipe.seed,
            advance,
        )

    def nodes_kept_float(self) -> tuple[str, ...]:
        """Return the pieces' table: to dequantize eight rows of it per word costs more than int8 saves in what follows."""
        return ("embedding",)

    def baseline(self, material: Material) -> tuple[str, float]:
        """Return the recall of comparing weighted words; see `Family.baseline`."""
        rarity = rarity_of_words(material.training, self.recipe.shape.buckets)
        asked, offered = (word_vectors(material.held_out[:, way], rarity) for way in (0, 1))
        return "comparing rare words, without a network", recall_at_1(asked, offered)


def _encoder(network: "nn.Module") -> "TextEncoder":
    from modelserver.models.text_encoder.network import TextEncoder  # noqa: PLC0415 - needs torch

    if not isinstance(network, TextEncoder):
        raise TypeError(f"network {type(network).__name__}: expected a TextEncoder")
    return network


def make_family(seed: int) -> TextEncoderFamily:
    """Return what `modelserver build text-encoder` builds."""
    return TextEncoderFamily(Recipe(seed=seed))
