"""Builds a family's variants: prepare, train, write, judge. What the gate refuses is left out, and reported."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from modelserver.artifact import MODEL_FILE, VARIANT_FILE, VariantMetadata, digest, write_metadata
from modelserver.errors import BuildError, LoadError
from modelserver.model import Context, Network
from modelserver.recipes.family import Family
from modelserver.recipes.gate import OUTLIERS, PROBED_ROWS, Answers, Figures, ask, compare, objections
from modelserver.recipes.variants import DISTILLED, FULL, PRUNED, RECIPES, Bench, Recipe
from modelserver.runtimes.loading import load_network
from modelserver.timing import batch_seconds

REPORTED_BATCH_SIZES = (1, 16, 64)
_COMPARED_BATCH_SIZE = "16"
_TIMING_REPEATS = 3
_PREPARING_STEPS = 8
_JUDGING_STEPS = 10


class Progress(Protocol):
    """Who is told how far a build is."""

    def phase(self, name: str) -> None:
        """Hear what is being done now."""
        ...

    def advance(self, steps: int) -> None:
        """Hear that this many of `total_steps` are done."""
        ...


@dataclass(frozen=True)
class Result:
    """What became of a variant.

    Attributes:
        variant: Its name.
        metadata: What it says of itself; None when it could not be made.
        figures: What the gate measured; None likewise.
        refused: Why the gate refused it, figure and bound; empty when it did not.
        dropped: Why it is not worth keeping though it is right; empty when it is.
    """

    variant: str
    metadata: VariantMetadata | None
    figures: Figures | None
    refused: str = ""
    dropped: str = ""

    @property
    def is_kept(self) -> bool:
        """Return whether the variant is part of the model."""
        return not self.refused and not self.dropped


@dataclass(frozen=True)
class BuildReport:
    """What a build achieved.

    Attributes:
        accuracy_metric: What accuracy is.
        results: `full` first.
        baseline: Name and accuracy of the obvious way without a network; None for none.
    """

    accuracy_metric: str
    results: tuple[Result, ...]
    baseline: tuple[str, float] | None

    @property
    def refused(self) -> dict[str, str]:
        """Return why variants were refused, by name."""
        return {result.variant: result.refused for result in self.results if result.refused}


@dataclass(frozen=True)
class _Full:
    """The variant that all others are compared with."""

    answers: Answers
    accuracy: float
    milliseconds_per_row: dict[str, float]


def total_steps(family: Family[Any], names: Sequence[str]) -> int:
    """Return how many units of progress a build of these variants reports."""
    smaller = {RECIPES[name].weights for name in names} - {FULL}
    tuning = sum(family.tuning_steps.get(weights, 0) for weights in smaller)
    return (
        _PREPARING_STEPS + family.training_steps + tuning + sum(RECIPES[name].steps + _JUDGING_STEPS for name in names)
    )


class _Networks:
    """Trained networks by whose weights they are; each is trained when it is first asked for."""

    def __init__(self, bench: Bench, threads: int, progress: Progress) -> None:
        self._bench = bench
        self._threads = threads
        self._progress = progress
        self._trained: dict[str, nn.Module] = {}

    def get(self, weights: str) -> nn.Module:
        if weights not in self._trained:
            torch.set_num_threads(self._threads)
            self._progress.phase(f"train {weights}")
            self._trained[weights] = self._train(weights).eval()
        return self._trained[weights]

    def _train(self, weights: str) -> nn.Module:
        family, material = self._bench.family, self._bench.material

        def advance() -> None:
            self._progress.advance(1)

        if weights == FULL:
            return family.train(material, advance)
        full = self.get(FULL)
        make = {PRUNED: family.pruned, DISTILLED: family.student}[weights]
        smaller = make(full, material)
        family.tune(weights, smaller, full, material, advance)
        return smaller


def _milliseconds_per_row(network: Network, bench: Bench) -> dict[str, float]:
    family = bench.family
    batches = {size: family.example(bench.material, size * family.network_rows) for size in REPORTED_BATCH_SIZES}
    seconds = batch_seconds(lambda size: network(batches[size]), REPORTED_BATCH_SIZES, _TIMING_REPEATS)
    return {str(size): round(1e3 * taken / size, 4) for size, taken in seconds.items()}


def _write(network: nn.Module, bench: Bench, folder: Path, recipe: Recipe) -> VariantMetadata:
    """Write a variant's weights and what is known of them before they are judged."""
    folder.mkdir()
    try:
        written = recipe.write(network, bench, folder)
    except (OSError, BuildError):
        raise
    except Exception as error:  # exporters may raise anything; the other variants can still be built
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BuildError(f"cannot be written, {reason}") from error
    weights, family = folder / written.weights, bench.family
    of_torch = written.runtime == "torch"
    metadata = VariantMetadata(
        variant=folder.name,
        runtime=written.runtime,
        weights=written.weights,
        architecture=family.architecture if of_torch else "",
        settings=family.settings(network) if of_torch else {},
        dtype=written.dtype,
        inputs=family.inputs,
        outputs=family.outputs,
        sha256=digest(weights),
        size_bytes=weights.stat().st_size,
        accuracy_metric=family.accuracy_metric,
    )
    write_metadata(folder / VARIANT_FILE, metadata)
    return metadata


