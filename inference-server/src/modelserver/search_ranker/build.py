"""Builds the search ranker: generate, train, quantize, judge, write."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from modelserver.artifact import (
    MODEL_FILE,
    VARIANT_FILE,
    ModelMetadata,
    VariantMetadata,
    digest,
    write_metadata,
)
from modelserver.search_ranker.accuracy import mean_ndcg
from modelserver.search_ranker.catalogue import make_catalogue
from modelserver.search_ranker.features import Pairs
from modelserver.search_ranker.gate import GateFigures, batch_drift, cosine, outlier_drift, refuse_unfit
from modelserver.search_ranker.lexicon import customer_words
from modelserver.search_ranker.network import CrossEncoder
from modelserver.search_ranker.quantize import export_onnx, quantize
from modelserver.search_ranker.recipe import ACCURACY_METRIC, ARCHITECTURE, MODEL_NAME, Recipe, content_version
from modelserver.search_ranker.scorers import LOADERS, Scorer
from modelserver.search_ranker.searches import JudgedSearches, draw_searches
from modelserver.search_ranker.shop import SHOP_FILE, Shop, open_shop, write_shop
from modelserver.search_ranker.training import train
from modelserver.timing import batch_seconds

REPORTED_BATCH_SIZES = (1, 8, 32)
_TIMING_REPEATS = 3
_PROBED_SEARCHES = 4
_SCORED_SEARCHES = 20
"""Searches per batch when accuracy is measured; bounds memory."""

# In units of the progress bar: one encoder step, about 0.3 s on two cores.
_GENERATION_STEPS = 8
_EXPORT_STEPS = 50
_JUDGING_STEPS = 40
_EMBEDDING_STEPS_PER_UNIT = 30


def total_steps(recipe: Recipe) -> int:
    """Return how many units of progress a build reports."""
    embedding = recipe.embedding_steps // _EMBEDDING_STEPS_PER_UNIT
    return _GENERATION_STEPS + embedding + recipe.encoder_steps + _EXPORT_STEPS + _JUDGING_STEPS


@dataclass(frozen=True)
class BuiltVariant:
    """A variant that passed the gate, with the figures behind it."""

    metadata: VariantMetadata
    figures: GateFigures


@dataclass(frozen=True)
class BuildReport:
    """What a build achieved.

    Attributes:
        variants: `full`, then the variants made from it.
        keyword_accuracy: Of ordering by keyword match alone, the baseline, on the same searches.
    """

    variants: tuple[BuiltVariant, ...]
    keyword_accuracy: float


@dataclass(frozen=True)
class _Material:
    shop: Shop
    training: JudgedSearches
    held_out: JudgedSearches


def _generate(recipe: Recipe) -> _Material:
    # Independent streams: more training searches do not change the shop, nor what accuracy is measured on.
    shop_rng, training_rng, held_out_rng = np.random.default_rng(recipe.seed).spawn(3)
    catalogue = make_catalogue(recipe.catalogue_size, shop_rng)
    shop = open_shop([item.title for item in catalogue], customer_words(), recipe.shape.buckets)
    return _Material(
        shop=shop,
        training=draw_searches(catalogue, shop, recipe.training_searches, recipe.training_candidates, training_rng),
        held_out=draw_searches(catalogue, shop, recipe.held_out_searches, recipe.candidates, held_out_rng),
    )


def _score_all(scorer: Scorer, searches: JudgedSearches, shop: Shop) -> NDArray[np.float32]:
    starts = range(0, len(searches.queries), _SCORED_SEARCHES)
    scored = [scorer(searches.pairs(shop, slice(start, start + _SCORED_SEARCHES))) for start in starts]
    return np.concatenate(scored).reshape(searches.grades.shape)


def _judge(
    scorer: Scorer, full_scores: NDArray[np.float32] | None, material: _Material, recipe: Recipe
) -> tuple[GateFigures, NDArray[np.float32]]:
    """Measure a variant against `full`; None when it is `full` itself."""
    searches, shop = material.held_out, material.shop
    scores = _score_all(scorer, searches, shop)
    reference = scores if full_scores is None else full_scores
    probe = searches.pairs(shop, slice(0, _PROBED_SEARCHES))
    figures = GateFigures(
        accuracy=mean_ndcg(scores, searches.grades),
        accuracy_of_full=mean_ndcg(reference, searches.grades),
        cosine=cosine(scores.ravel(), reference.ravel()),
        batch_drift=batch_drift(scorer, probe),
        outlier_drift=outlier_drift(scorer, probe, recipe.shape.buckets, np.random.default_rng(recipe.seed)),
    )
    return figures, scores


def _milliseconds_per_request(scorer: Scorer, material: _Material) -> dict[str, float]:
    def run(size: int) -> None:
        scorer(material.held_out.pairs(material.shop, np.arange(size) % len(material.held_out.queries)))

    sizes = REPORTED_BATCH_SIZES
    return {
        str(size): round(1e3 * taken / size, 3) for size, taken in batch_seconds(run, sizes, _TIMING_REPEATS).items()
    }


def _finish(
    directory: Path,
    weights: str,
    runtime: str,
    full_scores: NDArray[np.float32] | None,
    material: _Material,
    recipe: Recipe,
) -> tuple[BuiltVariant, NDArray[np.float32]]:
    """Load a variant as the server will, judge and time it, and write its metadata.

    Raises:
        BuildError: When the gate refuses it.
    """
    path = directory / weights
    settings = asdict(recipe.shape)
    scorer = LOADERS[runtime](path, settings)
    figures, scores = _judge(scorer, full_scores, material, recipe)
    refuse_unfit(directory.name, figures, recipe)
    metadata = VariantMetadata(
        variant=directory.name,
        runtime=runtime,
        architecture=ARCHITECTURE,
        weights=weights,
        sha256=digest(path),
        size_bytes=path.stat().st_size,
        accuracy_metric=ACCURACY_METRIC,
        accuracy=round(figures.accuracy, 4),
        settings=settings,
        milliseconds_per_request=_milliseconds_per_request(scorer, material),
    )
    write_metadata(directory / VARIANT_FILE, metadata)
    return BuiltVariant(metadata, figures), scores


def _training_progress(recipe: Recipe, advance: Callable[[int], None]) -> Callable[[], None]:
    """Return a callback for each training step that reports units of progress."""
    done = itertools.count(1)

    def step() -> None:
        number = next(done)
        if number > recipe.embedding_steps or number % _EMBEDDING_STEPS_PER_UNIT == 0:
            advance(1)

    return step


def _calibration(material: _Material, recipe: Recipe) -> Iterator[Pairs]:
    return (material.training.pairs(material.shop, slice(row, row + 1)) for row in range(recipe.calibration_searches))


def _write_weights(network: CrossEncoder, directory: Path, material: _Material, recipe: Recipe) -> None:
    full, int8 = directory / "full", directory / "int8"
    full.mkdir()
    int8.mkdir()
    weights = full / "model.safetensors"
    save_file(network.state_dict(), weights)
    weights.chmod(0o644)  # safetensors writes for its owner alone; an image is built by one user and run by another
    float_graph = int8 / "float.onnx"
    export_onnx(network, float_graph)
    quantize(float_graph, int8 / "model.onnx", _calibration(material, recipe))
    float_graph.unlink()


def build(directory: Path, recipe: Recipe, training_threads: int, advance: Callable[[int], None]) -> BuildReport:
    """Build the model into an empty directory.

    Args:
        directory: Exists and is empty.
        recipe: What to build.
        training_threads: Threads to train with. The result depends on their number in the last bits.
        advance: Called with the number of steps just done, `total_steps(recipe)` in all.

    Raises:
        BuildError: When the gate refuses a variant.
    """
    torch.set_num_threads(training_threads)
    material = _generate(recipe)
    advance(_GENERATION_STEPS)
    network = train(material.training, material.shop, recipe, _training_progress(recipe, advance))
    _write_weights(network, directory, material, recipe)
    advance(_EXPORT_STEPS)
    full, full_scores = _finish(directory / "full", "model.safetensors", "torch", None, material, recipe)
    int8, _ = _finish(directory / "int8", "model.onnx", "onnxruntime", full_scores, material, recipe)
    write_shop(directory / SHOP_FILE, material.shop)
    write_metadata(directory / MODEL_FILE, ModelMetadata(MODEL_NAME, content_version(recipe)))
    advance(_JUDGING_STEPS)
    return BuildReport((full, int8), mean_ndcg(material.held_out.keyword_scores, material.held_out.grades))
