"""The search ranker as the recipes see it."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from modelserver.artifact import ModelMetadata
from modelserver.model import Network
from modelserver.models.search_ranker.accuracy import mean_ndcg
from modelserver.models.search_ranker.catalogue import make_catalogue
from modelserver.models.search_ranker.features import KIND_COUNT, SEQUENCE_LENGTH, Pairs
from modelserver.models.search_ranker.lexicon import customer_words
from modelserver.models.search_ranker.network import CrossEncoder
from modelserver.models.search_ranker.recipe import ACCURACY_METRIC, ARCHITECTURE, MODEL_NAME, Recipe
from modelserver.models.search_ranker.searches import JudgedSearches, draw_searches
from modelserver.models.search_ranker.shop import SHOP_FILE, Shop, open_shop, write_shop
from modelserver.models.search_ranker.smaller import shrink, teach
from modelserver.models.search_ranker.training import train
from modelserver.recipes.content import content_version
from modelserver.recipes.family import Bounds, Family
from modelserver.tensors import Arrays

_SERVING_ONLY = ("model.py",)
_EMBEDDING_STEPS_PER_UNIT = 30
"""Steps of the first training stage that take as long as one of the second, the unit of progress."""
_SCORED_SEARCHES = 20
"""Searches per batch when accuracy is measured; bounds memory."""


@dataclass(frozen=True)
class Material:
    """The generated shop and searches.

    Attributes:
        shop: The catalogue.
        training: To learn from.
        held_out: Drawn apart, to measure accuracy on.
    """

    shop: Shop
    training: JudgedSearches
    held_out: JudgedSearches


def _arrays(pairs: Pairs) -> Arrays:
    return {"tokens": pairs.tokens, "kinds": pairs.kinds}


class SearchRankerFamily(Family[Material]):
    """Generated searches, a cross-encoder trained on them, and how good its rankings are.

    Args:
        recipe: Everything that decides what comes out.
    """

    name = MODEL_NAME
    architecture = ARCHITECTURE
    inputs = ("tokens", "kinds")
    outputs = ("scores",)
    accuracy_metric = ACCURACY_METRIC
    default_variants = ("full", "int8", "pruned", "distilled", "distilled-int8")

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.network_rows = recipe.candidates
        self.training_steps = recipe.embedding_steps // _EMBEDDING_STEPS_PER_UNIT + recipe.encoder_steps
        self.tuning_steps = recipe.tuning_steps
        smaller = dict.fromkeys(
            ("pruned", "pruned-int8", "distilled", "distilled-int8"), recipe.max_accuracy_loss_of_smaller
        )
        self.bounds = Bounds(
            min_accuracy=recipe.min_accuracy,
            max_accuracy_loss=recipe.max_accuracy_loss,
            allowed_losses=smaller,
            min_cosine=recipe.min_cosine,
            min_cosine_of_smaller=recipe.min_cosine_of_smaller,
        )

    @property
    def content_version(self) -> str:
        """Return a digest of the recipe, of this package's code and of the libraries that shape the result."""
        return content_version(asdict(self._recipe), Path(__file__).parent, _SERVING_ONLY)

    @property
    def metadata(self) -> ModelMetadata:
        """Return what model.json says."""
        return ModelMetadata(MODEL_NAME, serves=MODEL_NAME)

    def prepare(self) -> Material:
        """Generate the shop and its searches."""
        recipe = self._recipe
        # Independent streams: more training searches do not change the shop, nor what accuracy is measured on.
        shop_rng, training_rng, held_out_rng = np.random.default_rng(recipe.seed).spawn(3)
        catalogue = make_catalogue(recipe.catalogue_size, shop_rng)
        shop = open_shop([item.title for item in catalogue], customer_words(), recipe.shape.buckets)
        return Material(
            shop=shop,
            training=draw_searches(catalogue, shop, recipe.training_searches, recipe.training_candidates, training_rng),
            held_out=draw_searches(catalogue, shop, recipe.held_out_searches, recipe.candidates, held_out_rng),
        )

    def train(self, material: Material, advance: Callable[[], None]) -> CrossEncoder:
        """Train the cross-encoder."""
        done = itertools.count(1)

        def step() -> None:
            number = next(done)
            if number > self._recipe.embedding_steps or number % _EMBEDDING_STEPS_PER_UNIT == 0:
                advance()

        return train(material.training, material.shop, self._recipe, step)

    def settings(self, network: nn.Module) -> dict[str, Any]:
        """Return the network's sizes."""
        return asdict(_ours(network).shape)

    def accuracy(self, network: Network, material: Material) -> float:
        """Return NDCG@10 on the held-out searches."""
        searches = material.held_out
        starts = range(0, len(searches.queries), _SCORED_SEARCHES)
        parts = (searches.pairs(material.shop, slice(start, start + _SCORED_SEARCHES)) for start in starts)
        scores = np.concatenate([network(_arrays(part))["scores"] for part in parts])
        return mean_ndcg(scores.reshape(searches.grades.shape), searches.grades)

    def calibration(self, material: Material) -> Iterator[Arrays]:
        """Yield training searches, one by one."""
        for row in range(self._recipe.calibration_searches):
            yield _arrays(material.training.pairs(material.shop, slice(row, row + 1)))

    def example(self, material: Material, rows: int) -> Arrays:
        """Return `rows` pairs of held-out searches."""
        searches = -(-rows // self._recipe.candidates)
        chosen = np.arange(searches) % len(material.held_out.queries)
        pairs = material.held_out.pairs(material.shop, chosen)
        return {"tokens": pairs.tokens[:rows], "kinds": pairs.kinds[:rows]}

    def outliers(self, material: Material, rows: int) -> Arrays:  # noqa: ARG002 - a Family's
        """Return pairs of one token all over, with kinds that contradict it."""
        rng = np.random.default_rng(self._recipe.seed)
        column, repeat = (rows, 1), (1, SEQUENCE_LENGTH)
        tokens = np.tile(rng.integers(1, self._recipe.shape.buckets, size=column), repeat)
        return {"tokens": tokens, "kinds": np.tile(rng.integers(1, KIND_COUNT, size=column), repeat)}

    def pruned(self, network: nn.Module, material: Material) -> CrossEncoder:  # noqa: ARG002 - a Family's
        """Return a copy with fewer heads and hidden units."""
        return shrink(_ours(network), self._recipe.pruned)

    def student(self, network: nn.Module, material: Material) -> CrossEncoder:  # noqa: ARG002 - a Family's
        """Return a network with fewer layers that starts from the teacher's first ones."""
        return shrink(_ours(network), self._recipe.student)

    def tune(
        self, variant: str, network: nn.Module, teacher: nn.Module, material: Material, advance: Callable[[], None]
    ) -> None:
        """Teach a smaller network."""
        steps = self.tuning_steps[variant]
        teach(_ours(network), _ours(teacher), material.training, material.shop, self._recipe, steps, advance)

    def write_shared(self, directory: Path, material: Material) -> None:
        """Write the catalogue."""
        write_shop(directory / SHOP_FILE, material.shop)

    def baseline(self, material: Material) -> tuple[str, float]:
        """Return the accuracy of ordering by keyword match alone."""
        return "keyword match alone", mean_ndcg(material.held_out.keyword_scores, material.held_out.grades)


def _ours(network: nn.Module) -> CrossEncoder:
    if not isinstance(network, CrossEncoder):
        raise TypeError(f"network {type(network).__name__}, expected a CrossEncoder")
    return network


def make_family(seed: int) -> SearchRankerFamily:
    """Return the shipped search ranker of a seed."""
    return SearchRankerFamily(Recipe(seed=seed))
