from pathlib import Path

import pytest

from modelserver.search_ranker.build import BuildReport, build
from modelserver.search_ranker.recipe import NetworkShape, Recipe

TINY = Recipe(
    catalogue_size=600,
    training_searches=2500,
    held_out_searches=80,
    calibration_searches=16,
    batch_searches=16,
    embedding_steps=300,
    encoder_steps=150,
    shape=NetworkShape(buckets=2048, width=64, hidden=128),
    min_accuracy=0.75,
    max_accuracy_loss=0.03,
    min_cosine=0.99,
)
"""The shipped recipe with every size cut: the same code, in seconds."""


@pytest.fixture(scope="session")
def tiny_build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildReport, int]:
    """Build the tiny model; return its directory, its report and the progress it told."""
    directory = tmp_path_factory.mktemp("tiny")
    steps: list[int] = []
    report = build(directory, TINY, 1, steps.append)
    return directory, report, sum(steps)


@pytest.fixture(scope="session")
def tiny_model(tiny_build: tuple[Path, BuildReport, int]) -> Path:
    """Return the directory of the tiny model."""
    return tiny_build[0]