def _dropped(recipe: Recipe, full: _Full | None, milliseconds: dict[str, float]) -> str:
    if full is None or recipe.min_speed_up is None:
        return ""
    speed_up = full.milliseconds_per_row[_COMPARED_BATCH_SIZE] / milliseconds[_COMPARED_BATCH_SIZE]
    if speed_up >= recipe.min_speed_up:
        return ""
    return f"{speed_up:.2f} x as fast as full at batch {_COMPARED_BATCH_SIZE}, expected >= {recipe.min_speed_up}"


def _judge(
    metadata: VariantMetadata, bench: Bench, folder: Path, recipe: Recipe, full: _Full | None
) -> tuple[Result, _Full]:
    """Load a variant as the server will, measure it, and write what was found; `full` is None for `full` itself."""
    family, material = bench.family, bench.material
    vouched = Context(folder.parent, executables=frozenset({metadata.sha256}))
    network = load_network(folder.parent, metadata.variant, vouched)
    answers = ask(network, family.example(material, PROBED_ROWS), family.outliers(material, OUTLIERS))
    accuracy = family.accuracy(network, material)
    milliseconds = _milliseconds_per_row(network, bench)
    reference = full or _Full(answers, accuracy, milliseconds)
    figures = compare(answers, reference.answers, accuracy, reference.accuracy)
    said = objections(
        figures, family.bounds, metadata.variant, recipe.weights != FULL, metadata.dtype in ("bfloat16", "float16")
    )
    metadata = replace(metadata, accuracy=round(accuracy, 4), milliseconds_per_row=milliseconds)
    write_metadata(folder / VARIANT_FILE, metadata)
    return Result(metadata.variant, metadata, figures, "; ".join(said), _dropped(recipe, full, milliseconds)), reference


def _build_variant(
    name: str, directory: Path, bench: Bench, networks: _Networks, full: _Full | None, progress: Progress
) -> tuple[Result, _Full | None]:
    recipe, folder = RECIPES[name], directory / name
    try:
        network = networks.get(recipe.weights)
        progress.phase(f"write {name}")
        metadata = _write(network, bench, folder, recipe)
        progress.advance(recipe.steps)
        progress.phase(f"judge {name}")
        result, full = _judge(metadata, bench, folder, recipe, full)
        progress.advance(_JUDGING_STEPS)
    except (BuildError, LoadError, NotImplementedError) as error:
        result = Result(name, None, None, refused=str(error))
    if not result.is_kept:
        shutil.rmtree(folder, ignore_errors=True)
    return result, full


def build(
    directory: Path, family: Family[Any], names: Sequence[str], training_threads: int, progress: Progress
) -> BuildReport:
    """Build a model into an empty directory.

    Args:
        directory: Exists and is empty.
        family: What to build.
        names: Variants, keys of RECIPES; `full` first.
        training_threads: Threads to train with. The result depends on their number in the last bits.
        progress: Told how far it is.

    Raises:
        BuildError: When the gate refuses `full`.
    """
    version = family.content_version  # before anything else: the code may change while this runs
    progress.phase("prepare")
    bench = Bench(family, family.prepare())
    progress.advance(_PREPARING_STEPS)
    networks = _Networks(bench, training_threads, progress)
    full: _Full | None = None
    results = []
    for name in names:
        result, full = _build_variant(name, directory, bench, networks, full, progress)
        if name == FULL and not result.is_kept:
            raise BuildError(f"variant 'full' of {family.name} refused by the gate: {result.refused}")
        results.append(result)
    family.write_shared(directory, bench.material)
    write_metadata(directory / MODEL_FILE, replace(family.metadata, content_version=version))
    return BuildReport(family.accuracy_metric, tuple(results), family.baseline(bench.material))
